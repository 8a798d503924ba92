import { once } from 'node:events';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Access, type Cluster, clusterId, echo, startCluster, startFixture } from './access-fixture.ts';

const pods = `/clusters/${clusterId}/api/v1/pods`;
const type = { data: 0, headers: 1, reset: 3, settings: 4, goaway: 7 } as const;
const flag = { endStream: 1, ack: 1, endHeaders: 4 } as const;

let cluster: Cluster;
let access: Access;
beforeAll(async () => {
  cluster = await startCluster(echo);
  access = await startFixture(cluster);
});
afterAll(async () => {
  await access.close();
  await cluster.close();
});

/** RFC 9113 §4.1. */
function frame(kind: number, flags: number, id: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header.writeUInt8(kind, 3);
  header.writeUInt8(flags, 4);
  header.writeUInt32BE(id, 5);
  return Buffer.concat([header, payload]);
}

type Field = readonly [name: string, value: string];

/** Literals without indexing (RFC 7541 §6.2.2), so that nothing is too odd to be said. */
const blockOf = (fields: readonly Field[]): Buffer =>
  Buffer.concat(fields.flatMap(([name, value]) => [Buffer.of(0), text(name), text(value)]));
function text(of: string): Buffer {
  const bytes = Buffer.from(of, 'latin1');
  if (bytes.length >= 127) throw new Error('too long for one length byte');
  return Buffer.concat([Buffer.of(bytes.length), bytes]);
}

const pseudo: readonly Field[] = [
  [':method', 'POST'],
  [':scheme', 'https'],
  [':authority', 'x'],
  [':path', pods],
];
const plain: readonly Field[] = [['authorization', 'Bearer editor']];

/** What the server makes of one request: the type of the frame that answers it, and of a reset or GOAWAY its code. */
async function answerTo(fields: readonly Field[], body = ''): Promise<string> {
  const socket: TLSSocket = connectTls({
    host: '127.0.0.1',
    port: access.port,
    ca: access.ca.certificate,
    ALPNProtocols: ['h2'],
  });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  const head = frame(type.headers, flag.endHeaders, 1, blockOf(fields));
  const rest = frame(type.data, flag.endStream, 1, Buffer.from(body));
  socket.write(
    Buffer.concat([
      Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
      frame(type.settings, 0, 0, Buffer.alloc(0)),
      head,
      rest,
    ]),
  );
  let input = Buffer.alloc(0);
  try {
    for await (const chunk of socket) {
      input = Buffer.concat([input, chunk as Buffer]);
      while (input.length >= 9 && input.length >= 9 + input.readUIntBE(0, 3)) {
        const [length, kind, id] = [input.readUIntBE(0, 3), input.readUInt8(3), input.readUInt32BE(5)];
        const payload = input.subarray(9, 9 + length);
        input = input.subarray(9 + length);
        if (kind === type.reset) return `RST_STREAM ${payload.readUInt32BE(0)}`;
        if (kind === type.goaway) return `GOAWAY ${payload.readUInt32BE(4)}`;
        // The first byte tells of the usual ones: the static table's `:status` (RFC 7541, appendix A).
        if (kind === type.headers && id === 1) return statuses[payload.readUInt8(0)] ?? 'another status';
      }
    }
  } finally {
    socket.destroy();
  }
  return 'closed';
}
const statuses: Readonly<Record<number, string>> = { 0x88: '200', 0x8c: '400', 0x8d: '404' };

test('a request by hand is answered as any other', async () => {
  expect(await answerTo([...pseudo, ...plain])).toBe('200');
});

describe('HTTP/2 that another reader may take for another request', () => {
  const without = (name: string) => pseudo.filter(([of]) => of !== name);
  const changed = (name: string, value: string) =>
    pseudo.map(([of, was]): Field => [of, of === name ? value : was]);

  test.each<[string, readonly Field[], string?]>([
    ['a pseudo-header twice', [...pseudo, [':path', '/clusters/other/api'], ...plain]],
    ['a pseudo-header after the others', [...without(':path'), ...plain, [':path', pods]]],
    ['a pseudo-header that nobody knows', [...pseudo, [':host', 'x'], ...plain]],
    ['a status in a request', [...pseudo, [':status', '200'], ...plain]],
    ['no method', [...without(':method'), ...plain]],
    ['no path', [...without(':path'), ...plain]],
    ['no scheme', [...without(':scheme'), ...plain]],
    ['an empty path', [...changed(':path', ''), ...plain]],
    ['a method with a space', [...changed(':method', 'GET /x'), ...plain]],
    [
      'the protocol of an extended CONNECT',
      [...changed(':method', 'CONNECT'), [':protocol', 'websocket'], ...plain],
    ],
    ['Connection', [...pseudo, ...plain, ['connection', 'close']]],
    ['Keep-Alive', [...pseudo, ...plain, ['keep-alive', '1']]],
    ['Proxy-Connection', [...pseudo, ...plain, ['proxy-connection', 'close']]],
    ['Transfer-Encoding', [...pseudo, ...plain, ['transfer-encoding', 'chunked']]],
    ['Upgrade', [...pseudo, ...plain, ['upgrade', 'websocket']]],
    ['TE other than trailers', [...pseudo, ...plain, ['te', 'gzip']]],
    ['a name in upper case', [...pseudo, ...plain, ['X-Name', 'x']]],
    ['two Content-Lengths', [...pseudo, ...plain, ['content-length', '0'], ['content-length', '5']]],
    ['a Content-Length that is no number', [...pseudo, ...plain, ['content-length', '+5']], 'hello'],
    ['a body longer than its Content-Length', [...pseudo, ...plain, ['content-length', '2']], 'hello'],
    ['a body shorter than its Content-Length', [...pseudo, ...plain, ['content-length', '9']], 'hello'],
  ])('never reaches the cluster whole: %s', async (_what, fields, body = '') => {
    const before = cluster.seen.length;
    const answer = await answerTo(fields, body);
    // PROTOCOL_ERROR, the end of the connection (INTERNAL_ERROR: Node's own word), or our 400: never an answer of the cluster.
    expect(answer).toMatch(/^(?:RST_STREAM 1|GOAWAY [12]|400|closed)$/);
    const reached = cluster.seen.slice(before).filter((headers) => headers[':path'] !== '/api/v1/pods');
    expect(reached).toEqual([]);
  });

  test.each<[string, readonly Field[]]>([
    ['a name with a space', [...pseudo, ...plain, ['x name', 'x']]],
    ['a name with a colon', [...pseudo, ...plain, ['x:name', 'x']]],
    ['a name with a line end', [...pseudo, ...plain, ['x\r\nhost', 'x']]],
    ['an empty name', [...pseudo, ...plain, ['', 'x']]],
    ['a value with a line end', [...pseudo, ...plain, ['x-name', 'x\r\nimpersonate-user: root']]],
    ['a value with a line feed', [...pseudo, ...plain, ['x-name', 'x\ny']]],
    ['a value with a zero', [...pseudo, ...plain, ['x-name', 'x\0y']]],
  ])('is dropped, as nghttp2 does: %s', async (_what, fields) => {
    expect(await answerTo(fields)).toBe('200');
    expect(Object.keys(cluster.seen.at(-1) ?? {})).toEqual([':method', ':scheme', ':authority', ':path']);
  });
});
