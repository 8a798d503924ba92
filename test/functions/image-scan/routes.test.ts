import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { gunzipSync, gzipSync } from 'node:zlib';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { member } from '../api-call.ts';
import { digestOf, scored, trivyFixture, trivyReport } from './reports.ts';
import { digest, grypeReport, now, scanSetting, viewOf as view } from './scan-setting.ts';

describe('image-scan', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());
  const tenant = (using: Parameters<typeof scanSetting>[1] = {}) => scanSetting(engine, using);

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
      const { call } = tenant();
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
        reports: { keep: () => Promise.reject(new Error('s3.internal does not answer')) },
      });
      const failed = await post(trivyReport([]));
      expect([failed.status, failed.json().code]).toEqual([503, 'UNAVAILABLE']);
      expect(failed.text).not.toContain('s3.internal');
      expect((await image()).status).toBe(404);
    });
  });

  describe('an image that several scanners have looked at', () => {
    const [first, later] = ['2026-11-01T00:00:00Z', '2026-11-02T00:00:00Z'];

    test('has the verdict of the one that judges it worst, and shows the results of all', async () => {
      const { post, image } = tenant();
      await post(trivyReport([scored('CVE-T', 9.5)], { CreatedAt: first }));
      // A later scan by another scanner, which finds nothing, does not clear it.
      expect((await post(grypeReport([], later))).json()).toMatchObject({ verdict: 'pass' });
      expect(view(await image())).toMatchObject({
        verdict: 'fail',
        scanner: 'trivy 0.72.0',
        scannedAt: '2026-11-01T00:00:00.000Z',
        aliases: { references: ['registry.example/shop/web:1', 'registry.example/shop/web:2'] },
        names: [
          { name: 'registry.example/shop/web:2', scannedAt: '2026-11-02T00:00:00.000Z' },
          { name: 'registry.example/shop/web:1', scannedAt: '2026-11-01T00:00:00.000Z' },
        ],
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
      await post(grypeReport([9.9], first));
      expect(view(await image()).verdict).toBe('pass');
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
      await mine.post(trivyReport([]));
      expect(view(await mine.image()).verdict).toBe('pass');
      expect(view(await theirs.image()).verdict).toBe('fail');
    });
  });
});
