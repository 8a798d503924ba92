import { once } from 'node:events';
import { createDeflate, constants } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { dictionary, SpdyHeaders } from '../../../local/demo-cluster/spdy-headers.ts';
import { SpdySession, type SpdyStream } from '../../../local/demo-cluster/spdy-session.ts';

/** Adler-32 (RFC 1950 §8.2). */
function adler32(bytes: Buffer): number {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return b * 65_536 + a;
}

describe('the dictionary of SPDY/3', () => {
  test('is the one whose checksum every SPDY/3 peer names in its first header block', () => {
    expect([dictionary.length, adler32(dictionary)]).toEqual([1_423, 0xe3c6a7c2]);
  });
});

describe('a SPDY/3.1 session', () => {
  let sent: Buffer[];
  let opened: SpdyStream[];
  let paused: number;
  let session: SpdySession;
  let client: SpdyHeaders;
  beforeEach(() => {
    sent = [];
    opened = [];
    paused = 0;
    client = new SpdyHeaders();
    session = new SpdySession({
      send: (frame, done) => {
        sent.push(frame);
        done();
      },
      onStream: (stream) => opened.push(stream),
      pause: () => (paused += 1),
      resume: () => (paused = 0),
    });
  });
  afterEach(() => {
    session.close();
    client.close();
  });

  const frame = (type: number, payload: Buffer, flags = 0) => {
    const head = Buffer.from([0x80, 3, 0, type, flags, 0, 0, 0]);
    head.writeUIntBE(payload.length, 5, 3);
    return Buffer.concat([head, payload]);
  };
  const data = (id: number, text: string, flags = 0) => {
    const head = Buffer.from([0, 0, 0, id, flags, 0, 0, text.length]);
    return Buffer.concat([head, Buffer.from(text)]);
  };
  const open = async (id: number, headers: Record<string, string>, flags = 0) => {
    const block = await client.write(new Map(Object.entries(headers)));
    return frame(1, Buffer.concat([Buffer.from([0, 0, 0, id, 0, 0, 0, 0, 0, 0]), block]), flags);
  };
  const control = (bytes: Buffer | undefined) =>
    bytes && [bytes.readUInt16BE(2), bytes[4], bytes.readUInt32BE(8)];

  test('accepts streams with their headers, however the bytes are cut, and gives and takes data', async () => {
    const bytes = Buffer.concat([
      await open(1, { StreamType: 'error', Port: '8080', RequestId: '0' }),
      data(1, '', 1),
      await open(3, { StreamType: 'data', Port: '8080', RequestId: '0' }),
      data(3, 'hello'),
    ]);
    for (let at = 0; at < bytes.length; at += 7) await session.receive(bytes.subarray(at, at + 7));
    expect(opened.map(({ headers }) => headers.get('streamtype'))).toEqual(['error', 'data']);
    expect(sent.map(control)).toEqual([
      [2, 0, 1],
      [2, 0, 3],
    ]);
    const [error, stream] = opened;
    error?.resume();
    if (error) await once(error, 'end');
    expect(String(stream?.read())).toBe('hello');
    stream?.write('back');
    stream?.end();
    if (stream) await once(stream, 'finish');
    expect(sent.slice(2)).toEqual([data(3, 'back'), data(3, '', 1)]);
  });

  test('replies with a header block that a peer can read', async () => {
    await session.receive(await open(1, { a: 'b' }));
    expect([...(await client.read(sent[0]?.subarray(12) ?? Buffer.alloc(0)))]).toEqual([]);
  });

  test('answers pings with the same frame', async () => {
    const ping = frame(6, Buffer.from([0, 0, 0, 9]));
    await session.receive(ping);
    expect(sent).toEqual([ping]);
  });

  test('refuses even and repeated streams with RST, and still reads the headers of the next', async () => {
    await session.receive(await open(2, { a: 'b' }));
    await session.receive(await open(1, { a: 'b' }));
    await session.receive(await open(1, { c: 'd' }));
    await session.receive(await open(3, { e: 'f' }));
    expect(sent.map(control)).toEqual([
      [3, 0, 2],
      [2, 0, 1],
      [3, 0, 1],
      [2, 0, 3],
    ]);
    expect(opened.at(-1)?.headers.get('e')).toBe('f');
  });

  test('stops the sender when a stream is not read, and goes on when it is', async () => {
    await session.receive(await open(1, {}));
    for (let number = 0; number < 400; number += 1) await session.receive(data(1, 'x'.repeat(250)));
    expect(paused).toBeGreaterThan(0);
    opened[0]?.resume();
    await new Promise((resolve) => setImmediate(resolve));
    expect(paused).toBe(0);
  });

  test('ends a stream that is reset, and resets one that is destroyed', async () => {
    await session.receive(await open(1, {}));
    await session.receive(await open(3, {}));
    const [one, three] = opened;
    await session.receive(frame(3, Buffer.from([0, 0, 0, 1, 0, 0, 0, 5])));
    expect(one?.destroyed).toBe(true);
    three?.destroy();
    expect(control(sent.at(-1))).toEqual([3, 0, 3]);
    await session.receive(data(3, 'late'));
  });

  test('rejects what is not SPDY/3.1, and a header block that is damaged', async () => {
    await expect(session.receive(Buffer.from([0x80, 2, 0, 1, 0, 0, 0, 0]))).rejects.toThrow('not SPDY/3.1');
    const other = new SpdySession({
      send: () => undefined,
      onStream: () => undefined,
      pause: () => undefined,
      resume: () => undefined,
    });
    const noise = Buffer.alloc(40, 0x55);
    await expect(other.receive(frame(1, noise))).rejects.toThrow();
    other.close();
  });
});

test('header blocks of a peer with the same dictionary are read one after another', async () => {
  const deflate = createDeflate({ dictionary });
  const blocks: Buffer[] = [];
  deflate.on('data', (chunk: Buffer) => blocks.push(chunk));
  const headers = new SpdyHeaders();
  for (const value of ['first', 'second']) {
    blocks.length = 0;
    const length = (size: number) => Buffer.from([0, 0, 0, size]);
    deflate.write(
      Buffer.concat([length(1), length(4), Buffer.from('host'), length(value.length), Buffer.from(value)]),
    );
    await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve));
    expect((await headers.read(Buffer.concat(blocks))).get('host')).toBe(value);
  }
  headers.close();
  deflate.destroy();
});
