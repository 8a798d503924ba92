import { createDeflate, createInflate, constants, type Deflate, type Inflate } from 'node:zlib';

/** Words that the dictionary of SPDY/3 counts (draft-mbelshe-httpbis-spdy-00, 2.6.10.1), each after its length. */
const counted = [
  ...['options', 'head', 'post', 'put', 'delete', 'trace', 'accept', 'accept-charset', 'accept-encoding'],
  ...['accept-language', 'accept-ranges', 'age', 'allow', 'authorization', 'cache-control', 'connection'],
  ...['content-base', 'content-encoding', 'content-language', 'content-length', 'content-location'],
  ...['content-md5', 'content-range', 'content-type', 'date', 'etag', 'expect', 'expires', 'from', 'host'],
  ...['if-match', 'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'last-modified'],
  ...['location', 'max-forwards', 'pragma', 'proxy-authenticate', 'proxy-authorization', 'range', 'referer'],
  ...['retry-after', 'server', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'user-agent', 'vary', 'via'],
  ...['warning', 'www-authenticate', 'method', 'get', 'status', '200 OK', 'version', 'HTTP/1.1', 'url'],
  ...['public', 'set-cookie', 'keep-alive', 'origin'],
];
const uncounted =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505' +
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized' +
  '403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable' +
  'Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT' +
  'chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,' +
  'text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';

function length(size: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(size);
  return bytes;
}
const text = (value: string): Buffer => Buffer.concat([length(Buffer.byteLength(value)), Buffer.from(value)]);

export const dictionary = Buffer.concat([...counted.map(text), Buffer.from(uncounted)]);

/** Passes bytes through a zlib stream that keeps its state, and gives what came out up to the flush. */
function through(stream: Inflate | Deflate, bytes: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const out: Buffer[] = [];
    const onData = (chunk: Buffer) => out.push(chunk);
    stream.on('data', onData);
    stream.once('error', reject);
    stream.write(bytes);
    stream.flush(constants.Z_SYNC_FLUSH, () => {
      stream.off('data', onData);
      stream.off('error', reject);
      resolve(Buffer.concat(out));
    });
  });
}

/** The header blocks of one SPDY/3.1 connection: each direction is one compressed stream. */
export class SpdyHeaders {
  readonly #inflate = createInflate({ dictionary });
  readonly #deflate = createDeflate({ dictionary });

  /** Names in lower case. @throws Error for a block that is damaged */
  async read(block: Buffer): Promise<Map<string, string>> {
    const bytes = await through(this.#inflate, block);
    const headers = new Map<string, string>();
    let at = 4;
    const next = () => {
      const size = bytes.readUInt32BE(at);
      at += 4 + size;
      if (at > bytes.length) throw new Error('a header block is damaged');
      return bytes.toString('utf8', at - size, at);
    };
    for (let left = bytes.readUInt32BE(0); left > 0; left -= 1) headers.set(next().toLowerCase(), next());
    return headers;
  }

  write(headers: ReadonlyMap<string, string>): Promise<Buffer> {
    const parts = [...headers].flatMap(([name, value]) => [text(name), text(value)]);
    return through(this.#deflate, Buffer.concat([length(headers.size), ...parts]));
  }

  close(): void {
    this.#inflate.destroy();
    this.#deflate.destroy();
  }
}
