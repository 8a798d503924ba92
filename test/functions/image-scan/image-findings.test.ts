import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { encodeCursor } from '../../../core/api/cursor.ts';
import { pagesOf } from '../../../core/image/finding-page-repository.ts';
import type { ImageFinding } from '../../../core/image/image-finding-schema.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { member } from '../api-call.ts';
import { digestOf, scored, trivyFixture, trivyReport } from './reports.ts';
import { allPages, day, digest, findingsOf, grypeReport, now, scanSetting } from './scan-setting.ts';

const at = '2026-11-20T00:00:00Z';
const names = (items: readonly ImageFinding[]) => items.map(({ vulnerability }) => vulnerability);

describe('the findings of an image', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());

  test('are shown whole, the worst first, each with what it makes of the image', async () => {
    const { post, findings } = scanSetting(engine);
    await post(trivyFixture('ubuntu-1804'));
    const { items, nextCursor } = findingsOf(await findings());
    expect(nextCursor).toBeUndefined();
    expect(items.map(({ score }) => score)).toEqual([7.8, 6.7, 6.7, 6.7, 6.7]);
    expect(items[0]).toMatchObject({
      vulnerability: 'CVE-2019-18276',
      package: 'bash',
      scanner: 'trivy',
      verdict: 'warn',
      rules: ['cvss-warn'],
      cvss: [
        { version: '3.1', score: 7.8, source: 'nvd' },
        { version: '3.1', score: 7.8, source: 'redhat' },
        { version: '2.0', score: 7.2, source: 'nvd' },
      ],
    });
    expect(JSON.stringify(items)).not.toMatch(/https?:\/\//);
  });

  test('of all scanners come page after page, once each, whatever the size of a page', async () => {
    const { post, findings } = scanSetting(engine);
    const ofTrivy = Array.from({ length: 600 }, (_, n) => scored(`CVE-T-${n}`, 5));
    await post(trivyReport(ofTrivy, { CreatedAt: at }));
    await post(
      grypeReport(
        Array.from({ length: 260 }, (_, n) => ((n % 90) + 1) / 10),
        at,
      ),
    );
    for (const limit of ['200', '101']) {
      const items = await allPages<ImageFinding>(findings, { limit });
      expect(new Set(names(items)).size).toBe(860);
      expect(items).toHaveLength(860);
      expect(items.map(({ scanner }) => scanner).join()).toMatch(/^(grype,){260}(trivy,?){600}$/);
      const scores = items.filter(({ scanner }) => scanner === 'grype').map(({ score }) => score);
      expect(scores).toEqual(scores.toSorted((a, b) => (b ?? 0) - (a ?? 0)));
    }
  });

  test('are those of one scanner, of a severity, with or without a fix, as asked', async () => {
    const { post, findings } = scanSetting(engine);
    const fixed = { ...scored('CVE-FIXED', 9.9, 'CRITICAL'), FixedVersion: '2.37', Status: 'fixed' };
    await post(
      trivyReport([scored('CVE-HIGH', 8), fixed, scored('CVE-CRITICAL', 9.5, 'CRITICAL')], { CreatedAt: at }),
    );
    await post(grypeReport([5], at));
    const found = async (query: Record<string, string>) => names(findingsOf(await findings(query)).items);
    expect(await found({ scanner: 'grype' })).toEqual(['CVE-G-0']);
    expect(await found({ scanner: 'none' })).toEqual([]);
    expect(await found({ severity: 'critical' })).toEqual(['CVE-FIXED', 'CVE-CRITICAL']);
    expect(await found({ fixable: 'true' })).toEqual(['CVE-FIXED']);
    expect(await found({ severity: 'critical', fixable: 'false' })).toEqual(['CVE-CRITICAL']);
    for (const query of [{ severity: 'dire' }, { fixable: 'perhaps' }, { scanner: '' }, { limit: '0' }]) {
      expect((await findings(query)).json().code).toBe('INVALID_REQUEST');
    }
  });

  test('say why one does not count now: the report, an exception while it holds, a VEX statement', async () => {
    const { post, findings, addException, clock } = scanSetting(engine);
    await post(
      trivyReport([scored('CVE-1', 9.5), scored('CVE-2', 9.4), scored('CVE-3', 9.3)], {
        CreatedAt: at,
        Results: [
          {
            Class: 'os-pkgs',
            Type: 'debian',
            Vulnerabilities: [scored('CVE-1', 9.5), scored('CVE-2', 9.4), scored('CVE-3', 9.3)],
            ExperimentalModifiedFindings: [
              {
                Type: 'vulnerability',
                Status: 'ignored',
                Source: '.trivyignore',
                Finding: scored('CVE-4', 9.2),
              },
            ],
          },
        ],
      }),
    );
    const expiresAt = new Date(now + day).toISOString();
    const added = await addException({ vulnerability: 'CVE-1', scope: 'any', justification: 'x', expiresAt });
    const { exceptionId } = added.json();
    await post(
      JSON.stringify({
        '@context': 'https://openvex.dev/ns/v0.2.0',
        '@id': 'https://openvex.example/1',
        author: 'vendor',
        timestamp: at,
        version: 1,
        statements: [
          {
            vulnerability: { name: 'CVE-2' },
            products: [{ '@id': 'pkg:deb/debian/libc6@2.36' }],
            status: 'not_affected',
            justification: 'component_not_present',
          },
        ],
      }),
      {},
    );

    const shown = async () =>
      findingsOf(await findings()).items.map(({ vulnerability, verdict, rules, suppressed }) => ({
        vulnerability,
        verdict,
        rules,
        suppressed,
      }));
    const none = { verdict: 'pass', rules: [] };
    const before = [
      {
        ...none,
        vulnerability: 'CVE-1',
        suppressed: expect.objectContaining({ status: 'excepted', exceptionId, until: expiresAt }),
      },
      {
        ...none,
        vulnerability: 'CVE-2',
        suppressed: expect.objectContaining({
          status: 'not_affected',
          justification: 'component_not_present',
        }),
      },
      { vulnerability: 'CVE-3', verdict: 'fail', rules: ['cvss-fail'], suppressed: undefined },
      { ...none, vulnerability: 'CVE-4', suppressed: { status: 'ignored', source: '.trivyignore' } },
    ];
    expect(await shown()).toEqual(before);
    clock.now += day;
    expect((await shown())[0]).toMatchObject({ verdict: 'fail', suppressed: undefined });
  });

  test('are shown without their scores by source when their pages are gone', async () => {
    const { post, findings, tenantId, deps } = scanSetting(engine);
    await post(trivyFixture('ubuntu-1804'));
    const whole = findingsOf(await findings()).items;
    const result = (await deps.images.find(tenantId, digest))?.results[0];
    if (!result) throw new Error('no result');
    await deps.pages.delete(tenantId, pagesOf(digest, result));
    expect(findingsOf(await findings()).items).toEqual(whole.map((each) => ({ ...each, cvss: [] })));
  });

  test('take no cursor of a scan that was replaced, of another image or tenant: 400 INVALID_CURSOR', async () => {
    const { post, findings } = scanSetting(engine);
    const many = Array.from({ length: 3 }, (_, n) => scored(`CVE-${n}`, 5));
    await post(trivyReport(many, { CreatedAt: at }));
    await post(trivyReport(many, { CreatedAt: at }), { digest: digestOf('b') });
    const { nextCursor: cursor = '' } = findingsOf(await findings({ limit: '1' }));
    expect(names(findingsOf(await findings({ limit: '1', cursor })).items)).toEqual(['CVE-1']);
    const other = scanSetting(engine);
    await other.post(trivyReport(many, { CreatedAt: at }));
    expect((await other.findings({ cursor })).json().code).toBe('INVALID_CURSOR');
    expect((await findings({ cursor }, digestOf('b'))).json().code).toBe('INVALID_CURSOR');
    expect((await findings({ cursor, scanner: 'grype' })).json().code).toBe('INVALID_CURSOR');
    await post(trivyReport(many, { CreatedAt: '2026-11-21T00:00:00Z' }));
    expect((await findings({ cursor })).json()).toMatchObject({
      code: 'INVALID_CURSOR',
      detail: expect.stringContaining('scanned again'),
    });
  });

  test('are of an image that is kept: 404 NOT_FOUND once that has expired, whether or not it is still there', async () => {
    const { post, findings, clock } = scanSetting(engine);
    await post(trivyReport([scored('CVE-1', 5)]));
    expect((await findings()).status).toBe(200);
    clock.now += 91 * day;
    expect((await findings()).json().code).toBe('NOT_FOUND');
  });

  test.each(['0#-1', '0#x', 'x#0', '0#', '-1#0', '0#1e9', '0#99999999999999'])(
    'take no cursor that somebody has made up, whatever it would make them look through: %s',
    async (place) => {
      const { post, findings, tenantId } = scanSetting(engine);
      const { scanId = '' } = (await post(trivyReport([scored('CVE-1', 5)], { CreatedAt: at }))).json();
      const cursor = encodeCursor(tenantId, `findings ${digest}`, `trivy#${String(scanId)}#${place}`);
      expect((await findings({ cursor })).json().code).toBe('INVALID_CURSOR');
    },
  );

  test('are asked for with a rare filter in pages that may be empty, and end', async () => {
    const { post, findings } = scanSetting(engine);
    const many = Array.from({ length: 3_400 }, (_, n) => scored(`CVE-${n}`, 5));
    await post(trivyReport([...many, scored('CVE-LAST', 1, 'LOW')], { CreatedAt: at }));
    const first = findingsOf(await findings({ severity: 'low' }));
    expect(first.items).toEqual([]);
    expect(first.nextCursor).toBeDefined();
    expect(names(await allPages<ImageFinding>(findings, { severity: 'low' }))).toEqual(['CVE-LAST']);
  });

  test('of an image without any are an empty page; of an unknown one, or for nobody who may read, none', async () => {
    const { post, findings, call, tenantId } = scanSetting(engine);
    await post(trivyReport([]));
    expect(findingsOf(await findings())).toEqual({ items: [] });
    for (const unknown of [digestOf('f'), 'sha256:1']) {
      expect((await findings({}, unknown)).json().code).toBe('NOT_FOUND');
    }
    const path = `/v1/images/${digest}/findings`;
    const asked = { path, resource: '/v1/images/{digest}/findings', params: { digest } };
    expect((await call({ ...asked, caller: member(newTenantId()) })).json().code).toBe('NOT_FOUND');
    expect((await call({ ...asked, caller: member(tenantId, 'member') })).json().code).toBe('ACCESS_DENIED');
    engine.faults.failWhen((operation) => operation === 'GetItem');
    expect((await findings()).json().code).toBe('UNAVAILABLE');
  });
});
