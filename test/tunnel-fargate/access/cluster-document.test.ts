import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as z from 'zod';
import { clusterDocument } from '../../../tunnel-fargate/access/cluster-document.ts';
import { type Serve, TestGuardian } from '../guardian.ts';
import { type Fixture, startTunnel } from '../tunnel-fixture.ts';

const schema = z.object({ kind: z.string() });
const whole = JSON.stringify({ kind: 'APIVersions', filler: 'x'.repeat(3_000) });

describe('a document of the cluster', () => {
  let tunnel: Fixture;
  let guardian: TestGuardian;
  let serve: Serve;
  beforeEach(async () => {
    tunnel = await startTunnel();
    guardian = await TestGuardian.connect({
      port: tunnel.port,
      roots: tunnel.roots,
      pair: await tunnel.register(),
      serve: (stream, headers) => serve(stream, headers),
    });
  });
  afterEach(async () => {
    await guardian.close();
    await tunnel.close();
  });
  const ask = async () =>
    clusterDocument(await tunnel.link(), '/api/', { schema, accept: 'application/json', timeoutMs: 5_000 });

  // Through the tunnel an answer comes so: its TLS is read as a whole.
  test('is read when head, body and end are here before anyone reads', async () => {
    serve = (stream) => {
      stream.respond({ ':status': 200 });
      stream.end(whole);
    };
    const documents = [];
    for (let turn = 0; turn < 50; turn += 1) documents.push((await ask()).document);
    expect(documents).toEqual(Array.from({ length: 50 }, () => ({ kind: 'APIVersions' })));
  });

  test('that the cluster breaks off is BAD_GATEWAY, and no part of it is taken for the whole', async () => {
    serve = (stream) => {
      stream.respond({ ':status': 200 });
      stream.write('{"kind":"APIVersions"}', () => stream.destroy(new Error('broken off')));
    };
    await expect(ask()).rejects.toMatchObject({ code: 'BAD_GATEWAY' });
  });

  test('of more than 4 MiB is BAD_GATEWAY', async () => {
    serve = (stream) => {
      stream.respond({ ':status': 200 });
      stream.end(Buffer.alloc(5 * 1024 * 1024, 'x'));
    };
    await expect(ask()).rejects.toThrow('larger');
  });

  test('with another status or another shape is BAD_GATEWAY', async () => {
    serve = (stream) => stream.respond({ ':status': 404 }, { endStream: true });
    await expect(ask()).rejects.toMatchObject({ code: 'BAD_GATEWAY' });
    serve = (stream) => {
      stream.respond({ ':status': 200 });
      stream.end('[]');
    };
    await expect(ask()).rejects.toMatchObject({ code: 'BAD_GATEWAY' });
  });
});
