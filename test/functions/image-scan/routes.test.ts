import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { gunzipSync, gzipSync } from 'node:zlib';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { ImageView } from '../../../core/image/image-schema.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import type { Dependencies } from '../../../functions/image-scan/deps.ts';
import { ImagePolicyRepository } from '../../../functions/image-scan/image-policy-repository.ts';
import { ImageRepository } from '../../../functions/image-scan/image-repository.ts';
import { ReportRepository } from '../../../functions/image-scan/report-repository.ts';
import { handlers } from '../../../functions/image-scan/routes.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { type Answered, caller, member } from '../api-call.ts';
import { digestOf, scored, trivyFixture, trivyReport } from './reports.ts';

const now = Date.parse('2026-11-23T12:00:00Z');
const digest = digestOf('a');

describe('image-scan', () => {
  let engine: Engine;
  let deps: Dependencies;
  beforeAll(async () => {
    engine = await startEngine();
    deps = {
      images: new ImageRepository(engine.access, engine.tables.tenant),
      policies: new ImagePolicyRepository(engine.access, engine.tables.tenant),
      reports: new ReportRepository(engine.access, engine.buckets.scan),
      now: () => now,
    };
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());

  /** A tenant of its own for each test. */
  const tenant = (using: Dependencies = deps) => {
    const tenantId = newTenantId();
    const call = caller('image-scan', handlers(using));
    const as = member(tenantId);
    return {
      tenantId,
      post: (body: string | Uint8Array, query: Record<string, string> = { digest }, headers = {}) =>
        call({ method: 'POST', path: '/v1/scans', query, body, headers, caller: as }),
      image: (of = digest, who = as) =>
        call({
          path: `/v1/images/${of}`,
          resource: '/v1/images/{digest}',
          params: { digest: of },
          caller: who,
        }),
      list: (query: Record<string, string> = {}, who = as) =>
        call({ path: '/v1/images', query, caller: who }),
      policy: (who = as) => call({ path: '/v1/image-policy', caller: who }),
      setPolicy: (body: unknown, who = as) =>
        call({
          method: 'PUT',
          path: '/v1/image-policy',
          body: JSON.stringify(body),
          headers: { 'Content-Type': 'application/json' },
          caller: who,
        }),
      objects: async () => {
        const { Contents = [] } = await engine.s3.send(
          new ListObjectsV2Command({ Bucket: engine.buckets.scan, Prefix: `tenant/${tenantId}/` }),
        );
        return Contents.map(({ Key = '' }) => Key);
      },
    };
  };
  const view = (answer: Answered) => answer.json() as unknown as ImageView;

  describe('POST /v1/scans', () => {
    test('judges a real report, stores it under the tenant and answers 201 with its Location', async () => {
      const { tenantId, post, image, objects } = tenant();
      const bytes = trivyFixture('ubuntu-1804');
      const posted = await post(bytes, { digest, image: 'registry.example/base:18.04' });
      expect(posted.status).toBe(201);
      expect(new URL(posted.headers.Location ?? '', 'https://api.example/prod/v1/scans').pathname).toBe(
        `/prod/v1/images/${digest}`,
      );
      expect(posted.json()).toMatchObject({
        digest,
        verdict: 'warn',
        counts: { critical: 0, high: 0, medium: 4, low: 1, negligible: 0, unknown: 0 },
        reasons: [{ rule: 'cvss-warn', threshold: 4, total: 5 }],
      });

      const shown = view(await image());
      expect(shown).toMatchObject({
        image: 'registry.example/base:18.04',
        verdict: 'warn',
        scanId: posted.json().scanId,
        scanner: 'trivy dev',
        scannedAt: '2021-08-25T12:20:30.000Z',
      });
      expect(shown.reasons[0]?.findings.map(({ score }) => score)).toEqual([7.8, 6.7, 6.7, 6.7, 6.7]);
      expect(shown.reasons[0]?.findings[0]).toMatchObject({
        vulnerability: 'CVE-2019-18276',
        package: 'bash',
      });

      const [key = ''] = await objects();
      expect(key).toMatch(new RegExp(`^tenant/${tenantId}/scans/${digest}/[0-9a-f]{64}\\.json\\.gz$`));
      // The SDK does not undo Content-Encoding.
      const { Body } = await engine.s3.send(new GetObjectCommand({ Bucket: engine.buckets.scan, Key: key }));
      expect(gunzipSync((await Body?.transformToByteArray()) ?? '')).toEqual(bytes);
    });

    test('stores each image of a report about several by itself, and the report once', async () => {
      const { tenantId, post, image, list, objects } = tenant();
      const digests = ['d', 'e'].map(digestOf);
      const posted = await post(
        JSON.stringify({
          ClusterName: 'kind',
          Resources: digests.map((each) => ({
            Kind: 'Pod',
            Name: 'web',
            Metadata: [{ RepoTags: ['web:1'], RepoDigests: [`web@${each}`] }],
            Results: [
              { Target: 'web:1 (debian 12.1)', Class: 'os-pkgs', Vulnerabilities: [scored('CVE-1', 9)] },
            ],
          })),
        }),
        {},
      );
      expect([posted.status, posted.headers.Location]).toEqual([201, 'images']);
      expect(posted.json()).toMatchObject({ items: digests.map((each) => ({ digest: each })), skipped: [] });
      expect((await list()).json().items).toHaveLength(2);
      expect(view(await image(digests[1]))).toMatchObject({
        image: 'web:1',
        aliases: { references: ['web:1'], digests: [digests[1]] },
        verdict: 'fail',
      });
      expect(await objects()).toEqual([
        expect.stringMatching(new RegExp(`^tenant/${tenantId}/scans/several/[0-9a-f]{64}\\.json\\.gz$`)),
      ]);
    });

    test('takes a gzip body that no gateway decompressed', async () => {
      const { post } = tenant();
      const answer = await post(
        gzipSync(trivyFixture('alpine-310')),
        { digest },
        { 'Content-Encoding': 'gzip' },
      );
      expect(answer.json()).toMatchObject({ verdict: 'warn', counts: { medium: 4 } });
    });

    test('takes the digest from the report and refuses another with 400 REPORT_DIGEST_MISMATCH', async () => {
      const { post, objects } = tenant();
      const report = trivyReport([], { Metadata: { RepoDigests: ['', `registry.example/web@${digest}`] } });
      expect((await post(report, {})).json()).toMatchObject({ digest, verdict: 'pass', reasons: [] });
      const refused = await post(report, { digest: digestOf('b') });
      expect([refused.status, refused.json().code]).toEqual([400, 'REPORT_DIGEST_MISMATCH']);
      expect(await objects()).toHaveLength(1);
    });

    test.each([
      ['no digest', trivyReport([]), {}, 400, 'REPORT_DIGEST_MISSING'],
      ['a digest that is none', trivyReport([]), { digest: 'sha256:1' }, 400, 'INVALID_REQUEST'],
      ['another format', '[]', { digest }, 400, 'REPORT_UNSUPPORTED'],
      ['what is not JSON', '{', { digest }, 400, 'REPORT_MALFORMED'],
      ['half a gzip body', gzipSync(trivyReport([])).subarray(0, 30), { digest }, 400, 'REPORT_MALFORMED'],
      ['5 MB', ' '.repeat(5 * 1024 * 1024), { digest }, 413, 'PAYLOAD_TOO_LARGE'],
      [
        '5 MB behind 5 KB of gzip',
        gzipSync(' '.repeat(5 * 1024 * 1024)),
        { digest },
        413,
        'PAYLOAD_TOO_LARGE',
      ],
    ])('refuses %s and stores nothing', async (_what, body, query, status, code) => {
      const { post, list, objects } = tenant();
      const refused = await post(body, query);
      expect([refused.status, refused.json().code]).toEqual([status, code]);
      expect(await objects()).toEqual([]);
      expect((await list()).json()).toEqual({ items: [] });
    });

    test('refuses another media type with 415 UNSUPPORTED_MEDIA_TYPE', async () => {
      const refused = await tenant().post(trivyReport([]), { digest }, { 'Content-Type': 'text/plain' });
      expect([refused.status, refused.json().code]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
    });

    test('refuses a viewer with 403 ACCESS_DENIED and nobody with 401 UNAUTHENTICATED', async () => {
      const call = caller('image-scan', handlers(deps));
      const scan = { method: 'POST', path: '/v1/scans', query: { digest }, body: trivyReport([]) };
      expect((await call({ ...scan, caller: member(newTenantId(), 'viewer') })).json().code).toBe(
        'ACCESS_DENIED',
      );
      expect((await call(scan)).json().code).toBe('UNAUTHENTICATED');
    });

    test('answers the same report with the same scan, stored once', async () => {
      const { post, image, objects } = tenant();
      const first = await post(trivyFixture('alpine-310'));
      const shown = await image();
      const second = await post(trivyFixture('alpine-310'));
      expect(second.text).toBe(first.text);
      expect((await image()).text).toBe(shown.text);
      expect(await objects()).toHaveLength(1);
    });

    test('keeps the newer scan when an older report comes later', async () => {
      const { post, image } = tenant();
      await post(trivyReport([scored('CVE-NEW', 9)], { CreatedAt: '2026-11-02T00:00:00Z' }));
      const late = await post(trivyReport([], { CreatedAt: '2026-11-01T00:00:00Z' }));
      expect(late.json()).toMatchObject({ verdict: 'pass' });
      expect(view(await image())).toMatchObject({ verdict: 'fail', scannedAt: '2026-11-02T00:00:00.000Z' });
    });

    test('takes a time in the future for now, so that it cannot keep later scans out', async () => {
      const { post, image } = tenant();
      await post(trivyReport([scored('CVE-1', 9)], { CreatedAt: '2126-01-01T00:00:00Z' }));
      expect(view(await image()).scannedAt).toBe(new Date(now).toISOString());
      await post(trivyReport([], { CreatedAt: new Date(now).toISOString() }));
      expect(view(await image()).verdict).toBe('pass');
    });

    test('leaves one whole result, the newest, when 20 uploads race', async () => {
      const { post, image } = tenant();
      const day = (at: number) => `2026-10-${String(at + 1).padStart(2, '0')}T00:00:00Z`;
      await Promise.all(
        Array.from({ length: 20 }, (_, at) =>
          post(
            trivyReport(
              Array.from({ length: at + 1 }, (_each, n) => scored(`CVE-${at}-${n}`, 9)),
              { CreatedAt: day(at) },
            ),
          ),
        ),
      );
      const { counts, reasons, scannedAt } = view(await image());
      expect(scannedAt).toBe('2026-10-20T00:00:00.000Z');
      expect(counts.high).toBe(20);
      expect(reasons[0]?.findings.every(({ vulnerability }) => vulnerability.startsWith('CVE-19-'))).toBe(
        true,
      );
    });

    test('answers 503 UNAVAILABLE when S3 fails, with nothing in DynamoDB', async () => {
      const { post, image } = tenant({
        ...deps,
        reports: { keep: () => Promise.reject(new Error('s3.internal does not answer')) },
      });
      const failed = await post(trivyReport([]));
      expect([failed.status, failed.json().code]).toEqual([503, 'UNAVAILABLE']);
      expect(failed.text).not.toContain('s3.internal');
      expect((await image()).status).toBe(404);
    });

    test('answers 503 UNAVAILABLE when DynamoDB fails, and a retry completes', async () => {
      const { post, image, objects } = tenant();
      engine.faults.failWhen((operation) => operation === 'PutItem');
      const failed = await post(trivyReport([]));
      expect([failed.status, failed.json().code]).toEqual([503, 'UNAVAILABLE']);
      engine.faults.mend();
      expect((await image()).status).toBe(404);
      expect((await post(trivyReport([]))).status).toBe(201);
      expect(view(await image()).verdict).toBe('pass');
      expect(await objects()).toHaveLength(1);
    });

    test('completes on a retry when the answer of the write was lost', async () => {
      const { post, image } = tenant();
      engine.faults.dieAfterWrite(1);
      expect((await post(trivyReport([]))).status).toBe(503);
      engine.faults.mend();
      const shown = await image();
      expect((await post(trivyReport([]))).status).toBe(201);
      expect((await image()).text).toBe(shown.text);
    });
  });

  describe('an image that several scanners have looked at', () => {
    const grype = (scores: readonly number[], timestamp: string) =>
      JSON.stringify({
        matches: scores.map((baseScore, at) => ({
          vulnerability: {
            id: `CVE-G-${at}`,
            severity: 'High',
            cvss: [{ version: '3.1', metrics: { baseScore } }],
          },
          artifact: { name: 'a', version: '1', locations: [{ path: '/a' }] },
        })),
        source: { type: 'image', target: { userInput: 'registry.example/shop/web:2' } },
        descriptor: { name: 'grype', version: '0.96.0', timestamp },
      });
    const [first, later] = ['2026-11-01T00:00:00Z', '2026-11-02T00:00:00Z'];

    test('has the verdict of the one that judges it worst, and shows the results of all', async () => {
      const { post, image } = tenant();
      await post(trivyReport([scored('CVE-T', 9.5)], { CreatedAt: first }));
      // A later scan by another scanner, which finds nothing, does not clear it.
      expect((await post(grype([], later))).json()).toMatchObject({ verdict: 'pass' });
      expect(view(await image())).toMatchObject({
        verdict: 'fail',
        scanner: 'trivy 0.72.0',
        scannedAt: '2026-11-01T00:00:00.000Z',
        aliases: { references: ['registry.example/shop/web:2', 'registry.example/shop/web:1'] },
        scans: [
          { scanner: 'trivy 0.72.0', verdict: 'fail', counts: { high: 1 } },
          { scanner: 'grype 0.96.0', verdict: 'pass', scannedAt: '2026-11-02T00:00:00.000Z' },
        ],
      });
      // The next version of the same scanner replaces its result.
      await post(trivyReport([], { CreatedAt: later, Trivy: { Version: '0.73.0' } }));
      expect(view(await image())).toMatchObject({
        verdict: 'pass',
        scans: [{ verdict: 'pass' }, { verdict: 'pass' }],
      });
      await post(grype([9.9], first));
      expect(view(await image()).verdict).toBe('pass');
    });

    test('is listed once, whatever the size of a page', async () => {
      const { post, list } = tenant();
      const digests = ['1', '2', '3', '4'].map(digestOf);
      for (const each of digests) {
        await post(trivyReport([scored('CVE-T', each === digests[2] ? 9.5 : 1)]), { digest: each });
        await post(grype([5], first), { digest: each });
      }
      for (const limit of ['1', '2', '3', '4', '100']) {
        const seen: ImageView[] = [];
        let cursor: string | undefined;
        do {
          const page = (await list({ limit, ...(cursor ? { cursor } : {}) })).json() as {
            items: ImageView[];
            nextCursor?: string;
          };
          expect(page.items.length).toBeLessThanOrEqual(Number(limit));
          seen.push(...page.items);
          cursor = page.nextCursor;
        } while (cursor);
        expect(seen.map((each) => each.digest)).toEqual(digests);
        expect(seen.map((each) => each.scans.length)).toEqual([2, 2, 2, 2]);
      }
      expect((await list({ verdict: 'fail' })).json().items).toMatchObject([{ digest: digests[2] }]);
      expect((await list({ verdict: 'warn', limit: '2' })).json().items).toMatchObject([
        { digest: digests[0] },
        { digest: digests[1] },
      ]);
    });
  });

  describe('GET /v1/images', () => {
    const posted = async (count: number) => {
      const one = tenant();
      for (let at = 0; at < count; at += 1) {
        const each = `sha256:${String(at).padStart(64, '0')}`;
        await one.post(trivyReport([scored('CVE-1', at % 3 === 0 ? 9.5 : 1)]), { digest: each });
      }
      return one;
    };

    test('pages through all images once, in the order of their digests', async () => {
      const { list } = await posted(7);
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = (await list({ limit: '3', ...(cursor ? { cursor } : {}) })).json() as {
          items: ImageView[];
          nextCursor?: string;
        };
        seen.push(...page.items.map((each) => each.digest));
        cursor = page.nextCursor;
      } while (cursor);
      expect(seen).toHaveLength(7);
      expect(seen).toEqual([...new Set(seen)].sort());
    });

    test('ends without a cursor when the last page is full', async () => {
      const { list } = await posted(3);
      const page = (await list({ limit: '3' })).json();
      expect(page.items).toHaveLength(3);
      expect(page).not.toHaveProperty('nextCursor');
    });

    test('filters by the verdict of this moment', async () => {
      const { list, setPolicy } = await posted(6);
      const digests = async (verdict: string) =>
        ((await list({ verdict })).json().items as ImageView[]).map((each) => Number(each.digest.slice(-1)));
      expect(await digests('fail')).toEqual([0, 3]);
      expect(await digests('pass')).toEqual([1, 2, 4, 5]);
      await setPolicy({ warnAt: 1, failAt: 9.6 });
      expect(await digests('fail')).toEqual([]);
      expect(await digests('warn')).toEqual([0, 1, 2, 3, 4, 5]);
    });

    test('shows three findings of each reason, and their number', async () => {
      const { post, list } = tenant();
      await post(trivyReport(Array.from({ length: 5 }, (_, at) => scored(`CVE-${at}`, 9))));
      const [item] = (await list()).json().items as ImageView[];
      expect(item?.reasons[0]).toMatchObject({ total: 5 });
      expect(item?.reasons[0]?.findings).toHaveLength(3);
    });

    test("refuses another tenant's cursor, and a bad one, with 400 INVALID_CURSOR", async () => {
      const [mine, theirs] = [await posted(2), await posted(2)];
      const { nextCursor } = (await theirs.list({ limit: '1' })).json() as { nextCursor: string };
      for (const cursor of [nextCursor, 'x', '']) {
        expect((await mine.list({ cursor })).json().code).toBe('INVALID_CURSOR');
      }
    });
  });

  describe('the image policy', () => {
    test('is the default until it is set, and verdicts follow at once', async () => {
      const { post, image, policy, setPolicy } = tenant();
      expect((await policy()).json()).toEqual({ warnAt: 4, failAt: 9 });
      await post(trivyFixture('ubuntu-1804'));
      expect(view(await image()).verdict).toBe('warn');
      expect((await setPolicy({ warnAt: 1, failAt: 7.8 })).json()).toEqual({ warnAt: 1, failAt: 7.8 });
      expect(view(await image())).toMatchObject({
        verdict: 'fail',
        reasons: [
          { rule: 'cvss-fail', threshold: 7.8, total: 1, findings: [{ vulnerability: 'CVE-2019-18276' }] },
        ],
      });
      await setPolicy({ warnAt: 7.9, failAt: 10 });
      expect(view(await image()).verdict).toBe('pass');
    });

    test.each([
      [{ warnAt: 5, failAt: 4 }],
      [{ warnAt: -1, failAt: 4 }],
      [{ warnAt: 1, failAt: 11 }],
      [{ warnAt: 1 }],
      [{ warnAt: 1, failAt: 2, more: 3 }],
    ])('refuses %j with 400 INVALID_REQUEST', async (body) => {
      const { policy, setPolicy } = tenant();
      const refused = await setPolicy(body);
      expect([refused.status, refused.json().code]).toEqual([400, 'INVALID_REQUEST']);
      expect((await policy()).json()).toEqual({ warnAt: 4, failAt: 9 });
    });

    test('keeps thresholds that are smaller than any number of DynamoDB', async () => {
      const { policy, setPolicy } = tenant();
      await setPolicy({ warnAt: 1e-300, failAt: 9 });
      expect((await policy()).json()).toEqual({ warnAt: 1e-300, failAt: 9 });
    });

    test('is not for editors to change: 403 ACCESS_DENIED', async () => {
      const { tenantId, setPolicy } = tenant();
      expect((await setPolicy({ warnAt: 1, failAt: 2 }, member(tenantId, 'editor'))).json().code).toBe(
        'ACCESS_DENIED',
      );
    });
  });

  describe('two tenants', () => {
    test("get the same 404 for the other's image, an absent one and a guess", async () => {
      const [mine, theirs] = [tenant(), tenant()];
      await theirs.post(trivyReport([scored('CVE-1', 9)]), { digest });
      expect((await theirs.image()).status).toBe(200);
      const answers = await Promise.all([
        mine.image(digest),
        mine.image(digestOf('b')),
        mine.image('sha256:1'),
      ]);
      for (const answer of answers) {
        expect(answer.status).toBe(404);
        expect(answer.text).toBe(answers[0].text);
      }
    });

    test('have their own lists, policies and results of the same image', async () => {
      const [mine, theirs] = [tenant(), tenant()];
      await theirs.post(trivyReport([scored('CVE-1', 9)]));
      await theirs.setPolicy({ warnAt: 1, failAt: 2 });
      expect((await mine.list()).json()).toEqual({ items: [] });
      expect((await mine.policy()).json()).toEqual({ warnAt: 4, failAt: 9 });
      await mine.post(trivyReport([]));
      expect(view(await mine.image()).verdict).toBe('pass');
      expect(view(await theirs.image()).verdict).toBe('fail');
    });
  });

  test('costs what its docstrings say', async () => {
    const { post, image, list, policy, setPolicy } = tenant();
    const units = (work: () => Promise<unknown>) => engine.units(work);
    // Five findings with the scores of all sources, and the image's other names: 1–2 KB.
    expect(await units(() => post(trivyFixture('ubuntu-1804')))).toEqual({ read: 1, write: 2 });
    expect(await units(() => image())).toEqual({ read: 2, write: 0 });
    expect(await units(() => list())).toEqual({ read: 1.5, write: 0 });
    expect(await units(() => policy())).toEqual({ read: 1, write: 0 });
    expect(await units(() => setPolicy({ warnAt: 1, failAt: 2 }))).toEqual({ read: 0, write: 1 });
    // 50 findings make the largest usual item.
    const many = Array.from({ length: 500 }, (_, at) => ({
      ...scored(`CVE-2026-${10_000 + at * 7}`, 5 + (at % 50) / 10),
      PkgName: `package-${at}`,
      PkgIdentifier: { PURL: `pkg:deb/debian/package-${at}@1.${at}?arch=amd64&distro=debian-12.1` },
    }));
    const { write } = await units(() => post(trivyReport(many), { digest: digestOf('c') }));
    expect(write).toBeLessThanOrEqual(3);
    expect((await units(() => image(digestOf('c')))).read).toBe(2);
  });
});
