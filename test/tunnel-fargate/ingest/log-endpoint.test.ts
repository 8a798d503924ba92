import { createHash, randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { TestGuardian } from '../guardian.ts';
import { bucketOf, flowLine } from './flows.ts';
import {
  closing,
  clusterA,
  clusterB,
  type Fixture,
  startTunnel,
  tenantA,
  tenantB,
  until,
} from '../tunnel-fixture.ts';

const maxBodyBytes = 200_000;
const incompressible = (end: number): string =>
  bucketOf(
    end,
    Array.from({ length: 30 }, () => randomBytes(3_000).toString('base64')),
  );

describe('what a cluster sends', () => {
  let tunnel: Fixture;
  let guardian: TestGuardian;
  beforeEach(async () => {
    tunnel = await startTunnel({ maxBodyBytes, ingestBytes: 3_000_000, ingestBytesPerCluster: 1_000_000 });
    guardian = await TestGuardian.connect({
      port: tunnel.port,
      roots: tunnel.roots,
      pair: await tunnel.register(),
    });
    await tunnel.link();
  });
  afterEach(async () => {
    await guardian.close();
    await tunnel.close();
  });

  test('flows are in S3 under the tenant and the cluster of the tunnel before the 200, which is empty', async () => {
    let stored: (() => void) | undefined;
    tunnel.logs.hold = new Promise((resolve) => (stored = resolve));
    const start = Math.floor(Date.now() / 1000);
    const body = [
      { Key: { source_name: 'shop-*', reporter: 1 }, start_time: start, end_time: start + 300 },
      { Key: { source_name: 'cart-*', reporter: 1 }, start_time: start, end_time: start + 300 },
    ]
      .map((flow) => JSON.stringify(flow))
      .join('\n');
    let answered = false;
    const answer = guardian.post(body, { headers: { 'x-tenant-id': tenantB, 'x-cluster-id': clusterB } });
    void answer.then(() => (answered = true));
    await until(() => tunnel.logs.waiting === 1);
    expect(answered).toBe(false);
    stored?.();
    expect(await answer).toMatchObject({ status: 200, body: '', headers: { 'content-length': '0' } });
    const [object] = tunnel.logs.objects;
    expect(object).toMatchObject({
      tenantId: tenantA,
      clusterId: clusterA,
      kind: 'flows',
      date: new Date(start * 1000).toISOString().slice(0, 10),
      sha256: createHash('sha256').update(body).digest('hex'),
    });
    expect(gunzipSync(object?.body ?? '').toString()).toBe(body);
  });

  test('a body that says it is too large is refused with 413 PAYLOAD_TOO_LARGE', async () => {
    const answer = await guardian.post(Buffer.alloc(maxBodyBytes + 1, 10));
    expect(answer.status).toBe(413);
    expect(JSON.parse(answer.body)).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
    expect(tunnel.logs.objects).toHaveLength(0);
    expect(await guardian.session.ping()).toBeGreaterThan(0);
  });

  test('a length beyond the limit is refused before the body comes', async () => {
    const socket = await guardian.logStream();
    socket.write(
      `POST /api/v1/flows/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: ${maxBodyBytes + 1}\r\n\r\n`,
    );
    const [head] = (await once(socket, 'data')) as [Buffer];
    expect(head.toString()).toMatch(/^HTTP\/1\.1 413 /);
    socket.destroy();
  });

  test('a body without a length is cut off at the limit with 413, one of exactly the limit is taken', async () => {
    const socket = await guardian.logStream();
    socket.write(
      `POST /api/v1/flows/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n`,
    );
    const size = maxBodyBytes + 1;
    socket.write(`${size.toString(16)}\r\n`);
    socket.write(Buffer.alloc(size, 10));
    socket.write('\r\n0\r\n\r\n');
    const [head] = (await once(socket, 'data')) as [Buffer];
    expect(head.toString()).toMatch(/^HTTP\/1\.1 413 /);
    socket.destroy();
    expect((await guardian.post(Buffer.alloc(maxBodyBytes, 10))).status).toBe(200);
  });

  test('other paths are 404, other methods 405, other media types and codings 415', async () => {
    expect((await guardian.post(flowLine('a'), { path: '/api/v1/flows' })).status).toBe(404);
    expect((await guardian.post(flowLine('a'), { path: '/' })).status).toBe(404);
    const put = await guardian.post(flowLine('a'), { method: 'PUT' });
    expect(put).toMatchObject({ status: 405, headers: { allow: 'POST' } });
    expect(
      (await guardian.post(flowLine('a'), { headers: { 'Content-Type': 'application/json' } })).status,
    ).toBe(415);
    expect((await guardian.post(flowLine('a'), { headers: { 'Content-Encoding': 'gzip' } })).status).toBe(
      415,
    );
    expect(tunnel.logs.objects).toHaveLength(0);
  });

  test('an empty body is taken and leaves no object', async () => {
    expect((await guardian.post('')).status).toBe(200);
    expect(tunnel.logs.objects).toHaveLength(0);
  });

  test('a connection that is kept carries one upload after another', async () => {
    const socket = await guardian.logStream();
    for (let round = 1; round <= 3; round += 1) {
      const body = flowLine(`round ${round}`);
      socket.write(
        `POST /api/v1/flows/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      const [head] = (await once(socket, 'data')) as [Buffer];
      expect(head.toString()).toMatch(/^HTTP\/1\.1 200 /);
      expect(tunnel.logs.objects).toHaveLength(round);
    }
    socket.destroy();
  });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'the stream meets the log endpoint over %s and HTTP/1.1',
    async (maxVersion) => {
      const socket = await guardian.logStream({ maxVersion, alpn: ['http/1.1'] });
      expect(socket.getProtocol()).toBe(maxVersion);
      expect(socket.alpnProtocol).toBe('http/1.1');
      socket.destroy();
    },
  );

  test('a stream without TLS is reset, the tunnel lives', async () => {
    const stream = guardian.session.open();
    const failed = closing(stream);
    let code: unknown;
    stream.on('error', (error: Error & { code?: string }) => (code = error.code));
    stream.write('POST /api/v1/flows/bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}');
    stream.resume();
    await failed;
    expect(code).toBe('STREAM_RESET');
    expect(await guardian.session.ping()).toBeGreaterThan(0);
    expect((await guardian.post(flowLine('a'))).status).toBe(200);
  });

  test('a sender that goes away in the middle leaves nothing and no memory', async () => {
    const socket = await guardian.logStream();
    socket.write(
      'POST /api/v1/flows/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n{',
    );
    await until(() => tunnel.budget.inUse > 0);
    socket.destroy();
    await until(() => tunnel.budget.inUse === 0);
    expect(tunnel.logs.objects).toHaveLength(0);
  });

  test('beyond its share of the memory a cluster gets 503, another cluster does not', async () => {
    let stored: (() => void) | undefined;
    tunnel.logs.hold = new Promise((resolve) => (stored = resolve));
    const other = await TestGuardian.connect({
      port: tunnel.port,
      roots: tunnel.roots,
      pair: await tunnel.register({ tenantId: tenantB, clusterId: clusterB }),
    });
    await tunnel.link(clusterB);
    // Random letters hardly compress; each upload also holds its compressor.
    const running = [guardian.post(incompressible(1_000)), guardian.post(incompressible(2_000))];
    await until(() => tunnel.logs.waiting === 1 && tunnel.budget.inUse > 800_000);
    const refused = await guardian.post(incompressible(3_000));
    expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
    const others = other.post(flowLine('a'));
    await until(() => tunnel.logs.waiting === 2);
    stored?.();
    expect((await others).status).toBe(200);
    for (const answer of await Promise.all(running)) expect(answer.status).toBe(200);
    expect(tunnel.budget.inUse).toBe(0);
    await other.close();
  });

  test('streams beyond the bound of a tunnel are reset', async () => {
    const sockets = await Promise.all(Array.from({ length: 64 }, () => guardian.logStream()));
    const stream = guardian.session.open();
    stream.on('error', () => undefined);
    await closing(stream);
    for (const socket of sockets) socket.destroy();
    // Until the server has seen them go, it still resets.
    let answer: { status: number } | undefined;
    while (!answer) answer = await guardian.post(flowLine('a')).catch(() => undefined);
    expect(answer.status).toBe(200);
  });
});
