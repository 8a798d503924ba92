import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Fixture, clusterA, startTunnel, until } from '../tunnel-fixture.ts';
import { TestGuardian } from '../guardian.ts';
import { makeCa } from '../certificates.ts';

const hour = 3_600_000;

describe('identity of a tunnel', () => {
  let tunnel: Fixture;
  beforeEach(async () => {
    tunnel = await startTunnel();
  });
  afterEach(() => tunnel.close());

  const connect = (options: Partial<Parameters<typeof TestGuardian.connect>[0]> = {}) =>
    TestGuardian.connect({ port: tunnel.port, roots: tunnel.roots, ...options });

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'a known certificate opens a tunnel over %s',
    async (maxVersion) => {
      const guardian = await connect({ pair: await tunnel.register(), maxVersion });
      await tunnel.link();
      expect(guardian.socket.getProtocol()).toBe(maxVersion);
      expect(await guardian.session.ping()).toBeGreaterThan(0);
      await guardian.close();
    },
  );

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'a session of %s that the client offers again is not resumed: the identity is looked up each time',
    async (maxVersion) => {
      const pair = await tunnel.register();
      const first = await connect({ pair, maxVersion });
      const sessions: Buffer[] = [];
      first.socket.on('session', (session) => sessions.push(session));
      await first.session.ping();
      const session = sessions[0] ?? first.socket.getSession();
      await first.close();
      tunnel.directory.revoke(pair);
      const again = await connect({ pair, maxVersion, ...(session ? { session } : {}) });
      expect(again.socket.isSessionReused()).toBe(false);
      await refusedCleanly(again);
      expect(tunnel.refused()).toEqual(['CERTIFICATE_REVOKED']);
    },
  );

  test('the list of acceptable issuers is empty, so that Guardian sends its certificate', async () => {
    // TLS 1.2 says it in the clear.
    const { port, received, close } = await tappingProxy(tunnel.port);
    const guardian = await connect({ port, pair: await tunnel.register(), maxVersion: 'TLSv1.2' });
    const request = handshakeMessages(Buffer.concat(received)).find(
      ({ type }) => type === certificateRequest,
    );
    await guardian.close();
    close();
    expect(acceptableIssuers(request?.body ?? Buffer.alloc(0))).toHaveLength(0);
  });

  test('a peer without a certificate is refused after the delay: NO_CERTIFICATE', async () => {
    await refusedCleanly(await connect());
    expect(tunnel.refused()).toEqual(['NO_CERTIFICATE']);
  });

  test('an unknown certificate of any issuer is refused: CERTIFICATE_UNKNOWN', async () => {
    const stranger = await makeCa('a stranger');
    await refusedCleanly(await connect({ pair: await stranger.issue({ usage: 'client' }) }));
    await refusedCleanly(await connect({ pair: await tunnel.ca.issue({ usage: 'client' }) }));
    expect(tunnel.refused()).toEqual(['CERTIFICATE_UNKNOWN', 'CERTIFICATE_UNKNOWN']);
  });

  test('a revoked certificate is refused: CERTIFICATE_REVOKED', async () => {
    const pair = await tunnel.register({ revokedAt: Date.now() });
    await refusedCleanly(await connect({ pair }));
    expect(tunnel.refused()).toEqual(['CERTIFICATE_REVOKED']);
  });

  test('a certificate outside its dates is refused: CERTIFICATE_EXPIRED, CERTIFICATE_NOT_YET_VALID', async () => {
    const now = Date.now();
    await refusedCleanly(await connect({ pair: await tunnel.register({}, { notAfter: now - hour / 2 }) }));
    await refusedCleanly(await connect({ pair: await tunnel.register({ notAfter: now - 1 }) }));
    await refusedCleanly(await connect({ pair: await tunnel.register({}, { notBefore: now + hour }) }));
    expect(tunnel.refused()).toEqual([
      'CERTIFICATE_EXPIRED',
      'CERTIFICATE_EXPIRED',
      'CERTIFICATE_NOT_YET_VALID',
    ]);
  });

  test('a directory that does not answer refuses: DIRECTORY_UNAVAILABLE', async () => {
    const pair = await tunnel.register();
    tunnel.directory.failing = true;
    await refusedCleanly(await connect({ pair }));
    tunnel.directory.failing = false;
    expect(tunnel.refused()).toEqual(['DIRECTORY_UNAVAILABLE']);
    expect(tunnel.server.tunnels.get(clusterA)).toBeUndefined();
  });

  test('the same refusal of the same certificate is logged once', async () => {
    const pair = await tunnel.ca.issue({ usage: 'client' });
    await refusedCleanly(await connect({ pair }));
    await refusedCleanly(await connect({ pair }));
    expect(tunnel.refused()).toEqual(['CERTIFICATE_UNKNOWN']);
  });

  /** Not before the delay, with close_notify and FIN: an end, not an error. */
  async function refusedCleanly(guardian: TestGuardian): Promise<void> {
    const start = performance.now();
    let failure: unknown;
    guardian.socket.on('error', (error: Error) => void (failure = error));
    // A server that closes with this unread would send RST.
    guardian.socket.write(Buffer.alloc(400_000));
    let ended = false;
    guardian.socket.on('end', () => (ended = true));
    await guardian.ended;
    await until(() => guardian.socket.destroyed);
    expect(failure).toBeUndefined();
    expect(ended).toBe(true);
    expect(performance.now() - start).toBeGreaterThan(20);
    expect(guardian.opened).toBe(0);
  }
});

describe('refused peers', () => {
  test('wait in a bounded number: beyond it the oldest is let go', async () => {
    const tunnel = await startTunnel({
      agent: { refusals: { delayMs: 60_000, maxParked: 2, graceMs: 500 } },
    });
    const guardians: TestGuardian[] = [];
    for (let index = 0; index < 3; index += 1) {
      guardians.push(await TestGuardian.connect({ port: tunnel.port, roots: tunnel.roots }));
      await until(() => tunnel.directory.finds === 0);
    }
    await Promise.race(guardians.map(({ ended }) => ended));
    expect(guardians.filter(({ session }) => session.closed)).toHaveLength(1);
    await tunnel.close();
    await Promise.all(guardians.map(({ ended }) => ended));
  });
});

const certificateRequest = 13;

/** Passes bytes on and keeps those of the server. */
async function tappingProxy(target: number) {
  const received: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connectTcp(target, '127.0.0.1');
    upstream.on('data', (chunk: Buffer) => received.push(chunk));
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = () => {
    server.close();
    // Whose other side has gone waits for somebody to read on, for ever.
    for (const socket of sockets) socket.destroy();
  };
  return { port: (server.address() as AddressInfo).port, received, close };
}

/** The messages of the first plain handshake records (RFC 5246 §6.2.1, §7.4). */
function handshakeMessages(bytes: Buffer): { type: number; body: Buffer }[] {
  const records: Buffer[] = [];
  for (let at = 0; bytes[at] === 22; at += 5 + bytes.readUInt16BE(at + 3)) {
    records.push(bytes.subarray(at + 5, at + 5 + bytes.readUInt16BE(at + 3)));
  }
  const plain = Buffer.concat(records);
  const messages: { type: number; body: Buffer }[] = [];
  for (let at = 0; at + 4 <= plain.length; at += 4 + plain.readUIntBE(at + 1, 3)) {
    messages.push({
      type: plain[at] ?? 0,
      body: plain.subarray(at + 4, at + 4 + plain.readUIntBE(at + 1, 3)),
    });
  }
  return messages;
}

/** Bytes of the list of distinguished names in a CertificateRequest (RFC 5246 §7.4.4). */
function acceptableIssuers(body: Buffer): Buffer {
  const types = 1 + body.readUInt8(0);
  const algorithms = types + 2 + body.readUInt16BE(types);
  return body.subarray(algorithms + 2, algorithms + 2 + body.readUInt16BE(algorithms));
}
