import { describe, expect, test } from '@jest/globals';
import { isOfOpenVex, readOpenVex } from '../../../../functions/image-scan/report/openvex.ts';
import { fixtureJson, refusal } from './refusal.ts';

type Members = Readonly<Record<string, unknown>>;

const hex = 'ab'.repeat(32);
const digest = `sha256:${hex}`;
const lib = 'pkg:npm/lib@1.0.0';
const day = (of: number) => `2024-01-0${of}T00:00:00Z`;

const statement = (members: Members = {}): Members => ({
  vulnerability: { name: 'CVE-2020-1' },
  products: [{ '@id': lib }],
  status: 'not_affected',
  ...members,
});
const document = (statements: readonly Members[], members: Members = {}): Members => ({
  '@context': 'https://openvex.dev/ns/v0.2.0',
  author: 'Jane',
  timestamp: day(1),
  statements,
  ...members,
});
const read = (...given: Parameters<typeof document>) => {
  const report = readOpenVex(document(...given));
  if (!('statements' in report)) throw new Error('no statements');
  return report;
};
function only(members: Members, others: Members = {}) {
  const [one] = read([statement(members)], others).statements;
  if (!one) throw new Error('no statement');
  return one;
}
const productsOf = (...products: readonly unknown[]) => only({ products }).products;
const refused = (members: Members, others: Members = {}) => refusal(() => only(members, others)).code;

describe('OpenVEX', () => {
  test("of go-vex' own tests is about packages in an image, by its digest", () => {
    const report = readOpenVex(fixtureJson('openvex-0.2.json'));
    const at = Date.parse('2023-07-18T00:28:47.696Z');
    expect(report).toMatchObject({
      format: 'openvex',
      scanner: { name: 'openvex' },
      createdAt: at,
      author: 'The OpenVEX Project <openvex@openssf.org>',
    });
    const { statements } = report as ReturnType<typeof read>;
    expect(statements.map(({ vulnerability, status }) => [vulnerability, status])).toEqual([
      ['CVE-2023-1255', 'fixed'],
      ['CVE-2023-2650', 'fixed'],
      ['CVE-2023-2975', 'fixed'],
      ['CVE-2023-3446', 'not_affected'],
      ['CVE-2023-3817', 'not_affected'],
    ]);
    expect(statements[3]).toEqual({
      vulnerability: 'CVE-2023-3446',
      aliases: [],
      products: [
        {
          id: 'sha256:124c7d2707904eea7431fffe91522a01e5a861a624ee31d03372cc1d138a3126',
          subcomponents: ['pkg:apk/alpine/libssl3@3.0.8-r3', 'pkg:apk/alpine/libcrypto3@3.0.8-r3'],
        },
      ],
      status: 'not_affected',
      justification: 'vulnerable_code_not_present',
      at,
    });
  });

  test('before 0.0.2 has bare names', () => {
    const { statements } = readOpenVex(fixtureJson('openvex-0.0.1.json')) as ReturnType<typeof read>;
    expect(statements).toEqual([
      {
        vulnerability: 'CVE-2023-12345',
        aliases: [],
        products: [
          { id: 'pkg:apk/wolfi/git@2.39.0-r1?arch=armv7', subcomponents: [] },
          { id: 'pkg:apk/wolfi/git@2.39.0-r1?arch=x86_64', subcomponents: [] },
        ],
        status: 'fixed',
        at: Date.parse('2023-01-09T00:02:03.647Z'),
      },
    ]);
  });

  test("has all six statements of DefectDojo's tests, with their aliases and labels", () => {
    const { statements } = readOpenVex(fixtureJson('openvex-many.json')) as ReturnType<typeof read>;
    expect(statements.map((each) => [each.status, each.justification, each.aliases])).toEqual([
      ['not_affected', 'vulnerable_code_not_present', []],
      ['affected', undefined, []],
      ['fixed', undefined, []],
      ['under_investigation', undefined, []],
      ['not_affected', 'inline_mitigations_already_exist', ['GHSA-jfh8-c2jp-5v3q']],
      ['not_affected', 'component_not_present', []],
    ]);
  });

  test('may have no statements', () => {
    expect(read([]).statements).toEqual([]);
    expect(read([], { statements: null }).statements).toEqual([]);
  });

  describe('the time of a statement', () => {
    test("is its own, else the document's; an update is later, the document's own is not the statement's", () => {
      expect(only({}).at).toBe(Date.parse(day(1)));
      expect(only({ timestamp: day(2) }).at).toBe(Date.parse(day(2)));
      expect(only({ last_updated: day(3) }).at).toBe(Date.parse(day(3)));
      expect(only({}, { last_updated: day(4) }).at).toBe(Date.parse(day(1)));
      expect(read([], { last_updated: day(4) }).createdAt).toBe(Date.parse(day(4)));
      expect(only({ timestamp: '0001-01-01T00:00:00Z' }).at).toBe(Date.parse(day(1)));
    });

    test('is needed: REPORT_MALFORMED without any, or with what is none', () => {
      expect(refused({}, { timestamp: undefined })).toBe('REPORT_MALFORMED');
      expect(refused({ timestamp: 'today' })).toBe('REPORT_MALFORMED');
      expect(only({ timestamp: day(2) }, { timestamp: undefined }).at).toBe(Date.parse(day(2)));
    });

    test('keeps the order of the document for those of one time', () => {
      const { statements } = read([statement({ status: 'affected' }), statement({ status: 'fixed' })]);
      expect(statements.map(({ status, at }) => [status, at])).toEqual([
        ['affected', Date.parse(day(1))],
        ['fixed', Date.parse(day(1))],
      ]);
    });
  });

  describe('a product', () => {
    test('goes by each of its names: package URL, identifier, SHA-256', () => {
      const product = {
        '@id': 'https://example.com/products/lib',
        identifiers: { purl: lib, cpe23: 'cpe:2.3:a:example:lib' },
        hashes: { 'sha-256': hex.toUpperCase(), md5: '1'.repeat(32) },
      };
      expect(productsOf(product)).toEqual([
        { id: lib, subcomponents: [] },
        { id: digest, subcomponents: [] },
      ]);
    });

    test.each([
      [`pkg:oci/alpine@${encodeURIComponent(digest)}?repository_url=docker.io`, digest],
      [`pkg:docker/library/alpine@${digest}`, digest],
      [`registry.test/alpine@${digest}`, digest],
      [digest, digest],
      ['pkg:oci/debian', 'pkg:oci/debian'],
      ['pkg:npm/lib@1?package-id=9&a=b', 'pkg:npm/lib@1?a=b'],
    ])('%s is known as %s', (id, known) => {
      expect(productsOf(id, { '@id': id })).toEqual([
        { id: known, subcomponents: [] },
        { id: known, subcomponents: [] },
      ]);
    });

    test('is narrowed by its sub-components, and dropped where none of them can be found', () => {
      const subcomponents = [
        'pkg:apk/alpine/musl',
        { identifiers: { purl: 'pkg:apk/alpine/zlib' } },
        'cpe:/a:x',
      ];
      expect(productsOf({ '@id': digest, subcomponents })).toEqual([
        { id: digest, subcomponents: ['pkg:apk/alpine/musl', 'pkg:apk/alpine/zlib'] },
      ]);
      const nameless = { '@id': digest, subcomponents: ['cpe:/a:x'] };
      expect(productsOf(nameless, lib)).toEqual([{ id: lib, subcomponents: [] }]);
      expect(only({ subcomponents: ['pkg:npm/inside'] }).products).toEqual([
        { id: lib, subcomponents: ['pkg:npm/inside'] },
      ]);
    });

    test('that nothing could find is dropped, and a document of nothing else is REPORT_UNSUPPORTED', () => {
      expect(productsOf('alpine:3.20', lib)).toEqual([{ id: lib, subcomponents: [] }]);
      expect(refused({ products: ['alpine:3.20'] })).toBe('REPORT_UNSUPPORTED');
      expect(refused({ products: [{ hashes: { 'sha-256': 'short' } }] })).toBe('REPORT_UNSUPPORTED');
      expect(refused({ products: null })).toBe('REPORT_UNSUPPORTED');
      expect(read([statement(), statement({ products: [] })]).statements).toHaveLength(1);
    });
  });

  test('names a vulnerability by name, by what its identifier ends in, or bare', () => {
    const named = (vulnerability: unknown) => only({ vulnerability });
    const aliases = ['GHSA-1', 'CVE-2020-1', 'GHSA-1'];
    expect(named({ name: 'CVE-2020-1', aliases })).toMatchObject({ aliases: ['GHSA-1'] });
    expect(named({ '@id': 'https://nvd.nist.gov/vuln/detail/CVE-2020-2' }).vulnerability).toBe('CVE-2020-2');
    expect(named('CVE-2020-3').vulnerability).toBe('CVE-2020-3');
    expect(refused({ vulnerability: {} })).toBe('REPORT_MALFORMED');
    expect(refused({ vulnerability: undefined })).toBe('REPORT_MALFORMED');
  });

  test('keeps no free text: justifications are labels', () => {
    const words = {
      impact_statement: 'secret words',
      action_statement: 'secret words',
      status_notes: 'secret',
    };
    const kept = only({ justification: 'because of the secret', ...words });
    expect(Object.keys(kept).toSorted()).toEqual(['aliases', 'at', 'products', 'status', 'vulnerability']);
  });

  test.each([
    ['an unknown status', { status: 'harmless' }, {}],
    ['no status', { status: undefined }, {}],
    ['products that are no array', { products: {} }, {}],
    ['a product that is a number', { products: [7] }, {}],
    ['no author', {}, { author: undefined }],
    ['an empty author', {}, { author: '' }],
    ['statements that are no array', {}, { statements: {} }],
  ])('with %s is refused with REPORT_MALFORMED', (_what, members, others) => {
    expect(refused(members, others)).toBe('REPORT_MALFORMED');
  });

  test.each([
    ['https://openvex.dev/ns'],
    ['https://openvex.dev/ns/v0.0.1'],
    ['https://openvex.dev/ns/v0.2.0'],
    [['https://openvex.dev/ns/v0.2.0', 'https://example.com/more']],
  ])('of the context %j is taken', (context) => {
    expect(isOfOpenVex({ '@context': context })).toBe(true);
    expect(only({}, { '@context': context }).vulnerability).toBe('CVE-2020-1');
  });

  test.each([
    'https://openvex.dev/ns/v0.3.0',
    'https://openvex.dev/ns/v1.0.0',
    'https://openvex.dev/nsx',
    undefined,
  ])('of the context %p is REPORT_UNSUPPORTED', (context) => {
    expect(refused({}, { '@context': context })).toBe('REPORT_UNSUPPORTED');
  });

  test('is told by its context', () => {
    expect(isOfOpenVex({ '@context': 'https://spdx.org/rdf/3.0.1/spdx-context.jsonld' })).toBe(false);
    expect(isOfOpenVex({ statements: [] })).toBe(false);
    expect(isOfOpenVex(null)).toBe(false);
    expect(isOfOpenVex([])).toBe(false);
  });

  test('of more pairs of product and sub-component than a report may have findings is PAYLOAD_TOO_LARGE', () => {
    const many = Array.from({ length: 320 }, () => lib);
    expect(refused({ products: many, subcomponents: many })).toBe('PAYLOAD_TOO_LARGE');
  });
});
