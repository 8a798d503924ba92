import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { ImageView } from '../../../core/image/image-schema.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { digestOf, scored, trivyFixture, trivyReport } from './reports.ts';
import { allPages, grypeReport, scanSetting, viewOf as view } from './scan-setting.ts';

describe('images', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());
  const tenant = () => scanSetting(engine);

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
      const seen = (await allPages<ImageView>(list, { limit: '3' })).map((each) => each.digest);
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

    test('lists an image with results of two scanners once, whatever the size of a page', async () => {
      const { post, list } = tenant();
      const digests = ['1', '2', '3', '4'].map(digestOf);
      for (const each of digests) {
        await post(trivyReport([scored('CVE-T', each === digests[2] ? 9.5 : 1)]), { digest: each });
        await post(grypeReport([5], '2026-11-01T00:00:00Z'), { digest: each });
      }
      for (const limit of ['1', '2', '3', '4', '100']) {
        const seen = await allPages<ImageView>(list, { limit });
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

  describe('the image policy', () => {
    test('is followed by verdicts at once', async () => {
      const { post, image, setPolicy } = tenant();
      await post(trivyFixture('ubuntu-1804'));
      expect(view(await image()).verdict).toBe('warn');
      await setPolicy({ warnAt: 1, failAt: 7.8 });
      expect(view(await image())).toMatchObject({
        verdict: 'fail',
        reasons: [
          { rule: 'cvss-fail', threshold: 7.8, total: 1, findings: [{ vulnerability: 'CVE-2019-18276' }] },
        ],
      });
      await setPolicy({ warnAt: 7.9, failAt: 10 });
      expect(view(await image()).verdict).toBe('pass');
    });
  });
});
