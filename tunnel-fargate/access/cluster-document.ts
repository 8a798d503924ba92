import { constants } from 'node:http2';
import type * as z from 'zod';
import { Problem } from '../../core/problem/problem.ts';
import type { ClusterLink } from '../agent/cluster-link.ts';
import { answerHead } from './cluster-answer.ts';
import { clusterAuthority } from './header-filter.ts';

/** A document that is larger than this is not read to its end, bytes. */
const maxDocumentBytes = 4 * 1024 * 1024;

export type ClusterDocument<Document> = {
  readonly document: Document;
  /** Of the body, for whoever accounts for memory. */
  readonly bytes: number;
};

/**
 * GETs a JSON document of a cluster for our own use and checks its shape.
 * Rejects with Problem BAD_GATEWAY (another status than 200, too large, another shape), TIMEOUT, or as the link does.
 */
export async function clusterDocument<Schema extends z.ZodType>(
  link: ClusterLink,
  path: string,
  { schema, accept, timeoutMs }: { schema: Schema; accept: string; timeoutMs: number },
): Promise<ClusterDocument<z.infer<Schema>>> {
  const signal = AbortSignal.timeout(timeoutMs);
  const late = () => new Problem('TIMEOUT', `The cluster did not answer ${path} in time.`);
  try {
    const stream = await link.request(
      { ':method': 'GET', ':scheme': 'https', ':authority': clusterAuthority, ':path': path, accept },
      { endStream: true, signal },
    );
    stream.on('error', () => undefined);
    const cancel = () => stream.close(constants.NGHTTP2_CANCEL);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const { status } = await answerHead(stream, { signal, timeoutMs: undefined });
      if (status !== 200) throw new Problem('BAD_GATEWAY', `The cluster answered ${path} with ${status}.`);
      const text = await readText(stream, path);
      return { document: parse(schema, text, path), bytes: text.length };
    } finally {
      signal.removeEventListener('abort', cancel);
      if (!stream.readableEnded) cancel();
    }
  } catch (error) {
    if (signal.aborted) throw late();
    if (error instanceof Problem) throw error;
    throw new Problem('BAD_GATEWAY', `The cluster did not answer ${path}.`, { cause: error });
  }
}

async function readText(stream: AsyncIterable<unknown>, path: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    if (size > maxDocumentBytes) {
      throw new Problem('BAD_GATEWAY', `The cluster's ${path} is larger than ${maxDocumentBytes} bytes.`);
    }
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse<Schema extends z.ZodType>(schema: Schema, text: string, path: string): z.infer<Schema> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Problem('BAD_GATEWAY', `The cluster's ${path} is not JSON.`);
  }
  const result = schema.safeParse(json);
  if (!result.success) throw new Problem('BAD_GATEWAY', `The cluster's ${path} has an unknown shape.`);
  return result.data;
}
