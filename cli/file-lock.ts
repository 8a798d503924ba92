import { mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { Failure } from './failure.ts';
import { errorCode } from './private-file.ts';

type Options = {
  /** How long to wait for whoever holds it, milliseconds. */
  readonly waitMs: number;
  /** A lock older than this is nobody's, milliseconds: longer than any work under it takes. */
  readonly staleMs: number;
};

const pauseMs = 20;

/**
 * Does the work while no other process does it: the holder's file is made exclusively, and removed at the end. A holder
 * that died (its process is gone, or its file is too old) is put aside. Throws a Failure after `waitMs`.
 */
export async function withFileLock<T>(
  file: string,
  work: () => Promise<T>,
  { waitMs, staleMs }: Options,
): Promise<T> {
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const until = performance.now() + waitMs;
  while (!(await make(file))) {
    if (await isStale(file, staleMs)) await putAside(file, staleMs);
    else if (performance.now() > until) {
      throw new Failure(
        'failed',
        `Another cattery or kubectl holds ${file}. Try again; if none runs, delete it.`,
      );
    } else await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  try {
    return await work();
  } finally {
    await rm(file, { force: true });
  }
}

async function make(file: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o600);
    await handle.writeFile(`${process.pid} ${hostname()}\n`);
    await handle.close();
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

async function isStale(file: string, staleMs: number): Promise<boolean> {
  try {
    const { mtimeMs } = await stat(file);
    if (Date.now() - mtimeMs > staleMs) return true;
    const [pid, host] = (await readFile(file, 'utf8')).trim().split(' ');
    // One that was made this moment is still empty, kubectl's are always: only age tells of those.
    return host === hostname() && !isAlive(Number(pid));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** Removes a stale lock. One process at a time: two that saw the same stale file could remove each other's fresh one. */
async function putAside(file: string, staleMs: number): Promise<void> {
  const turn = `${file}.stale`;
  if (!(await make(turn))) {
    // Its holder has a handful of system calls to make; one that died in between is known by its age.
    const age = await stat(turn).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > staleMs) await rm(turn, { force: true });
    return;
  }
  try {
    if (await isStale(file, staleMs)) await rm(file, { force: true });
  } finally {
    await rm(turn, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) !== 'ESRCH';
  }
}
