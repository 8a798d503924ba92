import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import type * as z from 'zod';
import { Failure } from './failure.ts';

/**
 * Writes a file that only its owner can read (0600), in a directory that is made so (0700) where there is none. Whole
 * or not at all: whoever reads it sees the old content or the new, also after a crash.
 */
export async function writePrivateFile(file: string, content: string): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const unfinished = `${file}.${randomUUID()}.tmp`;
  try {
    const handle = await open(unfinished, 'wx', 0o600);
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(unfinished, file);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}

/** The file's text; undefined when there is no such file. */
export async function readIfPresent(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The code of an error of Node's: its class is not always of this realm. */
export const errorCode = (error: unknown): unknown => (error as { code?: unknown } | undefined)?.code;

/** One JSON document in a private file. */
export class PrivateJson<Schema extends z.ZodType> {
  readonly file: string;
  readonly #schema: Schema;

  constructor(file: string, schema: Schema) {
    this.file = file;
    this.#schema = schema;
  }

  /** Undefined when there is none. Throws a Failure when it is not what we wrote. */
  async read(): Promise<z.infer<Schema> | undefined> {
    const text = await readIfPresent(this.file);
    if (text === undefined) return undefined;
    try {
      return this.#schema.parse(JSON.parse(text));
    } catch (error) {
      // What is wrong would quote the file, which holds secrets.
      throw new Failure('failed', `${this.file} cannot be read. Delete it, and sign in again.`, error);
    }
  }

  write(value: z.infer<Schema>): Promise<void> {
    return writePrivateFile(this.file, `${JSON.stringify(value, null, 2)}\n`);
  }

  remove(): Promise<void> {
    return rm(this.file, { force: true });
  }
}
