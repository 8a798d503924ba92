import { createHash } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import type { LogObject } from '../../../tunnel-fargate/ingest/log-repository.ts';

/** A flow as Goldmane writes it, one line. */
export function flowLine(name: string, end = 1_763_892_000, more = ''): string {
  return `{"Key":{"source_name":"${name}","dest_port":80,"reporter":1},"start_time":${end - 300},"end_time":${end}${more}}`;
}

/** The flows of a bucket that ends then. */
export const bucketOf = (end: number, names: readonly string[]): string =>
  names.map((name) => flowLine(name, end)).join('\n');

export const sha256 = (text: string | Buffer): string => createHash('sha256').update(text).digest('hex');

export const textOf = ({ body }: LogObject): string => gunzipSync(body).toString();

/** All lines of flows that are stored, in the order of their objects. */
export const storedLines = (objects: readonly LogObject[]): string[] =>
  objects.filter(({ kind }) => kind === 'flows').flatMap((object) => textOf(object).split('\n'));

export const rejectedObjects = (objects: readonly LogObject[]): LogObject[] =>
  objects.filter(({ kind }) => kind === 'flows-rejected');
