import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { decodeCursor, encodeCursor } from '../../../core/api/cursor.ts';
import type { ExportRow, ListedImage } from '../../../core/image/image-search-schema.ts';
import { csvRows } from '../../../functions/image-scan/csv.ts';
import { exportImages } from '../../../functions/image-scan/image-export.ts';
import { listOf } from '../../../functions/image-scan/image-search.ts';
import { findingsOf, findingWith, imageStores } from '../../core/image/scanned-images.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { digestOf, scored, trivyFixture, trivyReport } from './reports.ts';
import {
  allPages,
  day,
  digest,
  findingsOf as pageOf,
  grypeReport,
  now,
  scanSetting,
  viewOf,
} from './scan-setting.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.close());

type Exported = { readonly texts: readonly string[]; readonly types: readonly string[] };

/** A tenant, and all pages of an export by following their links. */
function exporting() {
  const setting = scanSetting(engine);
  const exported = async (query: Record<string, string> = {}): Promise<Exported> => {
    const [texts, types]: [string[], string[]] = [[], []];
    let next: Record<string, string> | undefined = query;
    while (next !== undefined) {
      const answer = await setting.call({ path: '/v1/images/export', query: next, caller: setting.as });
      if (answer.status !== 200) throw new Error(answer.text);
      texts.push(answer.text);
      types.push(answer.headers['Content-Type'] ?? '');
      const [, link] = /^<(.*)>; rel="next"$/.exec(answer.headers.Link ?? '') ?? [];
      const url: URL | undefined = link
        ? new URL(link, 'https://api.example/stage/v1/images/export')
        : undefined;
      expect(url?.pathname ?? '/stage/v1/images/export').toBe('/stage/v1/images/export');
      next = url && Object.fromEntries(url.searchParams);
    }
    return { texts, types };
  };
  const rows = async (query: Record<string, string> = {}) =>
    (await exported({ ...query, format: 'json' })).texts.flatMap((text) => JSON.parse(text) as ExportRow[]);
  const records = async (query: Record<string, string> = {}) => {
    const [header, ...all] = [...csvRows((await exported({ ...query, format: 'csv' })).texts.join(''))];
    return all.map(({ fields }) =>
      Object.fromEntries(fields.map((field, at) => [header?.fields[at] ?? '', field])),
    );
  };
  const documents = async (query: Record<string, string> = {}) =>
    (await exported({ ...query, format: 'cyclonedx-vex' })).texts.map((text) => JSON.parse(text) as Vex);
  return { ...setting, exported, rows, records, documents };
}

type Vex = {
  readonly metadata: { readonly component?: { readonly version: string; readonly purl?: string } };
  readonly vulnerabilities: readonly {
    readonly id: string;
    readonly analysis: { readonly state: string; readonly justification?: string; readonly detail?: string };
    readonly affects: readonly { readonly ref: string }[];
  }[];
};
const statesOf = ({ vulnerabilities }: Vex) =>
  Object.fromEntries(vulnerabilities.map(({ id, analysis }) => [id, analysis.state]));

const openVex = (statements: readonly Readonly<Record<string, unknown>>[]) =>
  JSON.stringify({
    '@context': 'https://openvex.dev/ns/v0.2.0',
    '@id': 'https://example.com/vex/1',
    author: 'Example Corp',
    timestamp: '2026-11-01T00:00:00Z',
    version: 1,
    statements,
  });
const about = (name: string, status: string, more = {}) => ({
  vulnerability: { name },
  products: [
    {
      '@id': `pkg:oci/web@${encodeURIComponent(digest)}`,
      subcomponents: [{ '@id': 'pkg:deb/debian/libc6' }],
    },
  ],
  status,
  ...more,
});

describe('GET /v1/images/export', () => {
  test('as JSON has what /findings shows but scores by source, with the image and its verdict', async () => {
    const { post, rows, findings, image } = exporting();
    await post(trivyFixture('ubuntu-1804'));
    const exported = await rows();
    const { verdict, image: reference, scannedAt } = viewOf(await image());
    const { items } = pageOf(await findings({ limit: '200' }));
    expect(exported).toEqual(
      items.map(({ cvss: _, ...finding }) => ({
        image: reference,
        digest,
        verdict,
        clusters: [],
        scannedAt,
        finding,
      })),
    );
    expect(exported.length).toBeGreaterThan(3);
  });

  test('as CSV has the same findings, one record each under one header, whatever the size of a page', async () => {
    const { post, records, rows, exported } = exporting();
    for (const [index, letter] of ['a', 'b', 'c'].entries()) {
      await post(trivyReport([scored('CVE-1', 5 + index), scored('CVE-2', 9.5)]), {
        digest: digestOf(letter),
      });
    }
    const all = await records();
    expect(all).toHaveLength(6);
    expect(all.map((each) => [each.digest, each.vulnerability, Number(each.score)])).toEqual(
      (await rows()).map((each) => [each.digest, each.finding?.vulnerability, each.finding?.score]),
    );
    expect(await records({ limit: '1' })).toEqual(all);
    const { types } = await exported({ limit: '1' });
    expect(types.slice(0, 2)).toEqual(
      ['present', 'absent'].map((header) => `text/csv; charset=utf-8; header=${header}`),
    );
    expect(all[0]).toMatchObject({
      image: 'registry.example/shop/web:1',
      verdict: 'fail',
      scanner: 'trivy',
      purl: 'pkg:deb/debian/libc6@2.36',
      severity: 'high',
      finding_verdict: 'fail',
      rules: 'cvss-fail',
      suppressed: '',
    });
  });

  test('as CSV leaves no text that a spreadsheet takes for a formula, and none that leaves its field', async () => {
    const { post, records, exported } = exporting();
    const names = ['=cmd', '+1', '-1', '@sum', '\tx', '\rx', 'a,b', 'say "x"', 'two\r\nlines', 'plain'];
    await post(
      trivyReport(
        names.map((PkgName, index) => ({
          ...scored(`CVE-${index}`, 9 - index / 10),
          PkgName,
          PkgIdentifier: {},
        })),
      ),
    );
    const found = (await records()).map((each) => each.package);
    const expected = [
      "'=cmd",
      "'+1",
      "'-1",
      "'@sum",
      "'\tx",
      "'\rx",
      'a,b',
      'say "x"',
      'two\r\nlines',
      'plain',
    ];
    expect(new Set(found)).toEqual(new Set(expected));
    expect((await exported({ format: 'csv' })).texts.join('')).toContain('"say ""x"""');
  });

  test('says which exception holds a finding, and until when', async () => {
    const { post, records, addException } = exporting();
    await post(trivyReport([scored('CVE-1', 9.5), scored('CVE-2', 1)]));
    const expiresAt = new Date(now + day).toISOString();
    const made = await addException({ vulnerability: 'CVE-1', scope: 'any', justification: 'x', expiresAt });
    expect(await records()).toMatchObject([
      {
        verdict: 'pass',
        vulnerability: 'CVE-1',
        finding_verdict: 'pass',
        suppressed: 'excepted',
        exception_id: made.json().exceptionId,
        exception_until: expiresAt,
      },
      { vulnerability: 'CVE-2', suppressed: '', exception_id: '' },
    ]);
  });

  test('has a row for an image without findings, unless findings are asked for', async () => {
    const { post, rows, records } = exporting();
    await post(trivyReport([]), { digest: digestOf('a') });
    await post(trivyReport([scored('CVE-1', 5), scored('CVE-2', 5)]), { digest: digestOf('b') });
    expect((await rows()).map((each) => [each.digest.at(-1), each.finding?.vulnerability])).toEqual([
      ['a', undefined],
      ['b', 'CVE-1'],
      ['b', 'CVE-2'],
    ]);
    expect((await records({ verdict: 'pass' })).map((each) => [each.digest, each.vulnerability])).toEqual([
      [digestOf('a'), ''],
    ]);
    expect((await rows({ vulnerability: 'CVE-2' })).map((each) => each.finding?.vulnerability)).toEqual([
      'CVE-2',
    ]);
    expect(await rows({ vulnerability: 'CVE-3' })).toEqual([]);
  });

  test('takes the filters of GET /v1/images: the same images', async () => {
    const { post, rows, list } = exporting();
    for (const letter of ['a', 'b', 'c', 'd']) {
      const ArtifactName = `registry.example/${letter < 'c' ? 'x' : 'y'}/${letter}:1`;
      const report = trivyReport([scored('CVE-1', letter === 'b' ? 9.5 : 5)], { ArtifactName });
      await post(report, { digest: digestOf(letter) });
    }
    for (const query of [
      { verdict: 'fail' },
      { repository: 'registry.example/y/*' },
      { severity: 'high' },
      {},
    ]) {
      const listed = await allPages<ListedImage>(list, query);
      const exported = await rows({ ...query, limit: '1' });
      expect(exported.map((row) => row.digest)).toEqual(listed.map((each) => each.digest));
    }
  });

  test('goes on inside an image that is too large for a page, and leaves none out', async () => {
    const { tenantId, exported, rows } = exporting();
    const { upload } = imageStores(engine);
    await upload(tenantId, { digest: digestOf('a'), findings: findingsOf('a', 10) });
    // More than the image's own item keeps apart: the others come out of the stored pages.
    const many = Array.from({ length: 12_000 }, (_, index) =>
      findingWith({ vulnerability: `CVE-2026-${index}` }),
    );
    await upload(tenantId, { digest: digestOf('b'), findings: many });
    await upload(tenantId, { digest: digestOf('c'), findings: findingsOf('c', 10) });
    const { texts } = await exported({ format: 'json' });
    expect(texts.length).toBeGreaterThan(2);
    expect(Math.max(...texts.map((text) => text.length))).toBeLessThan(3 * 1024 * 1024);
    const all = texts.flatMap((text) => JSON.parse(text) as ExportRow[]);
    expect(all).toHaveLength(12_020);
    expect(
      new Set(all.filter((row) => row.digest === digestOf('b')).map((row) => row.finding?.vulnerability))
        .size,
    ).toBe(12_000);
    expect(
      new Set((await rows({ vulnerability: 'CVE-2026-11999' })).map((row) => row.finding?.vulnerability)),
    ).toEqual(new Set(['CVE-2026-11999']));
  });

  test('refuses to go on inside an image that has been scanned again with 400 INVALID_CURSOR', async () => {
    const { tenantId, deps } = exporting();
    const { upload } = imageStores(engine);
    const findings = Array.from({ length: 9_500 }, (_, index) =>
      findingWith({ vulnerability: `CVE-2026-${index}` }),
    );
    await upload(tenantId, { digest: digestOf('a'), findings });
    const query = { format: 'csv', limit: 200 } as const;
    const { next = '' } = await exportImages(deps, tenantId, query);
    const cursor = new URL(next, 'https://api.example/').searchParams.get('cursor') ?? '';
    expect((await exportImages(deps, tenantId, { ...query, cursor })).text).toContain('CVE-2026-');
    // Anybody can make up a cursor: one before the first would have everything there looked through.
    const list = listOf('export csv', {});
    const [image, scanner, scan] = decodeCursor(tenantId, list, cursor)?.split('#') ?? [];
    for (const place of ['-1#0', '0#-1', 'x#0', '0', '1e9#0']) {
      const madeUp = encodeCursor(tenantId, list, `${[image, scanner, scan].join('#')}#${place}`);
      await expect(exportImages(deps, tenantId, { ...query, cursor: madeUp })).rejects.toMatchObject({
        code: 'INVALID_CURSOR',
      });
    }
    await upload(tenantId, { digest: digestOf('a'), findings, scannedAt: now + 1 });
    await expect(exportImages(deps, tenantId, { ...query, cursor })).rejects.toMatchObject({
      code: 'INVALID_CURSOR',
    });
    await expect(exportImages(deps, tenantId, { ...query, format: 'json', cursor })).rejects.toMatchObject({
      code: 'INVALID_CURSOR',
    });
  });

  test('ends a page when its time is over, with a link that goes on', async () => {
    const { tenantId, deps, post } = exporting();
    for (const letter of ['a', 'b', 'c'])
      await post(trivyReport([scored('CVE-1', 5)]), { digest: digestOf(letter) });
    let clock = now;
    const slow = { ...deps, now: () => (clock += 3_000) };
    const texts: string[] = [];
    let cursor: string | undefined;
    do {
      const { text, next } = await exportImages(slow, tenantId, { format: 'csv', limit: 200, cursor });
      texts.push(text);
      cursor =
        next === undefined
          ? undefined
          : (new URL(next, 'https://api.example/').searchParams.get('cursor') ?? '');
    } while (cursor !== undefined);
    expect(texts.length).toBeGreaterThan(1);
    const [, ...found] = [...csvRows(texts.join(''))].map(({ fields }) => fields[1]);
    expect(found).toEqual(['a', 'b', 'c'].map(digestOf));
  });

  describe('as CycloneDX VEX', () => {
    test('is a document about each image that names it and its packages', async () => {
      const { post, documents, exported } = exporting();
      await post(trivyFixture('alpine-310'), { digest: digestOf('a') });
      const { types } = await exported({ format: 'cyclonedx-vex' });
      expect(types).toEqual(['application/vnd.cyclonedx+json; version=1.6']);
      const [document] = await documents();
      expect(document).toMatchObject({
        bomFormat: 'CycloneDX',
        specVersion: '1.6',
        serialNumber: expect.stringMatching(
          /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        ),
        version: 1,
      });
      expect(document?.metadata.component).toMatchObject({ type: 'container', version: digestOf('a') });
      const refs = JSON.stringify(document?.metadata.component);
      expect(document?.vulnerabilities.length).toBeGreaterThan(0);
      for (const { affects } of document?.vulnerabilities ?? []) {
        for (const { ref } of affects) expect(refs).toContain(`"bom-ref":${JSON.stringify(ref)}`);
      }
    });

    test.each([
      [
        'registry.example/shop/web:1',
        `pkg:oci/web@${encodeURIComponent(digest)}?repository_url=registry.example%2Fshop%2Fweb`,
      ],
      ['build/web.tar.gz', undefined],
    ])('of what was scanned as %s has the package URL %s', async (ArtifactName, purl) => {
      const { post, documents } = exporting();
      await post(trivyReport([scored('CVE-1', 5)], { ArtifactName }), { digest });
      const [document] = await documents();
      expect(document?.metadata.component?.purl).toBe(purl);
    });

    test('says what statements say, and in_triage of what nobody has looked at or is but excepted', async () => {
      const { post, documents, addException } = exporting();
      await post(
        trivyReport(['CVE-1', 'CVE-2', 'CVE-3', 'CVE-4', 'CVE-5', 'CVE-6'].map((id) => scored(id, 5))),
        { digest },
      );
      await post(
        openVex([
          about('CVE-1', 'not_affected', { justification: 'vulnerable_code_not_in_execute_path' }),
          about('CVE-2', 'fixed'),
          about('CVE-3', 'affected', { action_statement: 'update' }),
          about('CVE-4', 'under_investigation'),
        ]),
      );
      await addException({
        vulnerability: 'CVE-5',
        scope: 'any',
        justification: 'x',
        expiresAt: new Date(now + day).toISOString(),
      });
      const [document] = await documents();
      expect(document && statesOf(document)).toEqual({
        'CVE-1': 'not_affected',
        'CVE-2': 'resolved',
        'CVE-3': 'exploitable',
        'CVE-4': 'in_triage',
        'CVE-5': 'in_triage',
        'CVE-6': 'in_triage',
      });
      expect(document?.vulnerabilities[0]?.analysis).toEqual({
        state: 'not_affected',
        justification: 'code_not_reachable',
        detail: 'Example Corp',
      });
      expect(document?.vulnerabilities[4]?.analysis.detail).toMatch(
        /^Does not count until 2026-11-24T12:00:00.000Z: exception /,
      );
    });

    test('has a vulnerability in a package once, with the worst that is said of it', async () => {
      const { post, documents } = exporting();
      await post(trivyReport([scored('CVE-G-0', 5)]), { digest });
      await post(grypeReport([5], '2026-11-01T00:00:00Z'), { digest });
      await post(trivyReport([scored('CVE-1', 5), { ...scored('CVE-1', 5), PkgPath: 'usr/lib/other' }]), {
        digest,
      });
      const [document] = await documents();
      expect(document?.vulnerabilities.map(({ id }) => id)).toEqual(['CVE-1', 'CVE-G-0']);
    });

    test('is taken by POST /v1/scans, where the same findings then do not count', async () => {
      const [ours, theirs] = [exporting(), exporting()];
      for (const { post } of [ours, theirs]) {
        await post(trivyReport([scored('CVE-1', 9.5), scored('CVE-2', 5)]), { digest });
      }
      await ours.post(openVex([about('CVE-1', 'not_affected', { justification: 'component_not_present' })]));
      const [document] = await ours.documents();
      const taken = await theirs.post(JSON.stringify(document), {});
      expect([taken.status, taken.json().statements]).toMatchObject([201, { stored: 2 }]);
      expect(viewOf(await theirs.image())).toMatchObject({
        verdict: 'warn',
        suppressed: {
          total: 1,
          findings: [{ vulnerability: 'CVE-1', suppressed: { status: 'not_affected' } }],
        },
      });
    });

    test('without any image says nothing', async () => {
      const { documents } = exporting();
      const [document] = await documents({ vulnerability: 'CVE-1' });
      expect(document).toMatchObject({ bomFormat: 'CycloneDX', vulnerabilities: [] });
      expect(document?.metadata).not.toHaveProperty('component');
    });
  });

  test('refuses another format with 400 INVALID_REQUEST', async () => {
    const { call, as } = exporting();
    const answer = await call({ path: '/v1/images/export', query: { format: 'xlsx' }, caller: as });
    expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
  });
});
