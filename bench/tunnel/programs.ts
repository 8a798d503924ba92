import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { goBinary, goVersion } from '../../scripts/go-module.ts';

const build = path.resolve(import.meta.dirname, '../../build/peers');

/** Its lock file names a crate that today's compiler refuses, so the newest fitting crates are taken. */
const ratholeVersion = '0.5.0';
const ratholeFile = path.join(build, `rathole-${ratholeVersion}/bin/rathole`);

/** The Go program of bench/peers, built when its sources or its compiler changed; undefined without Go. */
export async function goPeers(): Promise<string | undefined> {
  const version = goVersion();
  return version === undefined
    ? undefined
    : goBinary({ name: 'peers', sources: 'bench/peers', vet: true }, version);
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
