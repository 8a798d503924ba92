import { AwsError } from '../aws-error.ts';

const lineLimit = 16 * 1024;

/**
 * Takes the framing off a body in `aws-chunked` coding with unsigned chunks (`STREAMING-UNSIGNED-PAYLOAD-TRAILER`):
 * `<hex size>CRLF <data> CRLF … 0 CRLF <trailers> CRLF`. Yields the data; the trailers are handed over after the last chunk.
 * Throws IncompleteBody when the stream ends early and InvalidRequest when the framing is wrong.
 */
export async function* chunkedData(
  source: AsyncIterable<Buffer>,
  onTrailers: (trailers: Map<string, string>) => void,
): AsyncGenerator<Buffer> {
  const reader = new FramedReader(source);
  for (;;) {
    const line = await reader.line();
    const size = /^([0-9a-fA-F]{1,12})(?:;.*)?$/.exec(line)?.[1];
    if (size === undefined)
      throw new AwsError('InvalidRequest', 'The aws-chunked body has a chunk without a size.');
    let left = Number.parseInt(size, 16);
    if (left === 0) break;
    while (left > 0) {
      const piece = await reader.some(left);
      left -= piece.length;
      yield piece;
    }
    if ((await reader.line()) !== '')
      throw new AwsError('InvalidRequest', 'A chunk of the aws-chunked body is longer than it says.');
  }
  const trailers = new Map<string, string>();
  for (let line = await reader.line(); line !== ''; line = await reader.line()) {
    const colon = line.indexOf(':');
    if (colon > 0) trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  onTrailers(trailers);
}

class FramedReader {
  private readonly source: AsyncIterator<Buffer>;
  private held: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.source = source[Symbol.asyncIterator]();
  }

  /** At most `limit` bytes, at least one. */
  async some(limit: number): Promise<Buffer> {
    if (this.held.length === 0) this.held = await this.next();
    const piece = this.held.subarray(0, limit);
    this.held = this.held.subarray(piece.length);
    return piece;
  }

  /** The text up to the next CRLF. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.held.indexOf('\r\n');
      if (end >= 0) {
        const line = this.held.toString('latin1', 0, end);
        this.held = this.held.subarray(end + 2);
        return line;
      }
      if (this.held.length > lineLimit)
        throw new AwsError('InvalidRequest', 'A line of the aws-chunked body is too long.');
      this.held = Buffer.concat([this.held, await this.next()]);
    }
  }

  private async next(): Promise<Buffer> {
    for (;;) {
      const step: IteratorResult<Buffer, unknown> = await this.source.next();
      if (step.done) throw new AwsError('IncompleteBody', 'The request body ended before its last chunk.');
      if (step.value.length > 0) return step.value;
    }
  }
}
