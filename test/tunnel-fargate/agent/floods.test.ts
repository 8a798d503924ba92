import { once } from 'node:events';
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { encodeHeader, Flag, FrameType } from '../../../tunnel-fargate/yamux/frame.ts';
import { hintName } from '../certificates.ts';
import { TestGuardian } from '../guardian.ts';
import { closing, clusterA, clusterB, type Fixture, startTunnel, until } from '../tunnel-fixture.ts';

/**
 * Of a live tunnel while a flood goes on, in one process and on one thread with those who make it. Idle it is a
 * millisecond; what is proved is that nobody waits for the flood to end.
 */
const answerWithinMs = 3_000;
const handshakeTimeoutMs = 300;

describe('on the tunnel port, beside a live tunnel that goes on answering,', () => {
  let tunnel: Fixture;
  let live: TestGuardian;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    tunnel = await startTunnel({
      agent: { handshakeTimeoutMs, refusals: { delayMs: 100, maxParked: 20, graceMs: 200 } },
    });
    live = await TestGuardian.connect({
      port: tunnel.port,
      roots: tunnel.roots,
      pair: await tunnel.register(),
    });
    await tunnel.link();
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await live.close();
    await tunnel.close();
  });

  /** From an address of its own, as the load balancer keeps them: live clusters are elsewhere. */
  const dial = (localAddress = '127.0.0.9') => {
    const socket = connectTcp({ port: tunnel.port, host: '127.0.0.1', localAddress });
    sockets.push(socket.on('error', () => undefined));
    return socket.resume();
  };
  const gone = () => sockets.every(({ destroyed }) => destroyed);
  const figure = async (name: string) => {
    const answer = await fetch(`http://127.0.0.1:${tunnel.server.ports.metrics}/metrics`);
    const line = (await answer.text()).split('\n').find((text) => text.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1));
  };

  /** The live tunnel's pings and requests until `over`: the longest answer, ms. */
  async function longestAnswer(over: () => boolean): Promise<number> {
    const link = await tunnel.link();
    let longest = 0;
    let rounds = 0;
    do {
      const start = performance.now();
      await live.session.ping();
      const stream = await link.request({ ':path': '/api/' }, { endStream: true });
      await once(stream, 'response');
      stream.resume();
      await once(stream, 'close');
      longest = Math.max(longest, performance.now() - start);
      rounds += 1;
    } while (rounds < 3 || !over());
    return longest;
  }

  /** The first bytes of a TLS handshake, as a client of ours begins one. */
  async function clientHello(): Promise<Buffer> {
    const { promise, resolve } = Promise.withResolvers<Buffer>();
    const server = createServer((socket) => socket.once('data', resolve).on('error', () => undefined));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const client = connectTls({ port, host: '127.0.0.1', servername: hintName }).on('error', () => undefined);
    const hello = await promise;
    client.destroy();
    server.close();
    return hello;
  }

  test('those who connect and say nothing are dropped beyond 64 of an address, and the rest after the timeout', async () => {
    for (let count = 0; count < 200; count += 1) dial();
    await until(() => sockets.filter(({ destroyed }) => destroyed).length === 200 - 64);
    expect(await longestAnswer(gone)).toBeLessThan(answerWithinMs);
    expect(await figure('cattery_handshakes_in_flight')).toBe(0);
    expect(await figure('cattery_handshakes_total{outcome="dropped"}')).toBe(200 - 64);
    expect(await figure('cattery_handshakes_total{outcome="failed"}')).toBe(64);
  });

  test('those who stop in the middle of a ClientHello are dropped after the timeout', async () => {
    const hello = await clientHello();
    for (let count = 0; count < 60; count += 1) dial().write(hello.subarray(0, 1 + count));
    expect(await longestAnswer(gone)).toBeLessThan(answerWithinMs);
    expect(await figure('cattery_handshakes_total{outcome="failed"}')).toBe(60);
  });

  test('those who bring a ClientHello byte by byte get no longer than the timeout', async () => {
    const hello = await clientHello();
    const start = performance.now();
    const slow = Array.from({ length: 20 }, () => dial());
    let at = 0;
    const drip = setInterval(() => {
      for (const socket of slow) if (!socket.destroyed) socket.write(hello.subarray(at, at + 1));
      at += 1;
    }, 10);
    expect(await longestAnswer(gone)).toBeLessThan(answerWithinMs);
    clearInterval(drip);
    // It would have taken this long to bring it all.
    expect(performance.now() - start).toBeLessThan(10 * hello.length);
  });

  test('those who bring anything but TLS are dropped at once', async () => {
    for (let count = 0; count < 50; count += 1) dial().write(Buffer.alloc(100_000, 0x16));
    const start = performance.now();
    expect(await longestAnswer(gone)).toBeLessThan(answerWithinMs);
    expect(performance.now() - start).toBeLessThan(answerWithinMs);
  });

  test('a known cluster that shakes hands and then says nothing is cut when it does not answer our ping', async () => {
    const silent = await startTunnel({
      ca: tunnel.ca,
      agent: { tunnel: { pingIntervalMs: 20, pingTimeoutMs: 50 } },
    });
    const pair = await silent.register();
    const socket = connectTls({
      port: silent.port,
      host: '127.0.0.1',
      servername: hintName,
      ca: silent.roots,
      cert: pair.certificate,
      key: pair.key,
    }).on('error', () => undefined);
    await until(() => silent.closed().length === 1);
    expect(silent.closed()).toEqual(['KEEPALIVE_TIMEOUT']);
    socket.destroy();
    await silent.close();
  });

  test('a storm of handshakes with unknown certificates is let in at a pace, and parks a bounded number', async () => {
    const stranger = await tunnel.ca.issue({ usage: 'client' });
    let storming = true;
    const storm = Array.from({ length: 40 }, async (_, index) => {
      while (storming) {
        const socket = connectTls({
          socket: connectTcp({
            port: tunnel.port,
            host: '127.0.0.1',
            localAddress: `127.0.0.${10 + (index % 4)}`,
          }).on('error', () => undefined),
          servername: hintName,
          ca: tunnel.roots,
          cert: stranger.certificate,
          key: stranger.key,
        }).on('error', () => undefined);
        // It does not wait to be ended: it comes back at once.
        socket.once('secureConnect', () => socket.end(() => socket.destroy()));
        await closing(socket);
      }
    });
    const end = performance.now() + 1_500;
    const finds = tunnel.directory.finds;
    const longest = await longestAnswer(() => performance.now() > end);
    const parked = await figure('cattery_refused_parked');
    storming = false;
    await Promise.all(storm);
    expect(longest).toBeLessThan(answerWithinMs);
    expect(parked).toBeLessThanOrEqual(20);
    const looked = tunnel.directory.finds - finds;
    expect(looked).toBeGreaterThan(20);
    // 4 in 10 ms, and what was begun before.
    expect(looked).toBeLessThan(1_500 * 0.4 * 1.2 + 40);
  });

  test('refused agents that come back as soon as they are let go cost a handshake per delay and no more', async () => {
    const agents = 10;
    const stranger = await tunnel.ca.issue({ usage: 'client' });
    let returning = true;
    const finds = tunnel.directory.finds;
    const start = performance.now();
    const herd = Array.from({ length: agents }, async () => {
      while (returning) {
        const agent = await TestGuardian.connect({
          port: tunnel.port,
          roots: tunnel.roots,
          pair: stranger,
        }).catch(() => undefined);
        await agent?.ended;
      }
    });
    const end = start + 1_000;
    expect(await longestAnswer(() => performance.now() > end)).toBeLessThan(answerWithinMs);
    returning = false;
    await Promise.all(herd);
    const rounds = (performance.now() - start) / 100;
    const handshakes = tunnel.directory.finds - finds;
    expect(handshakes).toBeGreaterThan(agents);
    expect(handshakes).toBeLessThanOrEqual(agents * (rounds + 1));
    // Each kind of refusal of a certificate is logged once a minute.
    expect(tunnel.refused()).toEqual(['CERTIFICATE_UNKNOWN']);
  });

  describe('a cluster of another tenant', () => {
    let hostile: TestGuardian;
    beforeEach(async () => {
      hostile = await TestGuardian.connect({
        port: tunnel.port,
        roots: tunnel.roots,
        pair: await tunnel.register({ tenantId: 't-bbbbbbbbbbbbbbbbbbbb', clusterId: clusterB }),
      });
      await tunnel.link(clusterB);
    });
    afterEach(() => hostile.close());

    test('that opens streams and says nothing on them gets 64, and the others are reset', async () => {
      let resets = 0;
      for (let count = 0; count < 1_000; count += 1) {
        hostile.session.open().on('error', () => (resets += 1));
      }
      expect(await longestAnswer(() => resets >= 1_000 - 64)).toBeLessThan(answerWithinMs);
      expect(tunnel.server.tunnels.get(clusterB)).toBeDefined();
      expect(await figure('cattery_streams')).toBeLessThanOrEqual(64 + 1);
    });

    test('that sends pings without end is cut: PING_FLOOD', async () => {
      const ping = encodeHeader(FrameType.ping, Flag.syn, 0, 1);
      hostile.socket.write(Buffer.concat(Array.from({ length: 10_000 }, () => ping)));
      expect(await longestAnswer(() => tunnel.closed().length === 1)).toBeLessThan(answerWithinMs);
      expect(tunnel.closed()).toEqual(['PING_FLOOD']);
    });

    test('that sends frames of no meaning without end costs what their bytes cost', async () => {
      // For streams that are over, say: dropped without a word, as the protocol wants it.
      const update = encodeHeader(FrameType.windowUpdate, Flag.none, 99, 1);
      const frames = Buffer.concat(Array.from({ length: 5_000 }, () => update));
      let sent = 0;
      const more = () => {
        while (sent < 200 && hostile.socket.write(frames)) sent += 1;
      };
      hostile.socket.on('drain', more);
      more();
      expect(await longestAnswer(() => sent >= 200)).toBeLessThan(answerWithinMs);
      expect(await hostile.session.ping()).toBeGreaterThan(0);
    });

    test('that opens and resets streams without end holds none', async () => {
      const frames: Buffer[] = [];
      for (let id = 1; id < 20_000; id += 2) {
        frames.push(encodeHeader(FrameType.windowUpdate, Flag.syn, id, 0));
        frames.push(encodeHeader(FrameType.windowUpdate, Flag.rst, id, 0));
      }
      hostile.socket.write(Buffer.concat(frames));
      const pinged = hostile.session.ping();
      let over = false;
      void pinged.finally(() => (over = true));
      expect(await longestAnswer(() => over)).toBeLessThan(answerWithinMs);
      await pinged;
      expect(await figure('cattery_streams')).toBeLessThanOrEqual(1);
      expect(tunnel.server.tunnels.get(clusterA)).toBeDefined();
    });
  });
});
