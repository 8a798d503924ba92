import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { catalogue } from '../../../core/release/catalogue.ts';
import { release, releaseDetail } from '../../../core/release/release-schema.ts';
import type { Dependencies } from '../../../functions/install-assets/deps.ts';
import { handlers } from '../../../functions/install-assets/routes.ts';
import { madeRelease } from '../../core/release/made-release.ts';
import { caller } from '../api-call.ts';
import { addresses, assets, identity, trust } from './deployment.ts';

type Mirror = Dependencies['mirror'];

const text = 'apiVersion: v1\nkind: Namespace # „groß“\n';
const sha256 = createHash('sha256').update(text).digest('hex');
const made = madeRelease('v3.1.0', { default: true });
const [, operator] = made.manifests;
const digests = made.manifests.map((manifest) => manifest.sha256);

/** Whatever it is asked, with a record of the questions. */
function recording(mirror: Partial<Mirror>) {
  const asked: string[] = [];
  const recorded: Mirror = {
    mirrored: (version) => {
      asked.push(`list ${version}`);
      return mirror.mirrored?.(version) ?? Promise.resolve(new Set());
    },
    read: (manifest) => {
      asked.push(`read ${manifest.version}/${manifest.sha256}/${manifest.name}`);
      return mirror.read?.(manifest) ?? Promise.resolve(undefined);
    },
  };
  return { asked, mirror: recorded };
}

function calling(mirror: Partial<Mirror> = {}, releases = catalogue) {
  const recorded = recording(mirror);
  const call = caller(
    'install-assets',
    handlers({
      ...assets,
      trust: { read: () => Promise.resolve(trust) },
      clusters: { find: () => Promise.resolve(undefined) },
      tunnels: { locateAll: () => Promise.resolve(new Map()) },
      now: Date.now,
      addresses,
      identity,
      mirror: recorded.mirror,
      catalogue: releases,
    }),
  );
  const get = (path: string, headers: Readonly<Record<string, string>> = {}) => {
    const [, , , version = '', kind, name = ''] = path.split(/[/?]/);
    const template =
      kind === 'manifests'
        ? '/v1/releases/{version}/manifests/{name}'
        : kind === 'images'
          ? '/v1/releases/{version}/images'
          : '/v1/releases/{version}';
    const query = Object.fromEntries(new URLSearchParams(path.split('?')[1]));
    return call({
      path,
      resource: path === '/v1/releases' ? path : template,
      params: { version, name },
      query,
      headers,
    });
  };
  return { ...recorded, get };
}
const ofMade = () => ({
  releases: [made],
  find: (version: string) => (version === made.version ? made : undefined),
});

describe('GET /v1/releases', () => {
  test('offers the releases that fit their schema, the one default first, without manifests and images', async () => {
    const { items } = (await calling().get('/v1/releases')).json() as { items: object[] };
    const { releases } = catalogue();
    expect(items.map((each) => release.parse(each).version)).toEqual(releases.map(({ version }) => version));
    expect(items[0]).toMatchObject({ default: true, quirks: releases[0]?.quirks });
    for (const item of items) expect(Object.keys(item).sort()).toEqual(Object.keys(release.shape).sort());
  });

  test('offers a release that a further file of the catalogue brings', async () => {
    const { get } = calling({}, ofMade);
    expect((await get('/v1/releases')).json()).toMatchObject({ items: [{ version: 'v3.1.0' }] });
    expect((await get('/v1/releases/v3.1.0')).json()).toMatchObject({ operatorVersion: 'v1.0.0' });
  });
});

describe('GET /v1/releases/{version}', () => {
  test.each(catalogue().releases.map(({ version }) => version))(
    '%s: says where each manifest is, what it must be, and whether it is mirrored',
    async (version) => {
      const own = catalogue().find(version);
      const [mirrored] = own?.manifests ?? [];
      const answer = await calling({
        mirrored: () => Promise.resolve(new Set([mirrored?.sha256 ?? '', 'f'.repeat(64)])),
      }).get(`/v1/releases/${version}`);
      expect(answer.headers).toMatchObject({
        'Content-Type': 'application/json',
        'Cache-Control': 'public, max-age=300',
        ETag: expect.stringMatching(/^"[\w-]+"$/),
      });
      const { manifests, images, ...offer } = releaseDetail.strict().parse(answer.json());
      expect({ ...offer, images }).toEqual({ ...own, manifests: undefined });
      expect(manifests).toEqual(
        own?.manifests.map(({ url, ...manifest }, at) => ({
          ...manifest,
          url: `https://api.example/prod/v1/releases/${version}/manifests/${manifest.name}`,
          upstream: url,
          mirrored: at === 0,
        })),
      );
    },
  );

  test('asks S3 on every request until all is mirrored, and then never again', async () => {
    let here: string[] = [];
    const { get, asked } = calling({ mirrored: () => Promise.resolve(new Set(here)) }, ofMade);
    const first = await get('/v1/releases/v3.1.0');
    here = digests.slice(1);
    const second = await get('/v1/releases/v3.1.0');
    expect(second.headers.ETag).not.toBe(first.headers.ETag);
    here = digests;
    const third = await get('/v1/releases/v3.1.0');
    expect(asked).toHaveLength(3);
    const again = await get('/v1/releases/v3.1.0', { 'If-None-Match': third.headers.ETag ?? '' });
    expect([again.status, asked.length]).toEqual([304, 3]);
  });

  test('answers 503 UNAVAILABLE while S3 does not answer, without its words', async () => {
    const { get } = calling({ mirrored: () => Promise.reject(new Error('bucket-name')) }, ofMade);
    const answer = await get('/v1/releases/v3.1.0');
    expect([answer.status, answer.json().code]).toEqual([503, 'UNAVAILABLE']);
    expect(answer.text).not.toContain('bucket-name');
  });
});

describe('GET /v1/releases/{version}/manifests/{name}', () => {
  const path = '/v1/releases/v3.1.0/manifests/tigera-operator.yaml';

  test('answers the bytes of our copy with their SHA-256 as entity tag, for one GET', async () => {
    const mirrored = madeRelease('v3.1.0', {
      manifests: made.manifests.map((each) => (each === operator ? { ...each, sha256 } : each)),
    });
    const { get, asked } = calling({ read: () => Promise.resolve({ bytes: Buffer.from(text) }) }, () => ({
      releases: [mirrored],
      find: () => mirrored,
    }));
    const answer = await get(path);
    expect([answer.status, answer.text]).toEqual([200, text]);
    expect(createHash('sha256').update(answer.text).digest('hex')).toBe(sha256);
    expect(answer.headers).toMatchObject({
      'Content-Type': 'application/yaml',
      'Cache-Control': 'public, max-age=300',
      ETag: `"${sha256}"`,
    });
    expect(asked).toEqual([`read v3.1.0/${sha256}/tigera-operator.yaml`]);
  });

  test('answers 304 to whoever has it, and does not ask S3', async () => {
    const { get, asked } = calling({}, ofMade);
    const answer = await get(path, { 'If-None-Match': `W/"x", "${operator?.sha256}"` });
    expect([answer.status, answer.text, answer.headers.ETag]).toEqual([304, '', `"${operator?.sha256}"`]);
    expect(asked).toEqual([]);
  });

  test.each([
    ['upstream, when it is not mirrored', undefined, operator?.url],
    [
      'S3, when it is too large for a Lambda',
      { url: 'https://s3.example/x?sig=1' },
      'https://s3.example/x?sig=1',
    ],
  ])('redirects to %s; nobody may store that', async (_, found, location) => {
    const answer = await calling({ read: () => Promise.resolve(found) }, ofMade).get(path);
    expect([answer.status, answer.text]).toEqual([302, '']);
    expect(answer.headers).toMatchObject({ Location: location, 'Cache-Control': 'no-store' });
    expect(answer.headers).not.toHaveProperty('ETag');
  });

  test('answers 503 UNAVAILABLE while S3 does not answer, without its words', async () => {
    const answer = await calling({ read: () => Promise.reject(new Error('bucket-name')) }, ofMade).get(path);
    expect([answer.status, answer.json().code]).toEqual([503, 'UNAVAILABLE']);
    expect(answer.text).not.toContain('bucket-name');
  });

  test.each([
    '/v1/releases/v3.1.0/manifests/calico.yaml',
    '/v1/releases/v3.1.0/manifests/..%2Fx',
    '/v1/releases/v3.1.1/manifests/tigera-operator.yaml',
    '/v1/releases/v3.1.1',
    '/v1/releases/v3.1.1/images',
    '/v1/releases/latest',
    '/v1/releases/..',
  ])('GET %s: 404 NOT_FOUND, and S3 is not asked', async (wrong) => {
    const { get, asked } = calling({}, ofMade);
    const answer = await get(wrong);
    expect([answer.status, answer.json().code, asked]).toEqual([404, 'NOT_FOUND', []]);
  });
});

describe('GET /v1/releases/{version}/images', () => {
  const lines = async (path: string) => (await calling({}, ofMade).get(path)).text.split('\n');

  test('lists what every cluster pulls, one a line, with the digest where it is known', async () => {
    const answer = await calling({}, ofMade).get('/v1/releases/v3.1.0/images');
    expect(answer.text).toBe(
      `registry.example/tigera/operator:v1.0.0\nregistry.example/calico/node:v3.1.0@sha256:${'d'.repeat(64)}\n`,
    );
    expect(answer.headers).toMatchObject({
      'Content-Type': 'text/plain; charset=utf-8',
      'Cache-Control': 'public, max-age=300',
      ETag: expect.stringMatching(/^"[\w-]+"$/),
    });
  });

  test.each([
    ['windows', 3],
    ['fips,windows', 4],
    ['istio', 2],
    ['all', 4],
  ])('with=%s adds further uses', async (further, count) => {
    expect(await lines(`/v1/releases/v3.1.0/images?with=${further}`)).toHaveLength(count + 1);
  });

  test.each(['', 'linux', 'always', 'windows,', 'all,fips'])(
    'with=%s: 400 INVALID_REQUEST',
    async (wrong) => {
      const answer = await calling({}, ofMade).get(`/v1/releases/v3.1.0/images?with=${wrong}`);
      expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
    },
  );
});
