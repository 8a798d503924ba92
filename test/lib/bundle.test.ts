import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { environment as installAssets } from '../../functions/install-assets/env.ts';
import { type Bundle, bundleAll, tunnelBundle } from '../../lib/bundle.ts';

const run = promisify(execFile);
const root = path.join(import.meta.dirname, '../..');
const manifest = (folder: string) =>
  JSON.parse(readFileSync(path.join(root, folder, 'package.json'), 'utf8')) as {
    license?: string;
    devDependencies?: Record<string, string>;
  };

/** Folders of the packages that went into a bundle, e.g. `node_modules/zod`. */
const packages = (bundle: Bundle): readonly string[] => [
  ...new Set(
    Object.keys(bundle.metafile.inputs).flatMap(
      (file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [],
    ),
  ),
];

const digest = async (file: string) =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex');

/** What a bundled function answers to a GET that needs no credential, in a process of its own. */
async function invoked(bundle: string, route: string): Promise<{ items: { version: string }[] }> {
  const event = { httpMethod: 'GET', resource: route, path: route, headers: {}, requestContext: {} };
  const text = 'https://nowhere.example';
  const environment = {
    ...Object.fromEntries(Object.keys(installAssets.shape).map((name) => [name, text])),
    ACCESS_TRUST: 'system',
    AWS_REGION: 'us-east-1',
    POWERTOOLS_LOG_LEVEL: 'SILENT',
  };
  const script = `
    const { handler } = await import(${JSON.stringify(pathToFileURL(bundle).href)});
    const { statusCode, body } = await handler(${JSON.stringify(event)}, {});
    process.stdout.write(statusCode === 200 ? body : '{"items":[]}', () => process.exit(0));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { env: environment });
  return JSON.parse(stdout) as { items: { version: string }[] };
}

describe('the bundles', () => {
  let directory: string;
  let bundles: readonly Bundle[];

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'cattery-bundles-'));
    ({ bundles } = await bundleAll(directory));
  }, 120_000);
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test('are one for each function and one for the tunnel server', () => {
    expect(bundles.map(({ name }) => name).sort()).toEqual(
      [...readdirSync(path.join(root, 'functions')), 'tunnel'].sort(),
    );
  });

  test('of functions stay under 900 KB', () => {
    const large = bundles.filter(({ name, bytes }) => name !== tunnelBundle && bytes >= 900_000);
    expect(large.map(({ name, bytes }) => `${name}: ${bytes}`)).toEqual([]);
  });

  const releases = readdirSync(path.join(root, 'core/release/releases')).map((file) => `releases/${file}`);
  /** What a bundle brings beside its code and the licences of that. */
  const beside: Readonly<Record<string, readonly string[]>> = {
    [tunnelBundle]: ['Dockerfile', 'admission-webhook.mjs', 'admission-webhook.mjs.map', 'index.mjs.map'],
    'install-assets': [...releases, 'install.sh', 'scan-report.sh'],
    'release-mirror': releases,
  };
  const filesOf = (own: string) =>
    readdirSync(own, { recursive: true, withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [] : [path.relative(own, path.join(entry.parentPath, entry.name))],
    );

  test('hold the code, its licences, and what it reads when it runs; nothing else', async () => {
    for (const { name, directory: own } of bundles) {
      const files = filesOf(own).filter((file) => !file.endsWith('.mjs.LEGAL.txt'));
      expect([name, files.sort()]).toEqual([name, ['index.mjs', ...(beside[name] ?? [])].sort()]);
    }
    const copied = path.join(directory, 'install-assets');
    for (const file of releases)
      expect(await digest(path.join(copied, file))).toBe(await digest(path.join(root, 'core/release', file)));
    for (const script of ['install.sh', 'scan-report.sh']) {
      const source = path.join(root, 'functions/install-assets', script);
      expect(await digest(path.join(copied, script))).toBe(await digest(source));
    }
  });

  test('of install-assets answers the releases that lie beside it, and no longer one that is taken away', async () => {
    const own = path.join(directory, 'install-assets');
    const offered = () => invoked(path.join(own, 'index.mjs'), '/v1/releases');
    const versions = releases.map((file) => path.basename(file, '.json')).sort();
    expect((await offered()).items.map(({ version }) => version).sort()).toEqual(versions);
    await rm(path.join(own, 'releases', 'v3.30.7.json'));
    const left = (await offered()).items.map(({ version }) => version).sort();
    expect(left).toEqual(versions.filter((version) => version !== 'v3.30.7'));
    await bundleAll(directory);
    expect((await offered()).items).toHaveLength(versions.length);
  }, 120_000);

  test('of the tunnel server’s image start both of its programs, and its Dockerfile copies both', async () => {
    const own = path.join(directory, tunnelBundle);
    for (const program of ['index.mjs', 'admission-webhook.mjs']) {
      // Without an environment each ends by saying so: it was read, and so was all that it needs.
      const ended: unknown = await run(process.execPath, [path.join(own, program)], { env: {} }).catch(
        (error: unknown) => error,
      );
      expect([program, ended]).toMatchObject([
        program,
        { code: 1, stdout: expect.stringContaining('the environment does not fit') },
      ]);
    }
    const copied = /^COPY (.*) \/app\/$/m.exec(await readFile(path.join(own, 'Dockerfile'), 'utf8'))?.[1];
    expect(copied?.split(' ')).toEqual(['*.mjs', '*.mjs.map']);
  });

  test('hold no development dependency, and so not the AGPL evaluator', () => {
    const forbidden = new Set(Object.keys(manifest('.').devDependencies ?? {}));
    expect(forbidden).toContain('@cloud-copilot/iam-simulate');
    for (const bundle of bundles) {
      const names = packages(bundle).map((folder) => folder.replace(/^.*node_modules\//, ''));
      expect(names.filter((name) => forbidden.has(name) || name.startsWith('@cloud-copilot/'))).toEqual([]);
    }
  });

  test('hold only packages whose licence lets us ship them', () => {
    const permissive = /^\(?(?:MIT|MIT-0|Apache-2\.0|ISC|0BSD|BSD-[23]-Clause)(?: (?:OR|AND) .*)?\)?$/;
    const others = bundles.flatMap((bundle) =>
      packages(bundle)
        .map((folder) => `${folder}: ${manifest(folder).license}`)
        .filter((line) => !permissive.test(line.slice(line.indexOf(': ') + 2))),
    );
    expect(bundles.flatMap(packages)).toContain('node_modules/zod');
    expect(others).toEqual([]);
  });

  test('come from their own folder and core alone', () => {
    for (const { name, metafile } of bundles) {
      const own = name === tunnelBundle ? ['tunnel-fargate/', 'admission-webhook/'] : [`functions/${name}/`];
      const strangers = Object.keys(metafile.inputs).filter(
        (file) => ![...own, 'core/', 'node_modules/'].some((folder) => file.startsWith(folder)),
      );
      expect(strangers).toEqual([]);
    }
  });

  test('are the same bytes when made again, and lose what a former build left', async () => {
    const read = () => Promise.all(bundles.map(({ directory: own }) => digest(path.join(own, 'index.mjs'))));
    const before = await read();
    await writeFile(path.join(directory, tunnelBundle, 'left-over.pem'), 'secret');
    await writeFile(path.join(directory, 'install-assets/releases/v1.0.0.json'), '{}');
    await bundleAll(directory);
    expect(await read()).toEqual(before);
    expect(readdirSync(path.join(directory, tunnelBundle))).not.toContain('left-over.pem');
    expect(readdirSync(path.join(directory, 'install-assets/releases'))).not.toContain('v1.0.0.json');
  }, 120_000);
});
