import { type ClientHttp2Stream, constants } from 'node:http2';
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
 * GETs a JSON document of a cluster for our own use, or POSTs a question for one, and checks its shape.
 * Rejects with Problem BAD_GATEWAY (another status than 200, or 201 for a question, too large, another shape), TIMEOUT, or as the link does.
 */
export async function clusterDocument<Schema extends z.ZodType>(
  link: ClusterLink,
  path: string,
  {
    schema,
    accept,
    timeoutMs,
    body,
  }: { schema: Schema; accept: string; timeoutMs: number; body?: Readonly<Record<string, unknown>> },
): Promise<ClusterDocument<z.infer<Schema>>> {
  const signal = AbortSignal.timeout(timeoutMs);
  const late = () => new Problem('TIMEOUT', `The cluster did not answer ${path} in time.`);
  try {
    const stream = await link.request(
      {
        ':method': body ? 'POST' : 'GET',
        ':scheme': 'https',
        ':authority': clusterAuthority,
        ':path': path,
        accept,
        ...(body ? { 'content-type': 'application/json' } : {}),
      },
      { endStream: !body, signal },
    );
    stream.on('error', () => undefined);
    if (body) stream.end(JSON.stringify(body));
    const cancel = () => stream.close(constants.NGHTTP2_CANCEL);
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const { status } = await answerHead(stream, { signal, timeoutMs: undefined });
      if (status !== 200 && !(body && status === 201))
        throw new Problem('BAD_GATEWAY', `The cluster answered ${path} with ${status}.`);
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

/**
 * Not by async iteration: Node takes an HTTP/2 stream that both sides have ended for one that is over, and forgets what
 * of it is still unread; an answer that comes whole in one read is such a one.
 */
function readText(stream: ClientHttp2Stream, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const cutShort = () => reject(new Problem('BAD_GATEWAY', `The cluster broke off its ${path}.`));
    stream.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      size += chunk.length;
      if (size <= maxDocumentBytes) return;
      stream.pause();
      reject(new Problem('BAD_GATEWAY', `The cluster's ${path} is larger than ${maxDocumentBytes} bytes.`));
    });
    // A reset or a lost connection also makes Node say 'end'; only the code tells.
    stream.once('end', () => {
      if (stream.rstCode) cutShort();
      else resolve(Buffer.concat(chunks).toString('utf8'));
    });
    stream.once('close', cutShort);
    if (stream.destroyed) cutShort();
  });
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
