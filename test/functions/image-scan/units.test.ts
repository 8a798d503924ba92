import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { scored, trivyFixture, trivyReport } from './reports.ts';
import { digest, now, scanSetting } from './scan-setting.ts';

const on = (ms: number) => new Date(ms).toISOString();
/** Findings as long as real ones. */
const findings = (count: number) =>
  Array.from({ length: count }, (_, at) => ({
    ...scored(`CVE-2026-${10_000 + at * 7}`, 5 + (at % 50) / 10),
    PkgName: `package-${at}`,
    PkgIdentifier: { PURL: `pkg:deb/debian/package-${at}@1.${at}?arch=amd64&distro=debian-12.1` },
  }));

(unitsAreExact ? describe : describe.skip)('read and write units', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());
  const units = (work: () => Promise<unknown>) => engine.units(work);

  test('of a report about an image: 1 read of rules, 1 of the image, and a write for each KB of what is kept', async () => {
    const { post } = scanSetting(engine);
    const upload = (count: number, at: number, query = { digest }) =>
      units(() => post(trivyReport(findings(count), { CreatedAt: on(at) }), query));
    // The first time, without a policy, the rules are looked for in two places.
    expect(await upload(10, now - 5)).toEqual({ read: 3, write: 7 });
    // Again: its findings and the image's own item are there.
    expect(await upload(10, now - 5)).toEqual({ read: 2, write: 4 });
    expect(await upload(100, now - 4)).toEqual({ read: 2, write: 12 });
    expect(await upload(1_000, now - 3)).toEqual({ read: 2, write: 47 });
    // What is replaced is paid for, too: four pages are deleted.
    expect(await upload(10, now - 2)).toEqual({ read: 4, write: 47 });
    // Older than what is there.
    expect(await upload(10, now - 4)).toEqual({ read: 2, write: 4 });
  });

  test('of asking: the image by its KB, findings by stored pages, whatever else the tenant has', async () => {
    const { post, image, list, findings: found, history } = scanSetting(engine);
    await post(trivyFixture('ubuntu-1804'));
    expect(await units(() => image())).toEqual({ read: 2, write: 0 });
    expect(await units(() => found())).toEqual({ read: 2.5, write: 0 });
    expect(await units(() => history())).toEqual({ read: 0.5, write: 0 });
    expect(await units(() => list())).toEqual({ read: 1.5, write: 0 });

    const large = scanSetting(engine);
    await large.post(trivyReport(findings(1_000)));
    expect(await units(() => large.image())).toEqual({ read: 4, write: 0 });
    expect(await units(() => large.findings({ limit: '200' }))).toEqual({ read: 4.5, write: 0 });
    // A filter that meets none looks at all four pages.
    expect(await units(() => large.findings({ severity: 'low' }))).toEqual({ read: 6, write: 0 });
  });
});
