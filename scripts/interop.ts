/** `npm run test:interop`: builds the Go module in test/interop/, then runs the tests beside it, which use it as the other side. */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { glob, mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const sources = path.join(root, 'test/interop');
const build = path.join(root, 'build');

/** `go env GOVERSION`; undefined: no Go is here. */
function goVersion(): string | undefined {
  const { status, stdout } = spawnSync('go', ['env', 'GOVERSION'], { cwd: sources, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/** The binary's path; it is named after its sources and its compiler, so that it is built once for each. */
async function binaryOf(version: string): Promise<string> {
  const hash = createHash('sha256').update(version);
  const files: string[] = [];
  for await (const file of glob(['*.go', 'go.mod', 'go.sum'], { cwd: sources })) files.push(file);
  for (const file of files.sort())
    hash.update(`\n${file}\n`).update(await readFile(path.join(sources, file)));
  const binary = path.join(build, `interop-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(binary)) return binary;
  await mkdir(build, { recursive: true });
  for await (const former of glob('interop-*', { cwd: build })) await rm(path.join(build, former));
  const unfinished = path.join(build, `interop-${process.pid}.new`);
  go('vet', './...');
  go('build', '-trimpath', '-o', unfinished, '.');
  await rename(unfinished, binary);
  return binary;
}

function go(...given: string[]): void {
  const { status } = spawnSync('go', given, { cwd: sources, stdio: 'inherit' });
  if (status !== 0) throw new Error(`go ${given.join(' ')} failed (${status})`);
}

function runTests(binary: string): Promise<number> {
  const jest = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    path.join(root, 'node_modules/jest/bin/jest.js'),
    ...process.argv.slice(2),
    // Last: it would take every name that follows for a pattern of its own.
    '--testMatch',
    '<rootDir>/test/interop/**/*.interop.ts',
  ];
  const environment = { ...process.env, INTEROP_BINARY: binary };
  const child = spawn(process.execPath, jest, { cwd: root, stdio: 'inherit', env: environment });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

const version = goVersion();
if (version === undefined) {
  process.stdout.write(
    'No Go ≥ 1.24 is here (https://go.dev/dl), so the tests against hashicorp/yamux do not run.\nskipped\n',
  );
  if (process.env.REQUIRE_GO === '1') process.exitCode = 1;
} else {
  process.exitCode = await runTests(await binaryOf(version));
}
