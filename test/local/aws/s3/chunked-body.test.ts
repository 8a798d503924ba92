import { expect, test } from '@jest/globals';
import { chunkedData } from '../../../../local/aws/s3/chunked-body.ts';

async function decode(text: string, pieceSize: number) {
  const bytes = Buffer.from(text, 'latin1');
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += pieceSize)
      yield await Promise.resolve(bytes.subarray(at, at + pieceSize));
  }
  let trailers = new Map<string, string>();
  const data: Buffer[] = [];
  for await (const piece of chunkedData(pieces(), (sent) => (trailers = sent))) data.push(piece);
  return { data: Buffer.concat(data).toString('latin1'), trailers: Object.fromEntries(trailers) };
}

const whole = '5\r\nhello\r\n2\r\n\r\n\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n';

test.each([1, 2, 3, 7, 1_000])(
  'takes off the framing however the bytes are cut (%i at a time)',
  async (size) => {
    expect(await decode(whole, size)).toEqual({
      data: 'hello\r\n',
      trailers: { 'x-amz-checksum-crc32': 'AAAAAA==' },
    });
  },
);

test('a body that ends before its last chunk is IncompleteBody, wherever it ends', async () => {
  for (let length = 0; length < whole.length; length += 1) {
    await expect(decode(whole.slice(0, length), 1_000)).rejects.toMatchObject({ code: 'IncompleteBody' });
  }
});

test.each(['x\r\nhello\r\n', '5\r\nhello!\r\n0\r\n\r\n', '-5\r\n', '\r\n'])(
  'wrong framing %j is InvalidRequest',
  async (text) => {
    await expect(decode(text, 1_000)).rejects.toMatchObject({ code: 'InvalidRequest' });
  },
);
