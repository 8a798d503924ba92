import { describe, expect, test } from '@jest/globals';
import { isOfCycloneDxVex, readCycloneDxVex } from '../../../../functions/image-scan/report/cyclonedx-vex.ts';
import { maxFindings } from '../../../../functions/image-scan/report/members.ts';
import { fixtureJson, refusal } from './refusal.ts';

type Members = Readonly<Record<string, unknown>>;

const other = 'urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1';
const digest = `sha256:${'ab'.repeat(32)}`;
const lib = 'pkg:npm/lib@1.0.0';

const analysed = (affects: readonly Members[], analysis: Members = { state: 'not_affected' }): Members => ({
  id: 'CVE-2020-1',
  analysis,
  affects,
});
const vex = (vulnerabilities: readonly Members[], metadata?: Members): Members => ({
  bomFormat: 'CycloneDX',
  specVersion: '1.5',
  vulnerabilities,
  ...(metadata ? { metadata } : {}),
});
const read = (json: unknown) => {
  const report = readCycloneDxVex(json);
  if (!('statements' in report)) throw new Error('no statements');
  return report;
};
const statements = (...given: Parameters<typeof vex>) => read(vex(...given)).statements;
/** The products of one statement about one reference. */
const productsOf = (affect: Members, state = 'not_affected', metadata?: Members) =>
  statements([analysed([affect], { state })], metadata).flatMap(({ products }) => products);
const refused = (...given: Parameters<typeof productsOf>) => refusal(() => productsOf(...given)).code;
const image = { component: { 'bom-ref': 'image', type: 'container', name: 'a', version: digest } };

describe('CycloneDX VEX', () => {
  test("of Trivy's own tests is about packages inside the documents that it links to, nowhere else", () => {
    expect(readCycloneDxVex(fixtureJson('cyclonedx-vex-bom-links.json'))).toEqual({
      format: 'cyclonedx-vex',
      scanner: { name: 'cyclonedx' },
      author: 'unknown',
      statements: [
        {
          vulnerability: 'CVE-2021-44228',
          aliases: [],
          products: [{ id: other, subcomponents: ['pkg:maven/org.springframework.boot/spring-boot@2.6.0'] }],
          status: 'not_affected',
          justification: 'code_not_reachable',
          at: 0,
        },
        {
          vulnerability: 'CVE-2022-27943',
          aliases: [],
          products: [
            {
              id: other,
              subcomponents: [
                'pkg:deb/ubuntu/libstdc%2B%2B6@12.3.0-1ubuntu1~22.04?arch=amd64&distro=ubuntu-22.04',
              ],
            },
          ],
          status: 'not_affected',
          at: 0,
        },
      ],
    });
  });

  test.each([
    ['resolved', 'fixed', undefined],
    ['resolved_with_pedigree', 'fixed', undefined],
    ['exploitable', 'affected', undefined],
    ['in_triage', 'under_investigation', undefined],
    ['false_positive', 'not_affected', 'false_positive'],
    ['not_affected', 'not_affected', undefined],
  ])('says %s as %s', (state, status, justification) => {
    const [statement] = statements([analysed([{ ref: lib }], { state })]);
    expect([statement?.status, statement?.justification]).toEqual([status, justification]);
  });

  test('has a statement for what is analysed alone, without its free text', () => {
    const found = statements([
      analysed([{ ref: lib }], { state: 'not_affected', justification: 'our own words', detail: 'more' }),
      { id: 'CVE-2020-2', affects: [{ ref: lib }] },
      { ...analysed([{ ref: lib }], { state: 'who knows' }), id: 'CVE-2020-3' },
    ]);
    expect(found).toEqual([
      {
        vulnerability: 'CVE-2020-1',
        aliases: [],
        products: [{ id: lib, subcomponents: [] }],
        status: 'not_affected',
        at: 0,
      },
    ]);
  });

  test('is of the time of its analysis, else of the document, and by whoever the document names', () => {
    const metadata = {
      timestamp: '2024-01-01T00:00:00Z',
      authors: [{ email: 'a@b.test' }, { name: 'Jane' }],
    };
    const at = (analysis: Members) =>
      statements([analysed([{ ref: lib }], { state: 'resolved', ...analysis })], metadata)[0]?.at;
    expect(at({})).toBe(Date.parse('2024-01-01'));
    expect(at({ firstIssued: '2024-02-01T00:00:00Z' })).toBe(Date.parse('2024-02-01'));
    expect(at({ firstIssued: '2024-02-01T00:00:00Z', lastUpdated: '2024-03-01T00:00:00Z' })).toBe(
      Date.parse('2024-03-01'),
    );
    const authorOf = (members: Members) => read(vex([analysed([{ ref: lib }])], members)).author;
    expect(authorOf(metadata)).toBe('Jane');
    expect(authorOf({ manufacture: { name: 'Acme' } })).toBe('Acme');
    expect(authorOf({ supplier: { name: 'Acme' } })).toBe('Acme');
  });

  test('has the names of the vulnerability elsewhere, or goes by one of them', () => {
    const references = [{ id: 'GHSA-1' }, { id: 'CVE-2020-1' }];
    const named = (id?: string) => statements([{ ...analysed([{ ref: lib }]), id, references }])[0];
    expect(named('CVE-2020-1')).toMatchObject({ vulnerability: 'CVE-2020-1', aliases: ['GHSA-1'] });
    expect(named()).toMatchObject({ vulnerability: 'GHSA-1', aliases: ['CVE-2020-1'] });
    expect(refusal(() => statements([{ ...analysed([{ ref: lib }]), id: '' }])).code).toBe(
      'REPORT_MALFORMED',
    );
  });

  describe('a product', () => {
    test('is the image that the document is about, by its digest', () => {
      expect(productsOf({ ref: 'image' }, 'not_affected', image)).toEqual([
        { id: digest, subcomponents: [] },
      ]);
      const purl = `pkg:oci/a@${encodeURIComponent(digest)}`;
      const byPurl = { component: { ...image.component, version: '1', purl } };
      expect(productsOf({ ref: 'image' }, 'resolved', byPurl)).toEqual([{ id: digest, subcomponents: [] }]);
    });

    test('beside an image is the package inside that image, and beside a subject without a name is dropped', () => {
      expect(productsOf({ ref: lib }, 'not_affected', image)).toEqual([{ id: digest, subcomponents: [lib] }]);
      const nameless = { component: { 'bom-ref': 'acme', type: 'application', name: 'Acme' } };
      expect(refused({ ref: lib }, 'not_affected', nameless)).toBe('REPORT_UNSUPPORTED');
      expect(refused({ ref: 'acme' }, 'not_affected', nameless)).toBe('REPORT_UNSUPPORTED');
    });

    test('may be another document, or a thing in one', () => {
      expect(productsOf({ ref: other })).toEqual([{ id: other, subcomponents: [] }]);
      expect(productsOf({ ref: `${other}#acme` })).toEqual([{ id: `${other}#acme`, subcomponents: [] }]);
    });

    test('is of the versions listed, each by itself; of a range by the qualifier for it', () => {
      const versions = [{ version: '2.0.0' }, { range: 'vers:npm/>=3|<4', status: 'affected' }];
      expect(productsOf({ ref: lib, versions }, 'exploitable').map(({ id }) => id)).toEqual([
        'pkg:npm/lib@2.0.0',
        'pkg:npm/lib?vers=vers:npm%2F%3E%3D3%7C%3C4',
      ]);
    });

    test('of a statement that settles is of the unaffected versions, of another of the others', () => {
      const versions = [
        { version: '1', status: 'unaffected' },
        { version: '2', status: 'affected' },
        { version: '3', status: 'unknown' },
      ];
      const ids = (state: string) => productsOf({ ref: lib, versions }, state).map(({ id }) => id);
      expect(ids('not_affected')).toEqual(['pkg:npm/lib@1']);
      expect(ids('exploitable')).toEqual(['pkg:npm/lib@2', 'pkg:npm/lib@3']);
      expect(refused({ ref: lib, versions: [{ version: '1', status: 'unaffected' }] }, 'exploitable')).toBe(
        'REPORT_UNSUPPORTED',
      );
    });

    test('without a package URL is settled by its own version alone, lest another version be', () => {
      const settled = (version: string) =>
        productsOf({ ref: 'image', versions: [{ version }] }, 'not_affected', image);
      expect(settled(digest)).toEqual([{ id: digest, subcomponents: [] }]);
      expect(refusal(() => settled('2.0')).code).toBe('REPORT_UNSUPPORTED');
      const versions = [{ version: '2.0' }];
      expect(refused({ ref: `${other}#acme`, versions })).toBe('REPORT_UNSUPPORTED');
      expect(productsOf({ ref: `${other}#acme`, versions }, 'exploitable')).toHaveLength(1);
    });

    test('that nothing could find is dropped, and a document of nothing else is refused in words', () => {
      const some = statements([analysed([{ ref: 'acme' }, { ref: lib }]), analysed([{ ref: 'acme' }])]);
      expect(some.map(({ products }) => products)).toEqual([[{ id: lib, subcomponents: [] }]]);
      const { code, message } = refusal(() => statements([analysed([{ ref: 'acme' }])]));
      expect([code, message]).toEqual([
        'REPORT_UNSUPPORTED',
        expect.stringContaining('No statement of this document names a product by package URL, by digest'),
      ]);
    });
  });

  test('is refused in other versions, and with more products than a report may have findings', () => {
    const specVersion = '1.3';
    expect(refusal(() => read({ ...vex([analysed([{ ref: lib }])]), specVersion })).code).toBe(
      'REPORT_UNSUPPORTED',
    );
    const versions = Array.from({ length: 10_000 }, (_, at) => ({ version: String(at) }));
    const affects = Array.from({ length: maxFindings / 10_000 + 1 }, () => ({ ref: lib, versions }));
    expect(refusal(() => statements([analysed(affects)])).code).toBe('PAYLOAD_TOO_LARGE');
  });

  test('is told by an analysis without components', () => {
    const statement = vex([analysed([{ ref: lib }])]);
    expect(isOfCycloneDxVex(statement)).toBe(true);
    expect(isOfCycloneDxVex({ ...statement, components: [] })).toBe(true);
    expect(isOfCycloneDxVex({ ...statement, components: [{ type: 'library', name: 'lib' }] })).toBe(false);
    expect(isOfCycloneDxVex(vex([{ id: 'CVE-2020-1', analysis: null }]))).toBe(false);
    expect(isOfCycloneDxVex({ ...statement, bomFormat: 'none' })).toBe(false);
    expect(isOfCycloneDxVex(fixtureJson('cyclonedx-1.7-specification.json'))).toBe(false);
  });
});
