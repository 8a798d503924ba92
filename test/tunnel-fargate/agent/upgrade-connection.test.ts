import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { duplexPair, type Duplex } from 'node:stream';
import { createServer as createTlsServer, type SecureVersion } from 'node:tls';
import { afterEach, describe, expect, test } from '@jest/globals';
import { openUpgrade, type UpgradeAnswer } from '../../../tunnel-fargate/agent/upgrade-connection.ts';
import { UpgradeConnections } from '../../../tunnel-fargate/agent/upgrade-connections.ts';
import { FrameParser, FrameType } from '../../../tunnel-fargate/yamux/frame.ts';
import { YamuxSession } from '../../../tunnel-fargate/yamux/session.ts';
import { makeCa, type TestPair } from '../certificates.ts';
import { until } from '../tunnel-fixture.ts';

const close: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of close.splice(0).reverse()) await each();
});

type Cluster = (request: IncomingMessage, socket: Duplex) => void;

/** A tunnel without its TLS, all that we sent, and a cluster that serves HTTP/1.1 inside. */
async function tunnelTo(serve: Cluster, { maxVersion = 'TLSv1.3' }: { maxVersion?: SecureVersion } = {}) {
  const ca = await makeCa();
  const pair: TestPair = await ca.issue({ usage: 'client' });
  const [ours, theirs] = duplexPair();
  const frames: Buffer[][] = [];
  const parser = new FrameParser({
    onHeader: (type) => {
      if (type === FrameType.data) frames.push([]);
    },
    onPayload: (bytes) => void frames.at(-1)?.push(Buffer.from(bytes)),
  });
  theirs.on('data', (bytes: Buffer) => parser.push(bytes));
  const server = new YamuxSession(ours, { role: 'server' });
  const cluster = new YamuxSession(theirs, { role: 'client' });
  const http = createServer({ maxHeaderSize: 64 * 1024 });
  http.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => undefined);
    serve(request, socket);
  });
  const tls = createTlsServer({
    cert: pair.certificate,
    key: pair.key,
    maxVersion,
    ALPNProtocols: ['http/1.1'],
  });
  tls.on('secureConnection', (socket) => http.emit('connection', socket));
  tls.on('tlsClientError', () => undefined);
  cluster.on('stream', (stream) => {
    stream.on('error', () => undefined);
    tls.emit('connection', stream);
  });
  close.push(() => Promise.all([server.close(), cluster.close()]));
  return {
    cluster,
    frames: () => frames.map((pieces) => Buffer.concat(pieces)),
    tls: { session: server, pin: pair, now: Date.now, timeoutMs: 5_000 },
  };
}

const wanted = (more: Record<string, string> = {}) => ({
  method: 'GET',
  path: '/api/v1/x?watch=true',
  headers: { host: 'x', connection: 'Upgrade', upgrade: 'websocket', ...more },
});
const options = { signal: new AbortController().signal, answerTimeoutMs: 5_000 };
const accept: Cluster = (_request, socket) => {
  socket.write('HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
};

/** Lengths of the TLS records in a piece of what a client sends (RFC 8446 §5.1). */
function recordsOf(bytes: Buffer): { type: number; length: number }[] {
  const records = [];
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) {
    records.push({ type: bytes.readUInt8(at), length: bytes.readUInt16BE(at + 3) });
  }
  return records;
}

describe('the head of an upgrade and its sacrificial byte', () => {
  test.each([
    // A record's own cost: content type and tag; explicit nonce and tag (RFC 5288 §3).
    ['TLSv1.3' as const, 1 + 16, 300, 1],
    ['TLSv1.2' as const, 8 + 16, 300, 1],
    ['TLSv1.3' as const, 1 + 16, 20_000, 2],
  ])('travel as records of their own in one data frame, over %s', async (maxVersion, cost, size, pieces) => {
    for (let run = 0; run < 20; run += 1) {
      const tunnel = await tunnelTo(accept, { maxVersion });
      const answer = await openUpgrade(tunnel.tls, wanted({ 'x-filler': 'y'.repeat(size) }), options);
      const last = recordsOf(tunnel.frames().at(-1) ?? Buffer.alloc(0));
      const [byte, ...head] = last.toReversed().slice(0, pieces + 1);
      expect(byte).toEqual({ type: 23, length: 1 + cost });
      expect(head.reduce((sum, { length }) => sum + length - cost, 0)).toBeGreaterThan(size);
      expect(head).toHaveLength(pieces);
      if (answer.kind === 'switched') answer.stream.destroy();
    }
  });

  test('are all that goes before the answer; what follows goes in frames of its own', async () => {
    const tunnel = await tunnelTo(accept);
    const answer = await openUpgrade(tunnel.tls, wanted(), options);
    const before = tunnel.frames().length;
    if (answer.kind !== 'switched') throw new Error('not switched');
    answer.stream.write('after');
    await until(() => tunnel.frames().length === before + 1);
    answer.stream.destroy();
  });
});

describe('an upgrade into a cluster', () => {
  const kindOf = (answer: Promise<UpgradeAnswer>) => answer.then(({ kind }) => kind);

  test('that is given up before its answer leaves no stream', async () => {
    const tunnel = await tunnelTo(() => undefined);
    const given = new AbortController();
    const answer = openUpgrade(tunnel.tls, wanted(), { ...options, signal: given.signal });
    await until(() => tunnel.cluster.streamCount === 1);
    given.abort(new Error('given up'));
    await expect(answer).rejects.toThrow('given up');
    await until(() => tunnel.cluster.streamCount === 0 && tunnel.tls.session.streamCount === 0);
  });

  test('that is not answered is TIMEOUT and leaves no stream', async () => {
    const tunnel = await tunnelTo(() => undefined);
    const answer = openUpgrade(tunnel.tls, wanted(), { ...options, answerTimeoutMs: 30 });
    await expect(answer).rejects.toMatchObject({ code: 'TIMEOUT' });
    await until(() => tunnel.cluster.streamCount === 0 && tunnel.tls.session.streamCount === 0);
  });

  test('to another certificate than the pinned one is BAD_GATEWAY, and not a byte of it is sent', async () => {
    let asked = 0;
    const tunnel = await tunnelTo(() => (asked += 1));
    const answer = openUpgrade({ ...tunnel.tls, pin: { fingerprint: 'another' } }, wanted(), options);
    await expect(answer).rejects.toMatchObject({ code: 'BAD_GATEWAY' });
    expect(asked).toBe(0);
  });

  test('beyond the bound is TOO_MANY_REQUESTS until one of those before has ended', async () => {
    const tunnel = await tunnelTo(accept);
    const upgrades = new UpgradeConnections(tunnel.tls, 2);
    const [first, second] = await Promise.all([
      upgrades.upgrade(wanted(), options),
      upgrades.upgrade(wanted(), options),
    ]);
    await expect(upgrades.upgrade(wanted(), options)).rejects.toMatchObject({
      code: 'TOO_MANY_REQUESTS',
      headers: { 'Retry-After': '5' },
    });
    if (first.kind !== 'switched' || second.kind !== 'switched') throw new Error('not switched');
    first.stream.destroy();
    await until(() => upgrades.size === 1);
    expect(await kindOf(upgrades.upgrade(wanted(), options))).toBe('switched');
    upgrades.close();
    await until(() => upgrades.size === 0);
  });

  test('ends with its tunnel, and none begins after it', async () => {
    const tunnel = await tunnelTo(accept);
    const upgrades = new UpgradeConnections(tunnel.tls);
    const answer = await upgrades.upgrade(wanted(), options);
    if (answer.kind !== 'switched') throw new Error('not switched');
    const closed = once(answer.stream, 'close');
    upgrades.close();
    await closed;
    await expect(upgrades.upgrade(wanted(), options)).rejects.toMatchObject({
      code: 'CLUSTER_NOT_CONNECTED',
    });
  });

  test('that fails frees its place', async () => {
    const tunnel = await tunnelTo((_request, socket) => socket.destroy());
    const upgrades = new UpgradeConnections(tunnel.tls, 1);
    for (let run = 0; run < 3; run += 1) {
      await expect(upgrades.upgrade(wanted(), options)).rejects.toMatchObject({ code: 'BAD_GATEWAY' });
    }
    expect(upgrades.size).toBe(0);
  });
});
