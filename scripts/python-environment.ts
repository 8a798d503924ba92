import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');

/** The command of a Python of 3.11 or later that makes virtual environments; undefined: there is none here. */
export function findPython(): string | undefined {
  return ['python3.13', 'python3.12', 'python3.11', 'python3'].find(
    (command) =>
      spawnSync(command, ['-c', 'import sys, venv; sys.exit(sys.version_info < (3, 11))']).status === 0,
  );
}

/**
 * Folder of a virtual environment with exactly the packages of a requirements file (path from the root of the
 * repository; hashes checked), made once for each content of that file: `build/<name>-venv-<hash>`.
 * Throws when a package cannot be had.
 */
export async function pythonEnvironment(python: string, name: string, requirements: string): Promise<string> {
  const file = path.join(root, requirements);
  const digest = createHash('sha256')
    .update(await readFile(file))
    .digest('hex')
    .slice(0, 12);
  const directory = path.join(root, 'build', `${name}-venv-${digest}`);
  const complete = path.join(directory, 'complete');
  if (existsSync(complete)) return directory;
  run(python, ['-m', 'venv', '--clear', directory]);
  run(path.join(directory, 'bin/pip'), ['install', '--quiet', '--require-hashes', '-r', file]);
  await writeFile(complete, '');
  return directory;
}

function run(command: string, given: readonly string[]): void {
  const { status } = spawnSync(command, given, { stdio: ['ignore', 'ignore', 'inherit'] });
  if (status !== 0) throw new Error(`${command} ${given.join(' ')} failed (${status})`);
}
