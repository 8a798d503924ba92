import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';

/** Writes a file that only its owner can read (0600), whole or not at all: whoever reads it sees the old content or the new. */
export async function writePrivateFile(file: string, content: string): Promise<void> {
  const unfinished = `${file}.${randomUUID()}.tmp`;
  try {
    await writeFile(unfinished, content, { mode: 0o600, flag: 'wx' });
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
    // By its code: node's own errors are not of the realm in which tests run.
    if ((error as { code?: unknown } | undefined)?.code === 'ENOENT') return undefined;
    throw error;
  }
}
