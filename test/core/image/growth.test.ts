import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Finding } from '../../../core/image/image-schema.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import type { Units } from '../../engine-units.ts';
import {
  digestOf,
  findingsOf,
  findingWith,
  hour,
  imageStores,
  outcomeFor,
  type Scan,
  start,
} from './scanned-images.ts';

/** 1 % of 50,000 images and 5 million findings. */
const [images, perImage] = [500, 100];
/** Images that have the same findings, so that making them takes no time; each page and card is its own all the same. */
const kinds = 25;

let engine: Engine;
let stores: ReturnType<typeof imageStores>;
/** Of 500 images; and of 10 of the same. */
const [large, small] = [newTenantId(), newTenantId()];
const findings: (readonly Finding[])[] = Array.from({ length: kinds }, (_, kind) =>
  findingsOf(kind, perImage),
);
const tagOf = (index: number) => `registry.example/team-${index % 20}/app-${index}:1`;
const scanOf = (index: number): Scan => ({
  digest: digestOf(index),
  references: [tagOf(index)],
  platform: 'linux/amd64',
  clusterId: `c-${index % 7}`,
  findings: findings[index % kinds] ?? [],
  verdict: 'warn',
  at: start + index,
});
/** One image has what no other has. */
const rareAt = 5;
const rare: Scan = {
  ...scanOf(rareAt),
  findings: [...findingsOf(rareAt, perImage - 1), findingWith({ vulnerability: 'CVE-2026-RARE' })],
};
const { digest } = rare;
const { scannerName, scanId } = outcomeFor(rare);

beforeAll(async () => {
  engine = await startEngine();
  stores = imageStores(engine);
  const upload = (tenantId: string, index: number) =>
    stores.upload(tenantId, index === rareAt ? rare : scanOf(index));
  for (let index = 0; index < images; index += kinds) {
    await Promise.all(Array.from({ length: kinds }, (_, offset) => upload(large, index + offset)));
  }
  await Promise.all(Array.from({ length: 10 }, (_, index) => upload(small, index)));
}, 120_000);
afterAll(() => engine.close());

const page = { limit: 50, after: undefined };
const first = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Ways to a tenant's images that cost the same, however many it has. */
const paths: readonly (readonly [string, (tenantId: string) => Promise<unknown>, Units])[] = [
  ['an image', (tenant) => stores.images.find(tenant, digest), { read: 2, write: 0 }],
  ['ten images', (tenant) => stores.images.findMany(tenant, first(10).map(digestOf)), { read: 10, write: 0 }],
  [
    'a page of ten images',
    (tenant) => stores.images.list(tenant, { ...page, limit: 10 }),
    { read: 5.5, write: 0 },
  ],
  [
    'a page of findings',
    (tenant) => stores.pages.page(tenant, { digest, scannerName, scanId, ordinal: 1 }, 0),
    { read: 1, write: 0 },
  ],
  [
    'ten cards',
    (tenant) => stores.cards.matching(tenant, {}, { ...page, limit: 10 }),
    { read: 1.5, write: 0 },
  ],
  ['a page of history', (tenant) => stores.history.list(tenant, digest, page), { read: 0.5, write: 0 }],
  ['the newest change', (tenant) => stores.changes.newest(tenant), { read: 0.5, write: 0 }],
  [
    'the changes of ten images',
    (tenant) => stores.changes.since(tenant, { after: start, until: start + 9, limit: 50 }),
    { read: 1, write: 0 },
  ],
  [
    'the images of ten tags',
    (tenant) => stores.lookups.find(tenant, first(10).map(tagOf)),
    { read: 12, write: 0 },
  ],
];

(unitsAreExact ? describe : describe.skip)('of 500 images with 100 findings each', () => {
  test.each(paths)('%s costs its few units, as of 10 images', async (_what, work, units) => {
    expect(await engine.units(() => work(large))).toEqual(units);
    expect(await engine.units(() => work(small))).toEqual(units);
  });

  test('a page of 50 images costs 25.5 reads, one of 50 cards 5.5', async () => {
    const { images: listed } = await stores.images.list(large, page);
    expect(listed).toHaveLength(50);
    expect(await engine.units(() => stores.images.list(large, page))).toEqual({ read: 25.5, write: 0 });
    expect(await engine.units(() => stores.cards.matching(large, {}, page))).toEqual({ read: 5.5, write: 0 });
  });

  test('the one that has a vulnerability is found for a tenth of a unit for each that is looked at', async () => {
    const search = () => stores.cards.matching(large, { vulnerability: 'CVE-2026-RARE' }, page);
    expect((await search()).cards.map((card) => card.digest)).toEqual([digest]);
    const { read } = await engine.units(search);
    // 50,000: 5,300 units.
    expect(read).toBeLessThanOrEqual(images * 0.106);
    expect(read).toBeGreaterThan(images * 0.1);
  });

  test('the five hundred and first costs what the eleventh does, and so does each further scan of it', async () => {
    for (const tenantId of [large, small]) {
      const scan: Scan = {
        ...scanOf(kinds),
        digest: digestOf('one more'),
        references: ['registry.example/one-more:1'],
      };
      const later = { ...scan, scannedAt: start + hour, at: start + hour };
      const spent = [];
      for (const each of [scan, later, later])
        spent.push(await engine.units(() => stores.upload(tenantId, each)));
      expect(spent).toEqual([
        { read: 1, write: 18 },
        // And the pages of the scan before go.
        { read: 2, write: 24 },
        // Nothing new: image and pages stay as they are, all else is brought up to it once more.
        { read: 2, write: 8 },
      ]);
    }
  });
});
