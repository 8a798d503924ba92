import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { catalogue, CatalogueError, manifestOf, readCatalogue } from '../../../core/release/catalogue.ts';
import type { Release } from '../../../core/release/release-schema.ts';
import { madeRelease } from './made-release.ts';

/** Calico's parts that every cluster connected to us runs (tigera/operator, pkg/components/calico.go). */
const parts = [
  ...['node', 'cni', 'typha', 'kube-controllers', 'apiserver', 'pod2daemon-flexvol', 'csi'],
  ...['node-driver-registrar', 'goldmane', 'whisker', 'whisker-backend', 'guardian'],
];

describe('the catalogue', () => {
  const { releases, find } = catalogue();

  test('offers v3.32.1 by default, and v3.31.7 and v3.30.7, with operator and the Kubernetes that upstream tests', () => {
    expect(releases[0]).toMatchObject({ version: 'v3.32.1', default: true });
    const facts = ['v3.32.1', 'v3.31.7', 'v3.30.7'].map((version) => {
      const { operatorVersion, kubernetes } = find(version) ?? {};
      return [operatorVersion, kubernetes?.min, kubernetes?.max];
    });
    expect(facts).toEqual([
      ['v1.42.3', '1.34', '1.36'],
      ['v1.40.15', '1.32', '1.35'],
      ['v1.38.13', '1.31', '1.35'],
    ]);
  });

  describe.each(releases.map((release) => [release.version, release] as const))('%s', (version, release) => {
    test("has upstream's three manifests at the release's tag, in the order in which they are applied", () => {
      const at = `https://raw.githubusercontent.com/projectcalico/calico/${version}/manifests`;
      expect(release.manifests.map(({ url }) => url)).toEqual([
        `${at}/operator-crds.yaml`,
        `${at}/tigera-operator.yaml`,
        `${at}/custom-resources.yaml`,
      ]);
    });

    test('has images of its own version and the operator, all from quay.io', () => {
      const tags = [version, `${version}-fips`];
      const [operator, ...others] = release.images.map(({ image }) => image);
      expect(operator).toBe(`quay.io/tigera/operator:${release.operatorVersion}`);
      for (const image of others) {
        expect(image).toMatch(/^quay\.io\/calico\/[a-z0-9-]+:/);
        expect(tags).toContain(image.split(':')[1]);
      }
    });

    test('is found by its version', () => expect(find(version)).toBe(release));
  });

  describe.each(['v3.32.1', 'v3.31.7', 'v3.30.7'])('%s', (version) => {
    const { images = [], quirks = [] } = find(version) ?? {};
    const imagesFor = (wanted: string) => images.flatMap(({ image, use }) => (use === wanted ? [image] : []));

    test('lists every part of Calico that a connected cluster pulls, and those of FIPS mode', () => {
      expect(imagesFor('always').slice(1)).toEqual(parts.map((part) => `quay.io/calico/${part}:${version}`));
      expect(imagesFor('fips')).toHaveLength(7);
      expect(imagesFor('windows')).toHaveLength(2);
    });

    test('warns of what bites: the secret names, the name of the connection, the size of the CRDs', () => {
      const text = quirks.join('\n');
      for (const word of ['tigera-voltron-linseed-certs-public', 'calico-voltron-linseed-certs-public'])
        expect(text).toContain(word);
      expect(text).toContain('tigera-secure');
      expect(text).toContain('--server-side');
    });
  });

  test('warns of operators below v1.42.3 on their line', () => {
    expect(find('v3.32.1')?.quirks.join('\n')).toContain('v1.42.3 or later');
  });

  test('finds no other version, and no other manifest', () => {
    for (const version of ['', 'v3.32', '3.32.1', 'v3.32.2', '__proto__'])
      expect(find(version)).toBeUndefined();
    const [newest] = releases;
    expect(newest && manifestOf(newest, 'tigera-operator.yaml')?.name).toBe('tigera-operator.yaml');
    expect(newest && manifestOf(newest, 'calico.yaml')).toBeUndefined();
  });
});

describe('a directory of releases', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'cattery-releases-'));
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  /** Reads a directory that holds exactly these files. */
  const reading = (files: Readonly<Record<string, object | string>>) => {
    for (const file of readdirSync(directory)) rmSync(path.join(directory, file));
    for (const [file, content] of Object.entries(files)) {
      writeFileSync(
        path.join(directory, file),
        typeof content === 'string' ? content : JSON.stringify(content),
      );
    }
    return readCatalogue(pathToFileURL(`${directory}/`));
  };
  const ofVersions = (...versions: string[]) =>
    Object.fromEntries(
      versions.map((version, at) => [`${version}.json`, madeRelease(version, { default: at === 0 })]),
    );
  const message = (files: Readonly<Record<string, object | string>>): string => {
    try {
      reading(files);
    } catch (error) {
      expect(error).toBeInstanceOf(CatalogueError);
      return (error as Error).message;
    }
    return 'read';
  };

  test('offers a further release by nothing but a further file', () => {
    const before = reading(ofVersions('v3.32.1', 'v3.30.7'));
    expect(before.releases.map(({ version }) => version)).toEqual(['v3.32.1', 'v3.30.7']);
    const after = reading(ofVersions('v3.32.1', 'v3.30.7', 'v3.33.0'));
    expect(after.releases.map(({ version }) => version)).toEqual(['v3.32.1', 'v3.33.0', 'v3.30.7']);
    expect(after.find('v3.33.0')).toMatchObject({ operatorVersion: 'v1.0.0' });
  });

  test('sorts by numbers, not by text, after the default', () => {
    const { releases } = reading(ofVersions('v3.9.10', 'v3.9.9', 'v3.30.0', 'v3.10.2', 'v4.0.0'));
    expect(releases.map(({ version }) => version)).toEqual([
      ...['v3.9.10', 'v4.0.0', 'v3.30.0', 'v3.10.2', 'v3.9.9'],
    ]);
  });

  test('must have exactly one default', () => {
    expect(message({})).toBe('Exactly one release must be the default; of 0 these are: none.');
    const one = { 'v3.1.0.json': madeRelease('v3.1.0', { default: false }) };
    expect(message(one)).toBe('Exactly one release must be the default; of 1 these are: none.');
    const two = { ...ofVersions('v3.1.0'), ...ofVersions('v3.2.0') };
    expect(message(two)).toBe('Exactly one release must be the default; of 2 these are: v3.2.0, v3.1.0.');
  });

  const [crds, operator, resources] = madeRelease('v3.1.0').manifests;
  const [first, ...rest] = madeRelease('v3.1.0').images;
  test.each<[what: string, wrong: Partial<Release> | Record<string, unknown>, why: string]>([
    ['a member that is not known', { colour: 'blue' }, 'colour'],
    ['a member that lacks', { operatorVersion: undefined }, 'operatorVersion'],
    ['another version than its name', { version: 'v3.1.1' }, 'its name must be v3.1.1.json'],
    ['a pre-release', { version: 'v3.1.0-rc1' }, 'must be like v3.32.1'],
    ['Kubernetes with a v', { kubernetes: { min: 'v1.30', max: '1.31' } }, 'must be like 1.36'],
    ['a minimum above the maximum', { kubernetes: { min: '1.31', max: '1.9' } }, 'above kubernetes.max'],
    ['manifests in another order', { manifests: [operator, crds, resources] }, 'in this order'],
    ['a manifest too few', { manifests: [crds, operator] }, 'in this order'],
    [
      'a manifest of a branch',
      { manifests: [{ ...crds, url: crds?.url.replace('v3.1.0', 'master') }, operator, resources] },
      'the URL of operator-crds.yaml must end in /v3.1.0/manifests/operator-crds.yaml',
    ],
    [
      'a manifest without TLS',
      { manifests: [{ ...crds, url: crds?.url.replace('https', 'http') }, operator, resources] },
      'must begin with https://',
    ],
    [
      'a digest in upper case',
      { manifests: [{ ...crds, sha256: 'A'.repeat(64) }, operator, resources] },
      'must be 64 hexadecimal digits',
    ],
    ['an image without a tag', { images: [{ image: 'quay.io/calico/node', use: 'always' }] }, 'name:tag'],
    ['an image twice', { images: [first, ...rest, first] }, 'an image is listed twice'],
    ['a digest that is none', { images: [{ ...first, digest: 'sha256:0dead' }, ...rest] }, 'digest'],
    ['another operator than it says', { operatorVersion: 'v1.0.1' }, '/operator:v1.0.1'],
  ])('with %s is refused, naming the file', (_, wrong, why) => {
    const text = message({ 'v3.1.0.json': { ...madeRelease('v3.1.0', { default: true }), ...wrong } });
    expect(text).toMatch(/^v3\.1\.0\.json: /);
    expect(text).toContain(why);
  });

  test('with a file that is no JSON is refused, naming the file', () => {
    expect(message({ 'v3.1.0.json': '{"version":' })).toMatch(/^v3\.1\.0\.json: .*JSON/);
  });
});
