/** Verdicts follow policy, exceptions and time at once: the images are not written for it. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { handlers } from '../../../functions/image-scan/routes.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { caller, member } from '../api-call.ts';
import { engineDependencies } from './engine-dependencies.ts';
import { digestOf, scored, trivyReport } from './reports.ts';
import { openVex } from './vex-documents.ts';

const now = Date.parse('2026-11-23T12:00:00Z');
const day = 86_400_000;
const at = (days: number) => new Date(now + days * day).toISOString();
const digest = digestOf('a');
const repository = 'registry.example/shop/web';

describe('a stored image', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());

  /** An image with a finding of 9.8 and one of 5.0, scanned now; two processes, so that one changes what the other knows. */
  async function scanned() {
    const clock = { now };
    const as = member(newTenantId());
    const process = () =>
      caller('image-scan', handlers({ ...engineDependencies(engine), now: () => clock.now }));
    const [changing, reading] = [process(), process()];
    const json = { 'Content-Type': 'application/json' };
    const send = (method: string, path: string, body: unknown) =>
      changing({ method, path, body: JSON.stringify(body), headers: json, caller: as });
    const report = trivyReport([scored('CVE-2026-1', 9.8), scored('CVE-2026-2', 5)], {
      CreatedAt: at(0),
      Metadata: { RepoTags: [`${repository}:1`], RepoDigests: [`${repository}@${digest}`] },
    });
    const posted = await changing({ method: 'POST', path: '/v1/scans', body: report, query: {}, caller: as });
    expect(posted.status).toBe(201);
    return {
      clock,
      setPolicy: async (body: object) =>
        expect((await send('PUT', '/v1/image-policy', body)).status).toBe(200),
      except: async (body: object) => {
        const more = { justification: 'because', expiresAt: at(30) };
        const made = await send('POST', '/v1/image-exceptions', { ...more, ...body });
        expect(made.status).toBe(201);
        return made.json().exceptionId as string;
      },
      include: (exceptionId: string) =>
        changing({
          method: 'DELETE',
          path: `/v1/image-exceptions/${exceptionId}`,
          resource: '/v1/image-exceptions/{exceptionId}',
          params: { exceptionId },
          caller: as,
        }),
      say: async () => {
        const document = JSON.stringify(openVex({ author: 'vendor' }));
        const taken = await changing({ method: 'POST', path: '/v1/scans', body: document, caller: as });
        expect(taken.status).toBe(201);
      },
      takeBack: () =>
        changing({
          method: 'DELETE',
          path: '/v1/image-statements',
          query: { author: 'vendor' },
          caller: as,
        }),
      importCsv: (body: string) =>
        changing({
          method: 'POST',
          path: '/v1/image-exceptions/imports',
          headers: { 'Content-Type': 'text/csv' },
          query: {},
          body,
          caller: as,
        }),
      verdict: async () => {
        const params = { digest };
        const shown = await reading({
          path: `/v1/images/${digest}`,
          resource: '/v1/images/{digest}',
          params,
          caller: as,
        });
        const { verdict, reasons } = shown.json() as { verdict: string; reasons: { rule: string }[] };
        return [verdict, ...reasons.map(({ rule }) => rule)];
      },
    };
  }

  test('passes with its findings excepted, for so long, and no longer; without a write to the image', async () => {
    const { clock, except, include, verdict } = await scanned();
    expect(await verdict()).toEqual(['fail', 'cvss-fail']);
    const exceptionId = await except({ vulnerability: 'CVE-2026-1', scope: { image: digest } });
    expect(await verdict()).toEqual(['warn', 'cvss-warn']);
    await except({
      vulnerability: 'cve-2026-2',
      scope: { repository: 'registry.example/*/web' },
      expiresAt: at(10),
    });
    const units = await engine.units(async () => {
      expect(await verdict()).toEqual(['pass']);
      clock.now = now + 10 * day - 1;
      expect(await verdict()).toEqual(['pass']);
      clock.now += 1;
      expect(await verdict()).toEqual(['warn', 'cvss-warn']);
    });
    expect(units.write).toBe(0);
    expect((await include(exceptionId)).status).toBe(204);
    expect(await verdict()).toEqual(['fail', 'cvss-fail']);
  });

  test('is not touched by exceptions of other images, repositories, vulnerabilities and packages', async () => {
    const { except, verdict } = await scanned();
    await except({ vulnerability: 'CVE-2026-1', scope: { image: digestOf('b') } });
    await except({ vulnerability: 'CVE-2026-1', scope: { repository: 'registry.example/*' } });
    await except({ vulnerability: 'CVE-2026-10', scope: 'any' });
    await except({ vulnerability: 'CVE-2026-1', package: 'another', scope: 'any' });
    expect(await verdict()).toEqual(['fail', 'cvss-fail']);
  });

  test('follows an import of exceptions', async () => {
    const { importCsv, verdict } = await scanned();
    const rows = `vulnerability,repository,justification,expires\nCVE-2026-1,${repository},x,2026-12-31\n`;
    expect((await importCsv(rows)).status).toBe(200);
    expect(await verdict()).toEqual(['warn', 'cvss-warn']);
  });

  test('follows what a VEX document says, until that is taken back', async () => {
    const { say, takeBack, verdict } = await scanned();
    await say();
    expect(await verdict()).toEqual(['warn', 'cvss-warn']);
    expect((await takeBack()).status).toBe(204);
    expect(await verdict()).toEqual(['fail', 'cvss-fail']);
  });

  test('follows the policy, its overrides, and the age of its scan', async () => {
    const { clock, setPolicy, verdict } = await scanned();
    await setPolicy({ warnAt: 'never', failAt: 9.9 });
    expect(await verdict()).toEqual(['pass']);
    await setPolicy({
      warnAt: 'never',
      failAt: 9.9,
      overrides: [{ repositories: [repository], warnAt: 'medium', failAt: 9.8 }],
    });
    expect(await verdict()).toEqual(['fail', 'cvss-fail']);
    await setPolicy({ warnAt: 'never', failAt: 'never', maxScanAgeDays: 7, stale: 'warn' });
    clock.now = now + 7 * day - 1;
    expect(await verdict()).toEqual(['pass']);
    clock.now += 1;
    expect(await verdict()).toEqual(['warn', 'scan-age']);
  });
});
