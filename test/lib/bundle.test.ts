import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Bundle, bundleAll, tunnelBundle } from '../../lib/bundle.ts';

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

  test('hold the code and its licences; the container also its map and its Dockerfile; nothing else', () => {
    for (const { name, directory: own } of bundles) {
      const allowed = [
        'index.mjs',
        'index.mjs.LEGAL.txt',
        ...(name === tunnelBundle ? ['Dockerfile', 'index.mjs.map'] : []),
      ];
      const files = readdirSync(own);
      expect(files).toContain('index.mjs');
      expect(files.filter((file) => !allowed.includes(file))).toEqual([]);
    }
    expect(readdirSync(path.join(directory, tunnelBundle))).toContain('Dockerfile');
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
      const own = name === tunnelBundle ? 'tunnel-fargate/' : `functions/${name}/`;
      const strangers = Object.keys(metafile.inputs).filter(
        (file) => !file.startsWith(own) && !file.startsWith('core/') && !file.startsWith('node_modules/'),
      );
      expect(strangers).toEqual([]);
    }
  });

  test('are the same bytes when made again, and lose what a former build left', async () => {
    const read = () => Promise.all(bundles.map(({ directory: own }) => digest(path.join(own, 'index.mjs'))));
    const before = await read();
    await writeFile(path.join(directory, tunnelBundle, 'left-over.pem'), 'secret');
    await bundleAll(directory);
    expect(await read()).toEqual(before);
    expect(readdirSync(path.join(directory, tunnelBundle))).not.toContain('left-over.pem');
  }, 120_000);
});
