import { QueryCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ImageCardRepository, splitBehind } from '../../../core/image/image-card-repository.ts';
import type { CardFilter } from '../../../core/image/image-card.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { digestOf, findingWith, imageStores, type Scan } from './scanned-images.ts';

let engine: Engine;
let stores: ReturnType<typeof imageStores>;
const tenantId = newTenantId();

/** 60 images; what each has follows from its number. */
const images = Array.from({ length: 60 }, (_, index) => ({
  index,
  digest: digestOf(index),
  scan: {
    digest: digestOf(index),
    references: [`registry.example/${index % 2 === 0 ? 'even' : 'odd'}/app-${index}:1`],
    ...(index % 5 === 0 ? { clusterId: `c-${index % 10}` } : {}),
    findings: [
      findingWith({
        vulnerability: `CVE-2026-${index}`,
        aliases: index === 7 ? ['GHSA-7777-7777-7777'] : [],
        severity: index % 3 === 0 ? 'critical' : 'low',
        fix: index % 6 === 0 ? { state: 'fixed', versions: ['2'] } : { state: 'not-fixed', versions: [] },
      }),
      ...(index % 10 === 0 ? [findingWith({ vulnerability: 'CVE-2026-COMMON', severity: 'medium' })] : []),
    ],
  } satisfies Scan,
}));

beforeAll(async () => {
  engine = await startEngine();
  stores = imageStores(engine);
  await Promise.all(images.map(({ scan }) => stores.upload(tenantId, scan)));
});
afterAll(() => engine.close());

const expected = (has: (index: number) => boolean) =>
  images
    .filter(({ index }) => has(index))
    .map(({ digest }) => digest)
    .sort();

/** As if seven cards were as much as DynamoDB reads for one page: its 1 MB, of a tenant with many images. */
function shortPages(): ImageCardRepository {
  const access: typeof engine.access = (tenant) => {
    const clients = engine.access(tenant);
    const send = (command: unknown) => {
      if (command instanceof QueryCommand) command.input.Limit = Math.min(command.input.Limit ?? 7, 7);
      return clients.dynamo.send(command as never);
    };
    return { ...clients, dynamo: { send } as never };
  };
  return new ImageCardRepository(access, engine.tables.tenant);
}

/** All pages of a search, one after another, each as long as it may be. */
async function found(
  filter: CardFilter,
  {
    limit,
    maxPages,
    cards = stores.cards,
  }: { limit: number; maxPages?: number; cards?: ImageCardRepository },
): Promise<string[]> {
  const digests: string[] = [];
  let after: string | undefined;
  do {
    const page = await cards.matching(tenantId, filter, { limit, after, maxPages });
    expect(page.cards.length).toBeLessThanOrEqual(limit);
    digests.push(...page.cards.map(({ digest }) => digest));
    after = page.next;
  } while (after !== undefined);
  return digests;
}

const filters: readonly (readonly [string, CardFilter, (index: number) => boolean])[] = [
  ['nothing', {}, () => true],
  ['a vulnerability, in any case', { vulnerability: 'cve-2026-common' }, (index) => index % 10 === 0],
  ['an alias', { vulnerability: 'GHSA-7777-7777-7777' }, (index) => index === 7],
  ['a vulnerability that none has', { vulnerability: 'CVE-2026-NONE' }, () => false],
  ['a severity', { severities: ['critical'] }, (index) => index % 3 === 0],
  [
    'one of severities',
    { severities: ['critical', 'medium'] },
    (index) => index % 3 === 0 || index % 10 === 0,
  ],
  ['no severity in particular', { severities: [] }, () => true],
  ['a fix', { fixable: true }, (index) => index % 6 === 0 || index % 10 === 0],
  ['no fix', { fixable: false }, (index) => index % 6 !== 0 && index % 10 !== 0],
  ['a fix of a severity', { fixable: true, severities: ['medium'] }, (index) => index % 10 === 0],
  ['a severity and no fix of it', { fixable: false, severities: ['critical'] }, (index) => index % 6 === 3],
  ['a cluster', { clusterId: 'c-5' }, (index) => index % 10 === 5],
  [
    'a repository',
    { repository: (path) => path.startsWith('registry.example/odd/') },
    (index) => index % 2 === 1,
  ],
  [
    'all of these',
    {
      repository: (path) => path.includes('/even/'),
      clusterId: 'c-0',
      vulnerability: 'CVE-2026-COMMON',
      severities: ['critical'],
      fixable: true,
    },
    (index) => index % 30 === 0,
  ],
];

describe('a search for', () => {
  test.each(filters)('%s finds what has it, in the order of digests', async (_what, filter, has) => {
    const digests = expected(has);
    for (const limit of [4, 200]) expect(await found(filter, { limit })).toEqual(digests);
    expect(
      (await stores.cards.search(tenantId, {}, filter, { limit: 200 })).cards.map(({ digest }) => digest),
    ).toEqual(digests);
  });

  test.each(filters)(
    '%s finds the same among many images, which take many pages',
    async (_what, filter, has) => {
      const cards = shortPages();
      expect(await found(filter, { limit: 3, maxPages: 1, cards })).toEqual(expected(has));
      expect(await found(filter, { limit: 200, maxPages: 10, cards })).toEqual(expected(has));
    },
  );

  test('anything of another tenant finds nothing', async () => {
    const all = { limit: 10, after: undefined };
    expect(await stores.cards.matching(newTenantId(), {}, all)).toEqual({ cards: [] });
  });

  test('a range finds what lies in it, without its borders', async () => {
    const digests = expected(() => true);
    const { cards } = await stores.cards.search(
      tenantId,
      { after: digests[9] ?? '', before: 'sha256:c' },
      {},
      { limit: 100 },
    );
    expect(cards.map(({ digest }) => digest)).toEqual(
      digests.filter((digest, index) => index > 9 && digest < 'sha256:c'),
    );
  });

  test('a few among many images reads eight ranges at once, and each no further than it may', async () => {
    const cards = shortPages();
    const filter = { vulnerability: 'CVE-2026-NONE' };
    const first = await cards.matching(tenantId, filter, { limit: 5, after: undefined, maxPages: 1 });
    const again = await cards.matching(tenantId, filter, { limit: 5, after: first.next, maxPages: 10 });
    expect([first.cards, first.next === undefined, again]).toEqual([[], false, { cards: [] }]);
  });
});

describe('a card', () => {
  test('comes back as it was kept, without what only searches need', async () => {
    const { index, digest } = images[30] ?? { index: 0, digest: '' };
    const image = await stores.images.find(tenantId, digest);
    const { cards } = await stores.cards.matching(
      tenantId,
      { vulnerability: `CVE-2026-${index}` },
      { limit: 5, after: undefined },
    );
    expect(cards).toEqual([
      {
        digest,
        revision: image?.revision,
        repositories: ['registry.example/even/app-30'],
        clusters: ['c-0'],
        counts: { critical: 1, high: 0, medium: 1, low: 0, negligible: 0, unknown: 0 },
        fixable: { critical: 1, high: 0, medium: 1, low: 0, negligible: 0, unknown: 0 },
        scannedAt: image?.results[0]?.scannedAt,
        partial: false,
      },
    ]);
  });

  test('stays when the writer of an older one is late', async () => {
    const tenant = newTenantId();
    const digest = digestOf('raced');
    const { image: older } = await stores.upload(tenant, { digest });
    const { image: newer } = await stores.upload(tenant, { digest, scannerName: 'grype' });
    expect(await stores.cards.keep(tenant, older)).toBe(false);
    expect(await stores.cards.keep(tenant, newer)).toBe(true);
    const { cards } = await stores.cards.matching(tenant, {}, { limit: 5, after: undefined });
    expect(cards.map(({ revision }) => revision)).toEqual([newer.revision]);
  });

  test('of an image that no longer tells all findings apart is found by any vulnerability', async () => {
    const tenant = newTenantId();
    const findings = Array.from({ length: 11_000 }, (_, index) =>
      findingWith({ vulnerability: `CVE-2026-${index}` }),
    );
    await stores.upload(tenant, { digest: digestOf('partial'), findings });
    const { cards } = await stores.cards.matching(
      tenant,
      { vulnerability: 'CVE-1999-1' },
      { limit: 5, after: undefined },
    );
    expect(cards.map(({ partial }) => partial)).toEqual([true]);
  });
});

describe('ranges', () => {
  test.each([
    ['sha256:0'],
    [`sha256:${'0'.repeat(64)}`],
    [digestOf('anywhere')],
    [`sha256:${'f'.repeat(63)}e`],
    [`sha256:fffffffc${'0'.repeat(56)}`],
  ])('behind %s leave no digest out, and have none twice', (digest) => {
    const ranges = splitBehind(digest);
    expect(ranges[0]?.after).toBe(digest);
    expect(ranges.at(-1)?.before).toBeUndefined();
    for (const [index, { before }] of ranges.entries()) {
      const next = ranges[index + 1];
      if (next) expect([before, String(before) > String(ranges[index]?.after)]).toEqual([next.after, true]);
    }
    expect(ranges.length).toBeLessThanOrEqual(8);
  });
});

(unitsAreExact ? test : test.skip)('a page without a filter reads no more than it shows', async () => {
  const page = (limit: number) => () => stores.cards.matching(tenantId, {}, { limit, after: undefined });
  expect(await engine.units(page(10))).toEqual({ read: 0.5, write: 0 });
  expect(await engine.units(page(60))).toEqual({ read: 2, write: 0 });
});
