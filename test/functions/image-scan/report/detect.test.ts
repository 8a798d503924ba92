import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Problem } from '../../../../core/problem/problem.ts';
import { readReport } from '../../../../functions/image-scan/report/detect.ts';
import { inlineLimits, storedLimits } from '../../../../functions/image-scan/report/report-limits.ts';
import { reportFormats } from '../../../../functions/image-scan/report/normal-form.ts';
import { digestOf, trivyReport } from '../reports.ts';
import { fixture, fixtureJson, refusal } from './refusal.ts';
import { replacedMember } from './replaced-member.ts';

const read = (json: unknown) => readReport(Buffer.from(JSON.stringify(json)));
const refused = (json: unknown) => refusal(() => read(json));

/** The least that each format's tool writes. */
const least: Readonly<Record<(typeof reportFormats)[number], unknown>> = {
  trivy: JSON.parse(trivyReport([])),
  'trivy-array': [{ Target: 'alpine:3.10 (alpine 3.10.2)', Type: 'alpine', Vulnerabilities: null }],
  'trivy-k8s': {
    ClusterName: 'kind',
    Resources: [
      {
        Kind: 'Pod',
        Name: 'web',
        Metadata: [{ RepoDigests: [`web@${digestOf('1')}`] }],
        Results: [{ Target: 'web:1 (debian 12.1)', Class: 'os-pkgs', Type: 'debian' }],
      },
    ],
  },
  'trivy-operator': { metadata: { name: 'pod-web' }, report: { vulnerabilities: [] } },
  harbor: { generated_at: '2026-10-01T08:00:00Z', scanner: { name: 'Trivy' }, vulnerabilities: null },
  grype: { matches: [], source: null, descriptor: { name: 'grype', version: '0.96.0' } },
  cyclonedx: {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    metadata: { tools: { components: [{ type: 'application', name: 'trivy', version: '0.72.0' }] } },
    components: [{ type: 'library', name: 'a', 'bom-ref': 'a' }],
    vulnerabilities: [{ id: 'CVE-2026-1', affects: [{ ref: 'a' }] }],
  },
  sarif: { version: '2.1.0', runs: [{ tool: { driver: { name: 'Trivy', rules: [] } }, results: [] }] },
  openvex: {
    '@context': 'https://openvex.dev/ns/v0.2.0',
    '@id': 'https://openvex.example/1',
    author: 'a',
    timestamp: '2026-10-01T08:00:00Z',
    version: 1,
    statements: [],
  },
  'cyclonedx-vex': {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    vulnerabilities: [
      { id: 'CVE-2026-1', analysis: { state: 'not_affected' }, affects: [{ ref: 'pkg:npm/a@1' }] },
    ],
  },
};

describe('the format of a report', () => {
  test.each(reportFormats)('is told by its content: %s', (format) => {
    expect(read(least[format]).format).toBe(format);
  });

  test.each([
    ['trivy-ubuntu-1804.json', 'trivy'],
    ['trivy-array-mix.json', 'trivy-array'],
    ['trivy-k8s-before-036.json', 'trivy-k8s'],
    ['trivy-operator-all-kinds.json', 'trivy-operator'],
    ['trivy-operator-list.json', 'trivy-operator'],
    ['harbor-1.0.json', 'harbor'],
    ['harbor-1.1.json', 'harbor'],
    ['harbor-of-an-index.json', 'harbor'],
  ])('is told of the real report %s', (name, format) => {
    expect(readReport(fixture(name)).format).toBe(format);
  });

  // Reports too large to be copied; they are there where the project is worked on.
  const shared = new URL('../../../../../shared/scan-reports/', import.meta.url);
  test.each([
    ['trivy-all-statuses.json', 'trivy'],
    ['trivy-alpine-310.sarif', 'sarif'],
    ['grype-python-3.7.json', 'grype'],
    ['grype-repo-digest.json', 'grype'],
    ['cyclonedx-1.4-log4j.json', 'cyclonedx'],
    ['openvex-many.json', 'openvex'],
  ])('is told of the large real report %s, where it is there', (name, format) => {
    const at = new URL(name, shared);
    if (!existsSync(at)) {
      console.log(`skipped: ${name} is not on this machine`);
      return;
    }
    expect(readReport(readFileSync(at)).format).toBe(format);
  });

  test.each([
    [null, 'the word null'],
    [[], 'an empty array'],
    [[1], 'an array of no known form'],
    ['text', 'a JSON string'],
    [7, 'a JSON number'],
    [{}, 'without the marks of any of them (for Trivy: SchemaVersion)'],
    [{ spdxVersion: 'SPDX-2.3', packages: [] }, 'an SPDX document'],
    [{ bomFormat: 'Other' }, 'a bill of materials of the kind Other'],
    [{ SchemaVersion: 3, ArtifactType: 'container_image' }, 'Trivy schema 3'],
    [{ SchemaVersion: 2, ArtifactType: 'filesystem' }, 'a Trivy report about a filesystem'],
    [{ SchemaVersion: 2, ArtifactType: '<script>\u0000' }, 'about a ?script??'],
    [{ SchemaVersion: 2 }, 'a thing that it does not name'],
    [{ SchemaVersion: [2], ArtifactType: {} }, 'Trivy schema of an unknown kind'],
    [
      { ...(least.trivy as object), ...(least.grype as object) },
      'what could be a Trivy report, or a Grype report',
    ],
    [
      { ...(least.openvex as object), ...(least.sarif as object) },
      'what could be SARIF, or an OpenVEX document',
    ],
  ])('of %j is refused with REPORT_UNSUPPORTED, saying what it is and what is taken', (json, words) => {
    const problem = refused(json);
    expect(problem.code).toBe('REPORT_UNSUPPORTED');
    expect(problem.message).toContain(`Found`);
    expect(problem.message).toContain(words);
    expect(problem.message).toContain('Taken are reports about container images: Trivy JSON');
    expect(problem.message).toContain('and VEX documents: OpenVEX 0.2');
  });

  test.each([
    'trivy-alpine-310.json',
    'trivy-suppressed.json',
    'trivy-array-mix.json',
    'trivy-k8s-before-036.json',
    'trivy-operator-extended.json',
    'harbor-1.1.json',
    'harbor-of-an-index.json',
  ])('is told, or refused with a code, when any member of %s is replaced by anything', (name) => {
    const codes = new Set(['REPORT_MALFORMED', 'REPORT_UNSUPPORTED', 'PAYLOAD_TOO_LARGE']);
    fc.assert(
      fc.property(replacedMember(fixtureJson(name)), (json) => {
        try {
          read(json);
        } catch (error) {
          expect(error).toBeInstanceOf(Problem);
          expect(codes).toContain((error as Problem).code);
        }
      }),
      { seed: 8, numRuns: 150 },
    );
  });

  test('takes a report of a bill of materials, which may be that of an image', () => {
    const about = (ArtifactType: string) => read({ ...(least.trivy as object), ArtifactType });
    expect([about('cyclonedx').format, about('spdx').format]).toEqual(['trivy', 'trivy']);
  });

  test('takes a Grype report of which a script has kept the matches', () => {
    const match = { vulnerability: { id: 'CVE-1', severity: 'High' }, artifact: { name: 'a', version: '1' } };
    expect(read({ matches: [match] }).format).toBe('grype');
    expect(refused({ matches: [] }).code).toBe('REPORT_UNSUPPORTED');
  });
});

describe('how large a report may be', () => {
  const found = (count: number) =>
    Buffer.from(
      JSON.stringify({
        matches: Array.from({ length: count }, (_, at) => ({
          vulnerability: { id: `CVE-${at}`, severity: 'Low' },
          artifact: { name: 'a', version: '1' },
        })),
        descriptor: { name: 'grype', version: '0.96.0' },
      }),
    );
  const { findings } = inlineLimits;

  test(`inline it has ${findings} findings, and uploaded more`, () => {
    expect(readReport(found(findings))).toMatchObject({ format: 'grype' });
    const more = found(findings + 1);
    expect(refusal(() => readReport(more)).code).toBe('PAYLOAD_TOO_LARGE');
    expect(readReport(more, storedLimits)).toMatchObject({ format: 'grype' });
    const fewer = { ...storedLimits, findings };
    expect(refusal(() => readReport(more, fewer)).code).toBe('PAYLOAD_TOO_LARGE');
  });

  test('a VEX document has as many products', () => {
    const stating = (products: number) => ({
      ...(least.openvex as object),
      statements: [
        {
          vulnerability: { name: 'CVE-2026-1' },
          products: Array.from({ length: products }, (_, at) => ({ '@id': `pkg:apk/alpine/a@${at}` })),
          status: 'fixed',
        },
      ],
    });
    const limits = { ...inlineLimits, findings: 5 };
    const readIt = (products: number) => readReport(Buffer.from(JSON.stringify(stating(products))), limits);
    expect(readIt(5)).toMatchObject({ format: 'openvex' });
    expect(refusal(() => readIt(6)).code).toBe('PAYLOAD_TOO_LARGE');
  });
});
