import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { bundleClient } from '../../../admission-webhook/knowledge/bundle-client.ts';
import { apiKey, ControlPlane } from '../control-plane.ts';

let plane: ControlPlane;
beforeEach(async () => {
  plane = await ControlPlane.start();
});
afterEach(() => plane.stop());

const signal = new AbortController().signal;
const client = (readKey = () => Promise.resolve(apiKey), base = plane.url) =>
  bundleClient({ apiUrl: `${base}/`, readKey });

describe('the question for the bundle', () => {
  test('brings the key that is in the file now, so that it can be replaced', async () => {
    let key = 'cak_old';
    const ask = client(() => Promise.resolve(key));
    await expect(ask({}, signal)).rejects.toMatchObject({
      name: 'BundleUnavailable',
      status: 401,
      message: 'the control plane answered 401 UNAUTHENTICATED',
    });
    key = apiKey;
    expect(await ask({}, signal)).toMatchObject({ etag: expect.stringMatching(/^"/) });
  });

  test('is answered `unchanged` for 304', async () => {
    const answer = await client()({}, signal);
    const etag = answer === 'unchanged' ? '' : answer.etag;
    expect(await client()({ since: '0', etag }, signal)).toBe('unchanged');
  });

  test.each([
    [429, { 'Retry-After': '17' }, 17_000],
    [503, {}, undefined],
    [500, { 'Retry-After': 'soon' }, undefined],
  ])('rejects for %i, with the time to wait if it is told', async (status, headers, retryAfterMs) => {
    plane.fault = (_, outgoing) => {
      outgoing.writeHead(status, headers).end('<html>not ours</html>');
      return true;
    };
    await expect(client()({}, signal)).rejects.toMatchObject({ status, retryAfterMs });
  });

  test('follows no redirect, which would hand the key to another host', async () => {
    const seen: (string | undefined)[] = [];
    const other = createServer((incoming, outgoing) => {
      seen.push(incoming.headers.authorization);
      outgoing.end('x');
    });
    other.listen(0, '127.0.0.1');
    await once(other, 'listening');
    plane.fault = (_, outgoing) => {
      const { port } = other.address() as AddressInfo;
      outgoing.writeHead(302, { Location: `http://127.0.0.1:${port}/` }).end();
      return true;
    };
    await expect(client()({}, signal)).rejects.toMatchObject({ status: 0 });
    expect(seen).toEqual([]);
    other.close();
  });

  test('takes no answer without end', async () => {
    plane.fault = (_, outgoing) => {
      outgoing.writeHead(200);
      const more = () => {
        while (!outgoing.destroyed && outgoing.write('x'.repeat(65_536)));
      };
      outgoing.on('drain', more);
      more();
      return true;
    };
    await expect(client()({}, signal)).rejects.toThrow(/more than 6291456 bytes/);
  });

  test('rejects with status 0 when nobody answers, or the answer is cut off, and never tells the key', async () => {
    plane.fault = (_, outgoing) => {
      outgoing.writeHead(200, { 'Content-Length': 10 });
      outgoing.write('x', () => outgoing.destroy());
      return true;
    };
    const cut: unknown = await client()({}, signal).catch((error: unknown) => error);
    await plane.stop();
    const away: unknown = await client()({}, signal).catch((error: unknown) => error);
    for (const error of [cut, away]) {
      expect(error).toMatchObject({ name: 'BundleUnavailable', status: 0 });
      expect(String(error)).not.toContain(apiKey);
    }
  });
});
