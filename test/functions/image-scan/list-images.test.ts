import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { ListedImage } from '../../../core/image/image-search-schema.ts';
import { newClusterId } from '../../../core/tenant/identifier.ts';
import { listImages } from '../../../functions/image-scan/list-images.ts';
import {
  digestOf as namedDigest,
  findingsOf,
  findingWith,
  imageStores,
  start,
} from '../../core/image/scanned-images.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { digestOf, scored, trivyReport } from './reports.ts';
import { allPages, day, now, scanSetting } from './scan-setting.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.close());

/** A finding of Trivy's with what a test says of it. */
const finding = (id: string, score: number, more: Readonly<Record<string, unknown>> = {}) => ({
  ...scored(id, score),
  ...more,
});
const fixed = { FixedVersion: '2.37', Status: 'fixed' };

/** A tenant with a report for each letter, in their order, in a repository of its own. */
async function tenantWith(reports: Readonly<Record<string, readonly Readonly<Record<string, unknown>>[]>>) {
  const setting = scanSetting(engine);
  for (const [letter, findings] of Object.entries(reports)) {
    const report = trivyReport(findings, {
      ArtifactName: `registry.example/team-${letter}/app:1`,
      CreatedAt: new Date(now - 1_000).toISOString(),
    });
    await setting.post(report, { digest: digestOf(letter) });
  }
  const found = async (query: Record<string, string> = {}) =>
    (await allPages<ListedImage>(setting.list, query)).map((each) => each.digest.at(-1)).join('');
  return { ...setting, found };
}

describe('GET /v1/images', () => {
  test('finds by severity what has a finding of one of them that counts, whatever the verdict', async () => {
    const { found } = await tenantWith({
      a: [finding('CVE-1', 5, { Severity: 'CRITICAL' })],
      b: [finding('CVE-1', 9.9, { Severity: 'LOW' })],
      c: [finding('CVE-1', 5, { Severity: 'HIGH' }), finding('CVE-2', 5, { Severity: 'LOW' })],
      d: [],
    });
    expect(await found({ severity: 'critical' })).toBe('a');
    expect(await found({ severity: 'low' })).toBe('bc');
    expect(await found({ severity: 'critical,high' })).toBe('ac');
    expect(await found({ severity: 'medium' })).toBe('');
    expect(await found({ severity: 'low', verdict: 'fail' })).toBe('b');
  });

  test('finds by vulnerability and by alias in any case, and shows the findings that are meant', async () => {
    const { found, list } = await tenantWith({
      a: [finding('CVE-2026-1', 5), finding('CVE-2026-2', 9)],
      b: [finding('CVE-2026-3', 5, { VendorIDs: ['GHSA-aaaa-bbbb-cccc'] })],
      c: [finding('CVE-2026-11', 5)],
    });
    expect(await found({ vulnerability: 'cve-2026-1' })).toBe('a');
    expect(await found({ vulnerability: 'ghsa-AAAA-bbbb-cccc' })).toBe('b');
    expect(await found({ vulnerability: 'CVE-2026-4' })).toBe('');
    const [image] = (await list({ vulnerability: 'CVE-2026-1' })).json().items as ListedImage[];
    expect(image?.matching).toMatchObject({
      total: 1,
      findings: [{ vulnerability: 'CVE-2026-1', package: 'libc6', scanner: 'trivy', verdict: 'warn' }],
    });
    expect(((await list()).json().items as ListedImage[])[0]).not.toHaveProperty('matching');
  });

  test('asks vulnerability, severity and fix of one finding', async () => {
    const { found } = await tenantWith({
      a: [finding('CVE-1', 5, fixed), finding('CVE-2', 5, { Severity: 'CRITICAL' })],
      b: [finding('CVE-1', 5), finding('CVE-2', 5, { ...fixed, Severity: 'CRITICAL' })],
      c: [],
    });
    expect(await found({ fixable: 'true' })).toBe('ab');
    expect(await found({ fixable: 'false' })).toBe('ab');
    expect(await found({ fixable: 'true', vulnerability: 'CVE-1' })).toBe('a');
    expect(await found({ fixable: 'false', vulnerability: 'CVE-1' })).toBe('b');
    expect(await found({ fixable: 'true', severity: 'critical' })).toBe('b');
    expect(await found({ fixable: 'false', severity: 'critical' })).toBe('a');
  });

  test('with severity or fix leaves out what an exception holds; a name alone finds it, and says so', async () => {
    const { found, list, addException, clock } = await tenantWith({ a: [finding('CVE-1', 9.5, fixed)] });
    const expiresAt = new Date(now + day).toISOString();
    await addException({ vulnerability: 'CVE-1', scope: 'any', justification: 'x', expiresAt });
    expect(await found({ severity: 'high' })).toBe('');
    expect(await found({ fixable: 'true' })).toBe('');
    expect(await found({ vulnerability: 'CVE-1', verdict: 'pass' })).toBe('a');
    const [image] = (await list({ vulnerability: 'CVE-1' })).json().items as ListedImage[];
    expect(image?.matching?.findings).toMatchObject([
      { verdict: 'pass', suppressed: { status: 'excepted', until: expiresAt } },
    ]);
    clock.now = now + day;
    expect(await found({ severity: 'high', fixable: 'true', verdict: 'fail' })).toBe('a');
  });

  test('finds by repository, its stars those of policies, and by cluster', async () => {
    const { found, post, deps } = await tenantWith({ a: [], b: [finding('CVE-1', 9.5)] });
    expect(await found({ repository: 'registry.example/team-a/app' })).toBe('a');
    expect(await found({ repository: 'registry.example/*/app' })).toBe('ab');
    expect(await found({ repository: 'registry.example/team-b/**', verdict: 'pass' })).toBe('');
    expect(await found({ repository: 'registry.example/team-a' })).toBe('');
    const cluster = newClusterId();
    const clusters = { find: () => Promise.resolve({ clusterId: cluster } as never) };
    Object.assign(deps, { clusters });
    await post(trivyReport([finding('CVE-2', 1)]), { digest: digestOf('c'), cluster });
    expect(await found({ cluster })).toBe('c');
    expect(await found({ cluster: 'c-elsewhere' })).toBe('');
  });

  test.each([
    { severity: 'urgent' },
    { severity: 'high,' },
    { vulnerability: '' },
    { vulnerability: 'CVE 1' },
    { fixable: 'maybe' },
    { repository: 'nginx' },
    { verdict: 'unknown' },
    { cluster: '' },
  ])('refuses %j with 400 INVALID_REQUEST', async (query) => {
    const { list } = scanSetting(engine);
    const answer = await list(query);
    expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
  });

  test('takes a cursor for the filter alone that it was made with: else 400 INVALID_CURSOR', async () => {
    const { list } = await tenantWith({ a: [finding('CVE-1', 5)], b: [finding('CVE-1', 5)] });
    const { nextCursor: cursor = '' } = (await list({ limit: '1', severity: 'high' })).json() as Record<
      string,
      string
    >;
    expect((await list({ limit: '1', severity: 'high', cursor })).json().items).toHaveLength(1);
    for (const query of [{}, { severity: 'low' }, { severity: 'high', verdict: 'warn' }]) {
      expect((await list({ ...query, cursor })).json().code).toBe('INVALID_CURSOR');
    }
  });

  test('lists what stays once, though others come and go between pages', async () => {
    const { list, post } = await tenantWith({ b: [], c: [], e: [], f: [] });
    const first = (await list({ limit: '2' })).json() as { items: ListedImage[]; nextCursor: string };
    await post(trivyReport([]), { digest: digestOf('a') });
    await post(trivyReport([]), { digest: digestOf('d') });
    const second = (await list({ limit: '9', cursor: first.nextCursor })).json() as typeof first;
    const seen = [...first.items, ...second.items].map(({ digest }) => digest.at(-1)).join('');
    expect(seen).toBe('bcdef');
  });

  test('leaves out what has expired and is still there', async () => {
    const { found, clock, image } = await tenantWith({ a: [finding('CVE-1', 5)] });
    clock.now = now + 90 * day;
    expect([await found(), await found({ vulnerability: 'CVE-1' })]).toEqual(['', '']);
    expect((await image(digestOf('a'))).status).toBe(404);
  });

  test('ends a page early when its time is over, with a cursor that goes on', async () => {
    const { tenantId, deps } = await tenantWith({ a: [], b: [], c: [], d: [] });
    let clock = now;
    const slow = { ...deps, now: () => (clock += 4_000) };
    const digests: string[] = [];
    let cursor: string | undefined;
    const pages: number[] = [];
    do {
      const page = await listImages(slow, tenantId, { limit: 50, cursor, verdict: 'pass' });
      digests.push(...page.items.map(({ digest }) => digest));
      pages.push(page.items.length);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(digests).toEqual(['a', 'b', 'c', 'd'].map(digestOf));
    expect(pages.length).toBeGreaterThan(1);
  });

  test('finds a vulnerability that an image with very many findings has in its pages alone', async () => {
    const { tenantId, list, found } = scanSettingWithFound();
    const many = Array.from({ length: 10_100 }, (_, index) =>
      findingWith({ vulnerability: `CVE-2026-${index}`, score: index < 10_050 ? 5 : 1, severity: 'medium' }),
    );
    await imageStores(engine).upload(tenantId, { digest: digestOf('a'), findings: many });
    expect(await found({ vulnerability: 'CVE-2026-10099' })).toBe('a');
    expect(await found({ vulnerability: 'CVE-2026-10100' })).toBe('');
    const [image] = (await list({ vulnerability: 'CVE-2026-10099' })).json().items as ListedImage[];
    expect(image?.matching?.findings).toMatchObject([{ vulnerability: 'CVE-2026-10099' }]);
    const [all] = (await list({ severity: 'medium' })).json().items as ListedImage[];
    expect(all?.matching).toMatchObject({ total: 10_100 });
  });
});

function scanSettingWithFound() {
  const setting = scanSetting(engine);
  const found = async (query: Record<string, string>) =>
    (await allPages<ListedImage>(setting.list, query)).map((each) => each.digest.at(-1)).join('');
  return { ...setting, found };
}

(unitsAreExact ? describe : describe.skip)('of 500 images with 100 findings each', () => {
  let large: ReturnType<typeof scanSettingWithFound>;
  let small: typeof large;
  const kinds = Array.from({ length: 25 }, (_, kind) => findingsOf(kind, 100));
  const rare = [...findingsOf(3, 99), findingWith({ vulnerability: 'CVE-2026-RARE', score: 9.9 })];

  beforeAll(async () => {
    [large, small] = [scanSettingWithFound(), scanSettingWithFound()];
    const { upload } = imageStores(engine);
    const scan = (index: number) => ({
      digest: namedDigest(index),
      references: [`registry.example/team-${index % 20}/app-${index}:1`],
      clusterId: `c-${index % 50}`,
      findings: index === 5 ? rare : (kinds[index % 25] ?? []),
      at: start,
    });
    for (let from = 0; from < 500; from += 25) {
      await Promise.all(Array.from({ length: 25 }, (_, at) => upload(large.tenantId, scan(from + at))));
    }
    await Promise.all(Array.from({ length: 50 }, (_, at) => upload(small.tenantId, scan(at))));
  }, 60_000);

  const readOf = async (query: Record<string, string>, of = large) =>
    (await engine.units(() => of.list(query))).read;

  test('a page of ten costs the same, however many there are', async () => {
    await Promise.all([large.list(), small.list()]);
    const [ofLarge, ofSmall] = [await readOf({ limit: '10' }), await readOf({ limit: '10' }, small)];
    expect([ofLarge, ofSmall]).toEqual([6.5, 6.5]);
  });

  test('a search costs half a read per 4 KB of cards, and the images that it finds', async () => {
    const query = { vulnerability: 'CVE-2026-RARE' };
    expect(await large.found(query)).toBe(namedDigest(5).at(-1));
    expect(await readOf(query)).toBeLessThan(0.11 * 500 + 3);
    expect(await readOf(query, small)).toBeLessThan(0.11 * 50 + 3);
    // Of a cluster with ten images: all cards, and those ten.
    expect(await large.found({ cluster: 'c-7' })).toHaveLength(10);
    expect(await readOf({ cluster: 'c-7' })).toBeLessThan(0.11 * 500 + 10);
  });

  test('a verdict that most do not have is looked for in all of them', async () => {
    expect(await large.found({ verdict: 'pass' })).toBe('');
    const read = await readOf({ verdict: 'pass' });
    expect(read).toBeGreaterThan(200);
    expect(read).toBeLessThan(300);
  });
});
