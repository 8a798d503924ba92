import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { glob, mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const build = path.join(root, 'build');

export type GoModule = {
  /** Of the binary; also of no other module's. */
  readonly name: string;
  /** The module's folder, from the root of the repository. */
  readonly sources: string;
  /** Flags of `go build` beside the usual ones. */
  readonly flags?: readonly string[];
  /** Whether `go vet` runs before; it compiles anew what is built with other flags. */
  readonly vet: boolean;
};

/** The other side of the wire, on hashicorp/yamux. */
export const interopModule: GoModule = { name: 'interop', sources: 'test/interop', vet: true };

/** What a Kubernetes API says at /version comes from the linker; without that it says nothing sensible. */
const kubernetesVersion = Object.entries({ gitVersion: 'v1.33.13', gitMajor: '1', gitMinor: '33' })
  .map(([member, value]) => `-X k8s.io/component-base/version.${member}=${value}`)
  .join(' ');

/** A real Kubernetes API. */
export const kubeModule: GoModule = {
  name: 'kube',
  sources: 'test/kube',
  flags: ['-ldflags', `-s -w ${kubernetesVersion}`],
  vet: false,
};

/** What `go env GOVERSION` says; undefined: no Go is here. */
export function goVersion(): string | undefined {
  const { status, stdout } = spawnSync('go', ['env', 'GOVERSION'], { cwd: root, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * Path of the module's binary, below build/. Named after its sources, its flags and its compiler, so that it is built
 * once for each. Throws when it does not compile.
 */
export async function goBinary(
  { name, sources, flags = [], vet }: GoModule,
  version: string,
): Promise<string> {
  const folder = path.join(root, sources);
  const hash = createHash('sha256').update(`${version}\n${flags.join('\n')}`);
  const files: string[] = [];
  for await (const file of glob(['**/*.go', 'go.mod', 'go.sum'], { cwd: folder })) files.push(file);
  for (const file of files.sort()) {
    hash.update(`\n${file}\n`).update(await readFile(path.join(folder, file)));
  }
  const binary = path.join(build, `${name}-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(binary)) return binary;
  await mkdir(build, { recursive: true });
  for await (const former of glob(`${name}-*`, { cwd: build })) await rm(path.join(build, former));
  const unfinished = path.join(build, `${name}-${process.pid}.new`);
  if (vet) go(folder, 'vet', './...');
  go(folder, 'build', '-trimpath', ...flags, '-o', unfinished, '.');
  await rename(unfinished, binary);
  return binary;
}

function go(cwd: string, ...given: string[]): void {
  const { status } = spawnSync('go', given, { cwd, stdio: 'inherit' });
  if (status !== 0) throw new Error(`go ${given.join(' ')} failed (${status})`);
}
