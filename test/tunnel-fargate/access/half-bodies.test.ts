import { once } from 'node:events';
import { constants } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { addAbortSignal } from 'node:stream';
import { afterEach, expect, test } from '@jest/globals';
import {
  type Access,
  type Cluster,
  clusterId,
  open,
  startCluster,
  startFixture,
  until,
} from './access-fixture.ts';

const pods = `/clusters/${clusterId}/api/v1/pods`;
const prefaceBytes = 24;

/** Frames that the link sent to the cluster: what Node's own server makes of them hides which came first. */
let sent: Buffer[];
let tap: Server;
let tapped: Socket[];
let cluster: Cluster;
let access: Access;

async function throughTap(port: number): Promise<number> {
  sent = [];
  tapped = [];
  tap = createServer((socket) => {
    const behind = connect(port, '127.0.0.1');
    tapped.push(socket, behind);
    for (const end of [socket, behind]) end.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => sent.push(chunk));
    socket.pipe(behind).pipe(socket);
  });
  tap.listen(0, '127.0.0.1');
  await once(tap, 'listening');
  return (tap.address() as AddressInfo).port;
}

/** What ended the request's stream, the second after the question for Guardian's right: RFC 9113 §4.1, the frames after the preface. */
function endings(): string[] {
  const bytes = Buffer.concat(sent);
  const found: string[] = [];
  for (let at = prefaceBytes; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    const [type, flags, stream] = [bytes[at + 3], bytes[at + 4] ?? 0, bytes.readUInt32BE(at + 5)];
    if (stream !== 3) continue;
    if (type === 0 && flags & constants.NGHTTP2_FLAG_END_STREAM) found.push('END_STREAM');
    if (type === 3) found.push(`RST_STREAM ${bytes.readUInt32BE(at + 9)}`);
  }
  return found;
}

afterEach(async () => {
  await access.close();
  await cluster.close();
  tap.close();
  // Whose other side has gone waits for somebody to read on, for ever.
  for (const socket of tapped) socket.destroy();
});

async function start(): Promise<() => string> {
  let seen = '';
  cluster = await startCluster(
    (stream) => stream.on('data', (chunk: Buffer) => (seen += chunk.toString())),
    clusterId,
    undefined,
    throughTap,
  );
  access = await startFixture(cluster);
  return () => seen;
}

test('a client that breaks off its body resets the request in the cluster and never ends it, over HTTP/2', async () => {
  const seen = await start();
  const stream = open(access.session(), pods, { ':method': 'POST' });
  stream.write('half');
  await until(() => seen() === 'half');
  const cut = new AbortController();
  addAbortSignal(cut.signal, stream);
  cut.abort();
  await until(() => endings().length > 0);
  expect(endings()).toEqual([`RST_STREAM ${constants.NGHTTP2_CANCEL}`]);
});

test('a client whose connection is lost does so too', async () => {
  const seen = await start();
  const session = access.session();
  const stream = open(session, pods, { ':method': 'POST' });
  stream.write('half');
  await until(() => seen() === 'half');
  session.socket.destroy();
  await until(() => endings().length > 0);
  expect(endings()).toEqual([`RST_STREAM ${constants.NGHTTP2_CANCEL}`]);
});

test.each(['Content-Length', 'chunked'])('and over HTTP/1.1 with %s', async (framing) => {
  const seen = await start();
  const request = httpsRequest({
    host: '127.0.0.1',
    port: access.port,
    path: pods,
    method: 'POST',
    ca: access.ca.certificate,
    headers: {
      authorization: 'Bearer editor',
      ...(framing === 'chunked' ? {} : { 'content-length': '100' }),
    },
    agent: false,
  });
  request.on('error', () => undefined);
  request.write('half');
  await until(() => seen() === 'half');
  request.destroy();
  await until(() => endings().length > 0);
  expect(endings()).toEqual([`RST_STREAM ${constants.NGHTTP2_CANCEL}`]);
});

test('a body that comes to its end is ended in the cluster', async () => {
  const seen = await start();
  const stream = open(access.session(), pods, { ':method': 'POST' });
  stream.end('whole');
  await until(() => endings().length > 0 && seen() === 'whole');
  expect(endings()).toEqual(['END_STREAM']);
  stream.close(constants.NGHTTP2_CANCEL);
});
