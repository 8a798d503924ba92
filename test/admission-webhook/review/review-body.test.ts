import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { maxReviewBytes, ReviewBodies } from '../../../admission-webhook/review/review-body.ts';
import { eventually } from '../../stack/poll.ts';

/** What a body is read of: a stream. */
const body = () => {
  const stream = new PassThrough({ highWaterMark: 64 });
  return { stream, incoming: stream as unknown as IncomingMessage };
};

describe('the bodies of reviews', () => {
  test('share a memory: a large one more than it holds is too large, small ones are read, and it is free again when others end', async () => {
    const bodies = new ReviewBodies();
    // Sixteen that stop just before their end hold almost 48 MiB.
    const slow = Array.from({ length: 16 }, () => {
      const { stream, incoming } = body();
      const read = bodies.read(incoming).catch((error: unknown) => error);
      stream.write(Buffer.alloc(maxReviewBytes - 10, 0x20));
      return { stream, read };
    });
    await eventually('they are read', 5_000, () => slow.every(({ stream }) => stream.readableLength === 0));
    // Whoever sends or holds large ones must not leave everybody's answers to the failure policy.
    const small = body();
    small.stream.end(`{"a":"${'x'.repeat(50_000)}"}`);
    expect(await bodies.read(small.incoming)).toEqual({ json: { a: expect.any(String) } });
    const large = body();
    large.stream.end(
      `{"kind":"AdmissionReview","request":{"uid":"u-1","x":"${'x'.repeat(maxReviewBytes - 1_000)}"}}`,
    );
    expect(await bodies.read(large.incoming)).toEqual({ tooLarge: true, uid: 'u-1' });

    for (const each of slow) each.stream.destroy(new Error('cut off'));
    expect(await Promise.all(slow.map(({ read }) => read))).toEqual(
      slow.map(() => expect.objectContaining({ message: 'cut off' })),
    );
    const next = body();
    next.stream.end(`{"a":"${'x'.repeat(maxReviewBytes - 1_000)}"}`);
    expect(await bodies.read(next.incoming)).toEqual({ json: { a: expect.any(String) } });
  });

  test('have their uid found at the beginning only, where API servers write it', async () => {
    const read = async (head: string) => {
      const { stream, incoming } = body();
      stream.end(head + ' '.repeat(maxReviewBytes + 1));
      return new ReviewBodies().read(incoming).catch((error: unknown) => (error as { code: string }).code);
    };
    const uid = 'a-b-1';
    for (const head of [
      `{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"${uid}","x":`,
      ` { "apiVersion" : "admission.k8s.io/v1", "request" : { "uid" : "${uid}"`,
    ]) {
      expect(await read(head)).toEqual({ tooLarge: true, uid });
    }
    for (const head of [
      '',
      `{"request":{"object":{"uid":"${uid}"`,
      `{"other":1,"request":{"uid":"${uid}"`,
      '{"request":{"uid":"<script>"',
      `${' '.repeat(8_192)}{"request":{"uid":"${uid}"`,
    ]) {
      expect([head.trim(), await read(head)]).toEqual([head.trim(), 'PAYLOAD_TOO_LARGE']);
    }
  });
});
