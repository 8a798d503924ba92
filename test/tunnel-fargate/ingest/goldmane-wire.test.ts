import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { goldmaneBody } from './goldmane-body.ts';
import { TestGuardian } from '../guardian.ts';
import { type Fixture, startTunnel, until } from '../tunnel-fixture.ts';
import { bucketOf, flowLine, rejectedObjects, sha256, storedLines, textOf } from './flows.ts';

/** protocol facts of Goldmane's emitter (docs/guardian.md §4.1), one test each. */
describe('Goldmane', () => {
  let tunnel: Fixture;
  let guardian: TestGuardian;
  beforeEach(async () => {
    tunnel = await startTunnel();
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

  test('offers HTTP/1.1 alone and gets it, also when it offers h2 or nothing', async () => {
    for (const alpn of [['http/1.1'], ['h2', 'http/1.1'], []]) {
      const socket = await guardian.logStream({ alpn });
      expect(socket.alpnProtocol).toBe(alpn.length > 0 ? 'http/1.1' : false);
      expect((await guardian.post(flowLine('a'), { socket })).status).toBe(200);
    }
  });

  test('sends a length and no final line feed, and finds its body again byte for byte', async () => {
    const body = bucketOf(600, ['a', 'b', 'c']);
    expect(await guardian.post(body)).toMatchObject({ status: 200, body: '' });
    const [object] = tunnel.logs.objects;
    expect(object && textOf(object)).toBe(body);
    expect(object?.sha256).toBe(sha256(body));
  });

  test('may send chunks and a final line feed: the same object', async () => {
    const body = bucketOf(600, ['a', 'b', 'c']);
    const socket = await guardian.logStream();
    socket.write(
      'POST /api/v1/flows/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n',
    );
    for (let at = 0; at < body.length; at += 37) {
      const chunk = body.slice(at, at + 37);
      socket.write(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    }
    socket.write('1\r\n\n\r\n0\r\n\r\n');
    const [head] = (await once(socket, 'data')) as [Buffer];
    expect(head.toString()).toMatch(/^HTTP\/1\.1 200 /);
    expect(tunnel.logs.objects.map((object) => [textOf(object), object.sha256])).toEqual([
      [body, sha256(body)],
    ]);
    socket.destroy();
  });

  test('counts only 200, whatever the body has: flows, rejected lines, the same again, nothing', async () => {
    for (const body of [flowLine('a'), `no flow\n${flowLine('b')}`, 'no flow', flowLine('a'), '', '\n']) {
      expect(await guardian.post(body)).toMatchObject({
        status: 200,
        body: '',
        headers: { 'content-length': '0' },
      });
    }
  });

  test('sends the same body again when its answer was lost: nothing is stored twice', async () => {
    const body = `${bucketOf(600, ['a', 'b'])}\nno flow`;
    const socket = await guardian.logStream();
    socket.write(
      `POST /api/v1/flows/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await until(() => tunnel.logs.objects.length === 2);
    socket.destroy();
    expect((await guardian.post(body)).status).toBe(200);
    expect(tunnel.logs.objects).toHaveLength(2);
  });

  test('sends it again while the first is still on its way to S3: both get 200, one object remains', async () => {
    let stored: (() => void) | undefined;
    tunnel.logs.hold = new Promise((resolve) => (stored = resolve));
    const body = bucketOf(600, ['a', 'b']);
    const answers = [guardian.post(body), guardian.post(body)];
    await until(() => tunnel.logs.waiting === 1);
    stored?.();
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
    expect(tunnel.logs.objects).toHaveLength(1);
  });

  test('sends a bucket again with more flows after its restart: each flow is stored once', async () => {
    await guardian.post(bucketOf(600, ['a', 'b']));
    await guardian.post(bucketOf(600, ['c', 'b', 'a', 'd', 'c']));
    expect(storedLines(tunnel.logs.objects)).toEqual(['a', 'b', 'c', 'd'].map((name) => flowLine(name, 600)));
    expect(tunnel.logs.objects).toHaveLength(2);
  });

  test('may have two POSTs in flight: both are stored', async () => {
    const answers = [guardian.post(bucketOf(900, ['a'])), guardian.post(bucketOf(600, ['b']))];
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
    expect(storedLines(tunnel.logs.objects).sort()).toEqual([flowLine('a', 900), flowLine('b', 600)].sort());
  });

  test('sends 3.8 MB at once', async () => {
    const body = goldmaneBody(3_800_000);
    expect((await guardian.post(body)).status).toBe(200);
    const [object] = tunnel.logs.objects;
    expect(tunnel.logs.objects).toHaveLength(1);
    expect(object && textOf(object) === body.toString()).toBe(true);
    expect(tunnel.budget.inUse).toBe(0);
  });

  test('escapes <, >, & and U+2028, writes other letters plain and counters beyond 2^53: all stays as it was', async () => {
    const line = String.raw`{"Key":{"source_name":"\u003ca\u003e\u0026\u2028\u2029","dest_name":"böse-😀"},"start_time":300,"end_time":600,"source_labels":["k=\u003cv\u003e"],"bytes_in":9007199254740993,"bytes_out":9223372036854775807,"packets_in":1e3}`;
    expect((await guardian.post(line)).status).toBe(200);
    expect(storedLines(tunnel.logs.objects)).toEqual([line]);
  });

  test('with lines that are no flows loses none of the others, and the bad ones are kept apart', async () => {
    const bad = Buffer.concat([
      Buffer.from('{"Key":"\xff'),
      Buffer.from([0xff, 0xfe]),
      Buffer.alloc(60, 0x20),
    ]);
    const body = Buffer.concat([
      Buffer.from(`${flowLine('a')}\n{"Key":{},"start_time":1,"end_ti\n`),
      bad,
      Buffer.from(`\n${flowLine('b')}\r\n\n[${flowLine('c')}]\n${flowLine('d')}`),
    ]);
    expect((await guardian.post(body)).status).toBe(200);
    expect(storedLines(tunnel.logs.objects)).toEqual([flowLine('a'), `${flowLine('b')}\r`, flowLine('d')]);
    const [rejected] = rejectedObjects(tunnel.logs.objects);
    const [head, ...lines] = (rejected ? textOf(rejected) : '')
      .split('\n')
      .map((text) => JSON.parse(text) as Record<string, unknown>);
    expect(head).toEqual({
      upload: sha256(body),
      rejected: 3,
      kept: 3,
      reasons: { 'too-short': 1, 'not-utf8': 1, 'not-an-object': 1 },
    });
    expect(lines.map(({ line }) => line)).toEqual([2, 3, 6]);
    expect(Buffer.from(String(lines[1]?.base64), 'base64').equals(bad)).toBe(true);
  });

  test('gets 503 while S3 fails, and its newer POSTs wait until the failed one is stored', async () => {
    const [older, newer] = [bucketOf(600, ['a']), bucketOf(900, ['b'])];
    tunnel.logs.failing = true;
    const failed = await guardian.post(older);
    expect(failed).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
    expect(JSON.parse(failed.body)).toMatchObject({ code: 'UNAVAILABLE' });
    tunnel.logs.failing = false;
    expect(await guardian.post(newer)).toMatchObject({ status: 503, headers: { 'retry-after': '30' } });
    expect(tunnel.logs.objects).toHaveLength(0);
    expect((await guardian.post(older)).status).toBe(200);
    expect((await guardian.post(newer)).status).toBe(200);
    expect(storedLines(tunnel.logs.objects)).toEqual([older, newer]);
  });

  test('whose POST breaks off gets its newer ones taken only after that one', async () => {
    const [older, newer] = [bucketOf(600, ['a', 'b', 'c']), bucketOf(900, ['b'])];
    const socket = await guardian.logStream();
    socket.write(
      `POST /api/v1/flows/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nContent-Length: ${older.length}\r\n\r\n${older.slice(0, 200)}`,
    );
    await until(() => tunnel.budget.inUse > 0);
    socket.destroy();
    await until(() => tunnel.budget.inUse === 0);
    expect((await guardian.post(newer)).status).toBe(503);
    expect((await guardian.post(older)).status).toBe(200);
    expect((await guardian.post(newer)).status).toBe(200);
  });
});
