import type { IncomingMessage } from 'node:http';
import { AwsError } from './aws-error.ts';

/** The whole body, at most `limit` bytes. */
export async function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit)
      throw new AwsError(
        'RequestEntityTooLargeException',
        `The request is larger than ${limit} bytes.`,
        413,
        { headers: { connection: 'close' } },
      );
    chunks.push(chunk);
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
}
