import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { QueryCommand } from '@aws-sdk/lib-dynamodb';
import { type TenantCollection, tenantPartition } from '../../../core/tenant/tenant-partition.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { engineDependencies } from './engine-dependencies.ts';
import { digestOf, scored, trivyReport } from './reports.ts';
import { day, digest, findingsOf, grypeReport, scanSetting, viewOf } from './scan-setting.ts';

type Setting = ReturnType<typeof scanSetting>;

const collections = [
  'IMAGES',
  'IMAGE_NAMES',
  'IMAGE_CARDS',
  'IMAGE_FINDINGS',
  'IMAGE_HISTORY',
  'IMAGE_CHANGES',
] as const;

/** Findings enough for two pages, two names beside the digest. */
const large = (at: string, score: number) =>
  trivyReport(
    Array.from({ length: 260 }, (_, n) => scored(`CVE-${at}-${n}`, score)),
    {
      CreatedAt: at,
      Metadata: {
        RepoTags: ['registry.example/shop/web:1'],
        RepoDigests: [`registry.example/shop/web@${digest}`, `mirror.example/web@${digestOf('c')}`],
      },
    },
  );

describe('what an upload stores', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());

  /** Keys and hashes of the tenant's items about images, without its name. */
  const stored = async (tenantId: string): Promise<string[]> => {
    const found = await Promise.all(collections.map((collection) => itemsOf(tenantId, collection)));
    return found.flat();
  };
  const itemsOf = async (tenantId: string, collection: TenantCollection): Promise<string[]> => {
    const { Items = [], LastEvaluatedKey } = await engine.dynamo.send(
      new QueryCommand({
        TableName: engine.tables.tenant,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': tenantPartition(tenantId, collection) },
      }),
    );
    expect(LastEvaluatedKey).toBeUndefined();
    return Items.map((item) => {
      const content = text(item).replaceAll(tenantId, 't');
      return `${collection} ${String(item.sk)} ${createHash('sha256').update(content).digest('hex')}`;
    });
  };
  const text = (item: Record<string, unknown>): string =>
    JSON.stringify(
      Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)),
      (_key, value: unknown) => {
        if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
        return value instanceof Set
          ? [...value].map((each) => Buffer.from(each as Uint8Array).toString('base64')).sort()
          : value;
      },
    );

  const situations: readonly (readonly [
    string,
    { readonly before: (setting: Setting) => Promise<unknown>; readonly report: string },
  ])[] = [
    [
      'the first about an image',
      { before: () => Promise.resolve(), report: large('2026-11-20T00:00:00Z', 5) },
    ],
    [
      'one that replaces an earlier scan and changes the verdict, after another scanner and a changed policy',
      {
        before: async ({ post, setPolicy, clock }) => {
          await post(large('2026-11-18T00:00:00Z', 5));
          await post(grypeReport([5], '2026-11-19T00:00:00Z'));
          await setPolicy({ warnAt: 5.1, failAt: 9 });
          clock.now += day;
        },
        report: large('2026-11-20T00:00:00Z', 9.5),
      },
    ],
    [
      'one that comes again after another of the same date has taken its place',
      {
        before: async ({ post }) => {
          await post(large('2026-11-20T00:00:00Z', 5));
          await post(large('2026-11-20T00:00:00Z', 9.5));
        },
        report: large('2026-11-20T00:00:00Z', 5),
      },
    ],
    [
      'one that is older than what its scanner has found since',
      {
        before: ({ post }) => post(large('2026-11-21T00:00:00Z', 5)),
        report: large('2026-11-20T00:00:00Z', 9.5),
      },
    ],
  ];

  test.each(situations)(
    '%s: stopped after any of its writes it is 503 UNAVAILABLE or done, and the same upload again leaves what an undisturbed one does',
    async (_what, { before, report }) => {
      const settingIn = async () => {
        const setting = scanSetting(engine);
        await before(setting);
        return setting;
      };
      const undisturbed = await settingIn();
      const answer = await undisturbed.post(report);
      expect(answer.status).toBe(201);
      const expected = await stored(undisturbed.tenantId);
      const counting = await settingIn();
      engine.faults.dieAfterWrite(Infinity);
      await counting.post(report);
      const writes = engine.faults.mend();
      expect(writes).toBeGreaterThanOrEqual(3);

      for (let nth = 0; nth <= writes; nth += 1) {
        const setting = await settingIn();
        if (nth === 0) engine.faults.failWhen((operation) => /^(?:Put|Update|Batch)/.test(operation));
        else engine.faults.dieAfterWrite(nth);
        const stopped = await setting.post(report);
        engine.faults.mend();
        expect([nth, stopped.status, stopped.json().code]).toEqual([nth, 503, 'UNAVAILABLE']);
        // What can be seen in between is whole: the image as before, or as after.
        const shown = await setting.image();
        if (shown.status === 200) {
          const found = findingsOf(await setting.findings({ scanner: 'trivy', limit: '200' })).items;
          expect(found).toHaveLength(200);
          expect(
            new Set(found.map(({ vulnerability }) => vulnerability.slice(0, 24))).size,
          ).toBeLessThanOrEqual(1);
        }
        const again = await setting.post(report);
        expect([nth, again.status, again.text]).toEqual([nth, 201, answer.text]);
        expect(await stored(setting.tenantId)).toEqual(expected);
      }
    },
    60_000,
  );

  test('of racing uploads is one whole result of each scanner, the newest, with its own pages and no others', async () => {
    const { tenantId, post, image, findings } = scanSetting(engine);
    const uploads = Array.from({ length: 6 }, (_, at) => [
      large(`2026-11-1${at}T00:00:00Z`, 5),
      grypeReport([at], `2026-11-1${at}T00:00:00Z`),
    ]).flat();
    const answers = await Promise.all(uploads.map((report) => post(report)));
    expect(answers.map(({ status }) => status)).toEqual(uploads.map(() => 201));

    const shown = viewOf(await image());
    expect(shown.scans.map(({ scanner, scannedAt }) => [scanner, scannedAt]).sort()).toEqual([
      ['grype 0.96.0', '2026-11-15T00:00:00.000Z'],
      ['trivy 0.72.0', '2026-11-15T00:00:00.000Z'],
    ]);
    const pages = (await stored(tenantId)).filter((item) => item.startsWith('IMAGE_FINDINGS'));
    expect(pages).toHaveLength(3);
    for (const { scanId } of shown.scans) {
      expect(pages.filter((page) => page.includes(scanId)).length).toBeGreaterThan(0);
    }
    const { items } = findingsOf(await findings({ scanner: 'trivy', limit: '200' }));
    expect(items.every(({ vulnerability }) => vulnerability.startsWith('CVE-2026-11-15'))).toBe(true);
  });

  /** What is to be deleted of pages waits until it is let go; all else goes on. */
  const heldBack = (using: Partial<Pick<Setting['deps']['pages'], 'write'>> = {}) => {
    const { pages } = engineDependencies(engine);
    const asked = Promise.withResolvers<undefined>();
    const gone = Promise.withResolvers<undefined>();
    let isHolding = false;
    const setting = scanSetting(engine, {
      pages: {
        write: using.write ?? ((...given) => pages.write(...given)),
        page: (...given) => pages.page(...given),
        delete: async (...given) => {
          if (isHolding) {
            isHolding = false;
            asked.resolve(undefined);
            await gone.promise;
          }
          await pages.delete(...given);
        },
      },
    });
    /** Uploads a report up to its first deletion; what it answers is the promised upload's. */
    const upload = async (report: string) => {
      isHolding = true;
      const answer = setting.post(report);
      await asked.promise;
      return { finish: () => (gone.resolve(undefined), answer) };
    };
    return { setting, upload };
  };
  const twoPages = (name: string, CreatedAt: string | undefined) =>
    trivyReport(
      Array.from({ length: 260 }, (_, n) => scored(`CVE-${name}-${n}`, 5)),
      { CreatedAt },
    );
  const expectWhole = async ({ tenantId, findings }: Setting, name: string) => {
    const { items } = findingsOf(await findings({ limit: '200' }));
    expect(items).toHaveLength(200);
    // Only pages have scores by source.
    expect(items.every(({ vulnerability, cvss }) => vulnerability.includes(name) && cvss.length > 0)).toBe(
      true,
    );
    expect((await stored(tenantId)).filter((item) => item.startsWith('IMAGE_FINDINGS'))).toHaveLength(2);
  };

  test.each([
    ['of one date', '2026-11-20T00:00:00Z'],
    ['without a date', undefined],
  ])(
    'of a report %s that comes again keeps its pages though what took its place is still deleting the earlier ones',
    async (_what, date) => {
      const { setting, upload } = heldBack();
      await setting.post(twoPages('A', date));
      setting.clock.now += 1000;
      const replacing = await upload(twoPages('B', date));
      setting.clock.now += 1000;
      expect((await setting.post(twoPages('A', date))).status).toBe(201);
      expect((await replacing.finish()).status).toBe(201);
      await expectWhole(setting, 'CVE-A');
    },
  );

  test('of a report that comes twice at once keeps its pages though another took its place between the two', async () => {
    const { pages } = engineDependencies(engine);
    const [reached, go] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
    let isFirst = true;
    const { setting, upload } = heldBack({
      write: async (...given) => {
        if (isFirst) {
          isFirst = false;
          reached.resolve(undefined);
          await go.promise;
        }
        return pages.write(...given);
      },
    });
    const date = '2026-11-20T00:00:00Z';
    const slow = setting.post(twoPages('A', date));
    await reached.promise;
    await setting.post(twoPages('A', date));
    const replacing = await upload(twoPages('B', date));
    go.resolve(undefined);
    expect((await slow).status).toBe(201);
    expect((await replacing.finish()).status).toBe(201);
    await expectWhole(setting, 'CVE-A');
  });

  test('is the same whatever the order in which two reports come', async () => {
    const [one, other] = [large('2026-11-18T00:00:00Z', 5), grypeReport([9.9], '2026-11-19T00:00:00Z')];
    const [forth, back] = [scanSetting(engine), scanSetting(engine)];
    for (const report of [one, other]) await forth.post(report);
    for (const report of [other, one]) await back.post(report);
    expect((await back.image()).text).toBe((await forth.image()).text);
  });

  test('by the seventh scanner about an image is refused with 409 LIMIT_REACHED', async () => {
    const { post, image, tenantId } = scanSetting(engine);
    const by = (name: string) =>
      JSON.stringify({
        bomFormat: 'CycloneDX',
        specVersion: '1.5',
        metadata: {
          tools: { components: [{ type: 'application', name, version: '1' }] },
          component: { type: 'container', name: 'web', purl: `pkg:oci/web@${digest.replace(':', '%3A')}` },
        },
        components: [{ type: 'library', name: 'a', version: '1', purl: 'pkg:npm/a@1', 'bom-ref': 'a' }],
        vulnerabilities: [{ id: 'CVE-1', affects: [{ ref: 'a' }] }],
      });
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) expect((await post(by(name))).status).toBe(201);
    const refused = await post(by('g'));
    expect([refused.status, refused.json().code]).toEqual([409, 'LIMIT_REACHED']);
    expect((await stored(tenantId)).filter((item) => item.startsWith('IMAGE_FINDINGS'))).toHaveLength(6);
    expect((await post(by('f'))).status).toBe(201);
    expect(viewOf(await image()).scans).toHaveLength(6);
  });
});
