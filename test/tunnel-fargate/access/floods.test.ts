import { once } from 'node:events';
import type { ClientHttp2Session } from 'node:http2';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Route } from '../../../tunnel-fargate/directory/router.ts';
import { closing } from '../tunnel-fixture.ts';
import {
  type Access,
  type Cluster,
  clusterId,
  echo,
  open,
  otherClusterId,
  otherTenantId,
  startCluster,
  startFixture,
  until,
} from './access-fixture.ts';

/** As in ../agent/floods.test.ts: flood, server and the one who is served share a thread. */
const answerWithinMs = 3_000;
const path = `/clusters/${clusterId}/api/v1/pods`;

/** One frame of HTTP/2 (RFC 9113 §4.1). */
function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
const headersFrame = 1;
const rstStream = 3;
const settings = 4;
const ping = 6;
const continuation = 9;
const endStream = 1;
const endHeaders = 4;
const preface = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(settings, 0, 0)]);

/** Literal fields without indexing (RFC 7541 §6.2.2); names and values below 127 bytes. */
const fields = (...pairs: readonly (readonly [string, string])[]): Buffer =>
  Buffer.concat(
    pairs.flatMap(([name, value]) => [
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]),
  );
const request = fields(
  [':method', 'GET'],
  [':scheme', 'https'],
  [':path', path],
  [':authority', 'x'],
  ['authorization', 'Bearer editor'],
);

describe('on the users’ port, beside a user who goes on being answered,', () => {
  let cluster: Cluster;
  let other: Cluster;
  let access: Access;
  let session: ClientHttp2Session;
  let dropped: number;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    dropped = 0;
    cluster = await startCluster(echo);
    other = await startCluster(echo, otherClusterId, otherTenantId);
    access = await startFixture(cluster, {
      router,
      timing: { handshakeTimeoutMs: 300, headersTimeoutMs: 300, firstRequestMs: 300 },
      onDropped: () => (dropped += 1),
    });
    session = access.session();
    await answered();
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await access.close();
    await cluster.close();
    await other.close();
  });
  const router = {
    route: (id: string): Promise<Route> =>
      Promise.resolve({ kind: 'link', link: id === clusterId ? cluster.link : other.link }),
  };

  /** One request of the user, who is of another tenant than those who make the flood, and has a cluster of their own. */
  async function answered(): Promise<number> {
    const start = performance.now();
    const stream = open(session, `/clusters/${otherClusterId}/api/v1/pods`, {
      authorization: 'Bearer editor-other',
    });
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    expect(headers[':status']).toBe(200);
    stream.resume();
    await once(stream, 'close');
    return performance.now() - start;
  }
  /** The longest answer until `over`, ms. */
  async function longestAnswer(over: () => boolean): Promise<number> {
    let longest = 0;
    let rounds = 0;
    do {
      longest = Math.max(longest, await answered());
      rounds += 1;
      // Below the limit of requests in a second, which is not what is tested here.
      await delay(10);
    } while (rounds < 3 || !over());
    return longest;
  }

  const dial = () => {
    const socket = connectTcp({ port: access.port, host: '127.0.0.1', localAddress: '127.0.0.9' });
    sockets.push(socket.on('error', () => undefined));
    return socket.resume();
  };
  const tls = async (protocol: 'h2' | 'http/1.1'): Promise<TLSSocket> => {
    const socket = connectTls({
      socket: connectTcp({ port: access.port, host: '127.0.0.1', localAddress: '127.0.0.9' }),
      host: '127.0.0.1',
      ca: access.ca.certificate,
      ALPNProtocols: [protocol],
    });
    sockets.push(socket.on('error', () => undefined));
    await once(socket, 'secureConnect');
    return socket.resume();
  };
  const gone = () => sockets.every(({ destroyed }) => destroyed);

  test('those who connect and say nothing are dropped beyond 64 of an address, and the rest after the timeout', async () => {
    for (let count = 0; count < 200; count += 1) dial();
    await until(() => dropped === 200 - 64);
    expect(await longestAnswer(gone)).toBeLessThan(answerWithinMs);
    // Their places are free again.
    await tls('h2');
    expect(dropped).toBe(200 - 64);
  });

  test('those who stop in the middle of a TLS record are dropped after the timeout', async () => {
    const hello = Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]);
    for (let count = 0; count < 60; count += 1) dial().write(hello.subarray(0, 1 + (count % hello.length)));
    expect(await longestAnswer(gone)).toBeLessThan(answerWithinMs);
  });

  test('a storm of handshakes is let in at a pace', async () => {
    await access.close();
    access = await startFixture(cluster, {
      router,
      pace: { maxInFlight: 100, maxPerAddress: 100, startsPerInterval: 1, intervalMs: 10 },
    });
    session = access.session();
    await answered();
    let shaken = 0;
    const end = performance.now() + 1_000;
    const storm = Array.from({ length: 30 }, async () => {
      while (performance.now() < end) {
        const socket = await tls('h2').catch(() => undefined);
        if (!socket) continue;
        shaken += 1;
        socket.destroy();
      }
    });
    expect(await longestAnswer(() => performance.now() > end)).toBeLessThan(answerWithinMs);
    await Promise.all(storm);
    expect(shaken).toBeGreaterThan(10);
    expect(shaken).toBeLessThan(100 * 1.3 + 30);
  });

  test('connections of one address beyond its share are dropped, and taken again when others are gone', async () => {
    await access.close();
    access = await startFixture(cluster, { router, maxPerAddress: 5, onDropped: () => (dropped += 1) });
    session = access.session();
    await answered();
    for (let count = 0; count < 5; count += 1) await tls('h2');
    const beyond = dial();
    await closing(beyond);
    expect(dropped).toBe(1);
    expect(await longestAnswer(() => true)).toBeLessThan(answerWithinMs);
    sockets[0]?.destroy();
    let again: TLSSocket | undefined;
    while (!again) again = await tls('h2').catch(() => undefined);
  });

  test.each([
    ['nothing', ''],
    ['half a head', `GET ${path} HTTP/1.1\r\nHost: x\r\nX-Slow: `],
  ])('an HTTP/1.1 connection that brings %s is ended after the timeout', async (_what, text) => {
    for (let count = 0; count < 30; count += 1) (await tls('http/1.1')).write(text);
    expect(await longestAnswer(gone)).toBeLessThan(answerWithinMs);
  });

  test('an HTTP/1.1 head that comes byte by byte is ended after the timeout', async () => {
    const socket = await tls('http/1.1');
    socket.write(`GET ${path} HTTP/1.1\r\nX-Drip: `);
    const drip = setInterval(() => socket.write('a'), 10);
    expect(await longestAnswer(gone)).toBeLessThan(answerWithinMs);
    clearInterval(drip);
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['its preface', preface],
    [
      'half the head of a request',
      Buffer.concat([preface, frame(headersFrame, endStream, 1, request.subarray(0, 20))]),
    ],
  ])('an HTTP/2 connection that brings %s is ended after the timeout', async (_what, bytes) => {
    for (let count = 0; count < 30; count += 1) (await tls('h2')).write(bytes);
    expect(await longestAnswer(gone)).toBeLessThan(answerWithinMs);
  });

  test('requests that are reset as soon as they are made end the connection, not the server', async () => {
    const socket = await tls('h2');
    socket.write(preface);
    let stream = 1;
    const more = () => {
      while (!socket.destroyed && stream < 200_000) {
        const taken = socket.write(
          Buffer.concat([
            frame(headersFrame, endStream | endHeaders, stream, request),
            frame(rstStream, 0, stream, Buffer.from([0, 0, 0, 8])),
          ]),
        );
        stream += 2;
        if (!taken) return;
      }
    };
    socket.on('drain', more);
    more();
    expect(await longestAnswer(() => socket.destroyed)).toBeLessThan(answerWithinMs);
    await until(() => access.server.inFlight === 0);
    // The tenant's own limit is what its cluster feels of it.
    expect(cluster.seen.length).toBeLessThan(2_000);
  });

  test('a head that never ends (CONTINUATION) ends the connection', async () => {
    const socket = await tls('h2');
    socket.write(Buffer.concat([preface, frame(headersFrame, endStream, 1, request)]));
    const more = frame(continuation, 0, 1, fields(['x-more', 'a'.repeat(100)]));
    const sending = setInterval(
      () => socket.write(Buffer.concat(Array.from({ length: 100 }, () => more))),
      1,
    );
    expect(await longestAnswer(() => socket.destroyed)).toBeLessThan(answerWithinMs);
    clearInterval(sending);
  });

  test.each([
    ['PING', frame(ping, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', frame(settings, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0]))],
  ])('%s frames without end, whose answers nobody reads, end the connection', async (_name, each) => {
    const socket = await tls('h2');
    socket.pause();
    socket.write(preface);
    const frames = Buffer.concat(Array.from({ length: 2_000 }, () => each));
    const more = () => {
      while (!socket.destroyed && socket.write(frames)) if (socket.bytesWritten > 200e6) return;
    };
    socket.on('drain', more);
    more();
    const closed = closing(socket);
    let over = false;
    void closed.then(() => (over = true));
    expect(await longestAnswer(() => over)).toBeLessThan(answerWithinMs);
  });

  test.each([
    ['PING', frame(ping, 0, 0, Buffer.alloc(8))],
    ['SETTINGS', frame(settings, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0]))],
    ['WINDOW_UPDATE', frame(8, 0, 0, Buffer.from([0, 0, 0, 1]))],
    ['PRIORITY', frame(2, 0, 3, Buffer.from([0, 0, 0, 1, 1]))],
    ['of an unknown type', frame(99, 0, 0, Buffer.alloc(8))],
  ])('frames without end, whose answers are read, cost what their bytes cost: %s', async (_name, each) => {
    const socket = await tls('h2');
    socket.write(preface);
    const frames = Buffer.concat(Array.from({ length: 2_000 }, () => each));
    let sent = 0;
    const more = () => {
      while (!socket.destroyed && sent < 50 && socket.write(frames)) sent += 1;
    };
    socket.on('drain', more);
    more();
    expect(await longestAnswer(() => sent >= 50 || socket.destroyed)).toBeLessThan(answerWithinMs);
  });
});
