/** `npm run test:localstack | test:ministack`: runs the contract suite (every test that takes its engine from test/engine.ts) against another AWS. */
import { spawn } from 'node:child_process';
import { glob, mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { LocalstackContainer } from '@testcontainers/localstack';
import { freePort } from '../local/stack/free-port.ts';
import { findPython, pythonEnvironment } from './python-environment.ts';

/** The last open image that needs no account (March 2026). */
const pinnedLocalstack =
  'localstack/localstack:4.14.0@sha256:3ebc37595918b8accb852f8048fef2aff047d465167edd655528065b07bc364a';
const localstackImage = process.env.LOCALSTACK_IMAGE ?? pinnedLocalstack;

const root = path.resolve(import.meta.dirname, '..');

type Judge = { readonly endpoint: string; stop(): Promise<void> };

/** Why a judge cannot be had here; the suite is then skipped in words. */
class Unavailable extends Error {}

const judges: Readonly<Record<string, { start(): Promise<Judge>; requiredBy: string }>> = {
  localstack: { start: startLocalstack, requiredBy: 'REQUIRE_DOCKER' },
  ministack: { start: startMinistack, requiredBy: 'REQUIRE_PYTHON' },
};

const [name = '', ...jestArguments] = process.argv.slice(2);
const chosen = judges[name];
if (!chosen) {
  process.stderr.write(
    `Usage: node scripts/contract.ts ${Object.keys(judges).join(' | ')} [jest arguments]\n`,
  );
  process.exit(2);
}

try {
  const judge = await chosen.start();
  try {
    process.exitCode = await runSuite(judge.endpoint);
  } finally {
    await judge.stop();
  }
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  process.stdout.write(`${error.message}\nskipped\n`);
  if (process.env[chosen.requiredBy] === '1') process.exitCode = 1;
}

async function runSuite(endpoint: string): Promise<number> {
  const jest = [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    path.join(root, 'node_modules/jest/bin/jest.js'),
    ...(await contractTests()),
    ...jestArguments,
  ];
  const child = spawn(process.execPath, jest, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, AWS_ENDPOINT_URL: endpoint },
  });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

/** The tests that reach test/engine.ts by their imports, directly or through a fixture. */
async function contractTests(): Promise<string[]> {
  const imports = new Map<string, string[]>();
  for await (const file of glob('test/**/*.ts', { cwd: root })) {
    const source = await readFile(path.join(root, file), 'utf8');
    const specifiers = [...source.matchAll(/from '(\.[^']+)'/g)].map(([, specifier = '']) => specifier);
    imports.set(
      file,
      specifiers.map((specifier) => path.join(path.dirname(file), specifier)),
    );
  }
  const reaches = (file: string, seen: ReadonlySet<string> = new Set()): boolean =>
    file === path.join('test', 'engine.ts') ||
    (!seen.has(file) && (imports.get(file) ?? []).some((next) => reaches(next, new Set([...seen, file]))));
  return [...imports.keys()].filter((file) => file.endsWith('.test.ts') && reaches(file)).sort();
}

async function startLocalstack(): Promise<Judge> {
  const token = process.env.LOCALSTACK_AUTH_TOKEN;
  try {
    const container = new LocalstackContainer(localstackImage);
    if (token) container.withEnvironment({ LOCALSTACK_AUTH_TOKEN: token });
    const started = await container.start();
    return {
      endpoint: started.getConnectionUri(),
      stop: async () => {
        await started.stop();
      },
    };
  } catch (error) {
    if (/container runtime strategy/i.test(String(error))) {
      throw new Unavailable(
        'No Docker engine answers here, so the contract suite does not run against LocalStack.',
      );
    }
    throw error;
  }
}

async function startMinistack(): Promise<Judge> {
  const python = findPython();
  if (!python)
    throw new Unavailable(
      'No Python ≥ 3.11 with venv is here, so the contract suite does not run against ministack.',
    );
  const environment = await pythonEnvironment(
    python,
    'ministack',
    'test/contract/ministack-requirements.txt',
  );
  const port = await freePort();
  const state = path.join(root, 'build', `ministack-${process.pid}`);
  await mkdir(state, { recursive: true });
  const child = spawn(path.join(environment, 'bin/ministack'), {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: {
      PATH: `${path.dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      HOME: state,
      BIND_HOST: '127.0.0.1',
      MINISTACK_HOST: '127.0.0.1',
      GATEWAY_PORT: String(port),
      LAMBDA_EXECUTOR: 'local',
      STATE_DIR: path.join(state, 'state'),
      S3_DATA_DIR: path.join(state, 's3'),
      LOG_LEVEL: 'ERROR',
    },
  });
  const stop = async () => {
    const gone = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null && child.kill('SIGTERM')) await gone;
    await rm(state, { recursive: true, force: true });
  };
  const endpoint = `http://127.0.0.1:${port}`;
  for (const until = Date.now() + 30_000; ;) {
    const answer = await fetch(`${endpoint}/_ministack/health`).catch(() => undefined);
    if (answer?.ok) return { endpoint, stop };
    if (child.exitCode !== null || Date.now() > until) {
      await stop();
      throw new Error('ministack did not start.');
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
