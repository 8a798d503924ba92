import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { glob, mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const sources = path.join(root, 'bench/peers');
const build = path.join(root, 'build/peers');

/** Its lock file names a crate that today's compiler refuses, so the newest fitting crates are taken. */
const ratholeVersion = '0.5.0';
const ratholeFile = path.join(build, `rathole-${ratholeVersion}/bin/rathole`);

/** The Go program of bench/peers, built when its sources or its compiler changed; undefined without Go. */
export async function goPeers(): Promise<string | undefined> {
  const { status, stdout } = spawnSync('go', ['env', 'GOVERSION'], { cwd: sources, encoding: 'utf8' });
  if (status !== 0) return undefined;
  const hash = createHash('sha256').update(stdout.trim());
  const files: string[] = [];
  for await (const file of glob(['*.go', 'go.mod', 'go.sum'], { cwd: sources })) files.push(file);
  for (const file of files.sort())
    hash.update(`\n${file}\n`).update(await readFile(path.join(sources, file)));
  const binary = path.join(build, `peers-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(binary)) return binary;
  await mkdir(build, { recursive: true });
  for await (const former of glob('peers-*', { cwd: build })) await rm(path.join(build, former));
  const unfinished = path.join(build, `unfinished-${process.pid}`);
  for (const given of [
    ['vet', './...'],
    ['build', '-trimpath', '-o', unfinished, '.'],
  ]) {
    if (spawnSync('go', given, { cwd: sources, stdio: 'inherit' }).status !== 0)
      throw new Error(`go ${given.join(' ')} failed`);
  }
  await rename(unfinished, binary);
  return binary;
}

/** rathole, if it was installed. */
export const ratholeProgram = (): string | undefined => (existsSync(ratholeFile) ? ratholeFile : undefined);

/** Installs rathole by cargo; some minutes. Gives why it could not, in words. */
export function installRathole(): string | undefined {
  if (ratholeProgram() !== undefined) return undefined;
  if (spawnSync('cargo', ['--version']).status !== 0) return 'no cargo is here (https://rustup.rs)';
  const { status } = spawnSync(
    'cargo',
    ['install', 'rathole', '--version', ratholeVersion, '--root', path.dirname(path.dirname(ratholeFile))],
    { stdio: 'inherit' },
  );
  return status === 0 ? undefined : `cargo install failed (${status})`;
}
