import { describe, expect, test } from '@jest/globals';
import {
  isOfTrivyOperator,
  readTrivyOperator,
} from '../../../../functions/image-scan/report/trivy-operator.ts';
import { digestOf } from '../reports.ts';
import { counted, fixtureJson, onlyScan, refusal, scansOf } from './refusal.ts';

type Summary = Readonly<Record<`${'critical' | 'high' | 'medium' | 'low' | 'unknown'}Count`, number>>;
type Kubernetes = { kind: string; report: { summary: Summary; vulnerabilities: unknown[] } };

const vulnerability = (id: string, overrides = {}) => ({
  vulnerabilityID: id,
  resource: 'curl',
  installedVersion: '1',
  fixedVersion: '',
  severity: 'HIGH',
  ...overrides,
});
const object = (vulnerabilities: readonly unknown[], report = {}, overrides = {}) => ({
  apiVersion: 'aquasecurity.github.io/v1alpha1',
  kind: 'VulnerabilityReport',
  metadata: { name: 'replicaset-web', namespace: 'shop' },
  report: {
    updateTimestamp: '2026-10-01T08:00:00Z',
    scanner: { name: 'Trivy', vendor: 'Aqua Security', version: '0.60.0' },
    registry: { server: 'index.docker.io' },
    artifact: { repository: 'library/nginx', tag: 'alpine', digest: digestOf('1') },
    vulnerabilities,
    ...report,
  },
  ...overrides,
});
const configAudit = {
  apiVersion: 'aquasecurity.github.io/v1alpha1',
  kind: 'ConfigAuditReport',
  report: { checks: [] },
};

/** The operator's own counts, those that are not 0. */
const summaryOf = ({ report: { summary } }: Kubernetes) =>
  Object.fromEntries(
    Object.entries(summary)
      .filter(([name, count]) => name !== 'noneCount' && count > 0)
      .map(([name, count]) => [name.replace('Count', ''), count]),
  );

describe('a report of trivy-operator', () => {
  test('counts by severity what the summaries of the operator count', () => {
    const extended = fixtureJson('trivy-operator-extended.json') as Kubernetes;
    expect(counted(onlyScan(readTrivyOperator(extended)))).toEqual(summaryOf(extended));
    const list = fixtureJson('trivy-operator-list.json') as Kubernetes[];
    const [listed] = list.filter(({ kind }) => kind === 'VulnerabilityReport');
    expect(listed && counted(onlyScan(readTrivyOperator(list)))).toEqual(listed && summaryOf(listed));
    const all = fixtureJson('trivy-operator-all-kinds.json') as Record<string, Kubernetes[]>;
    const [first] = all['vulnerabilityreports.aquasecurity.github.io'] ?? [];
    expect(first && counted(onlyScan(readTrivyOperator(all)))).toEqual(first && summaryOf(first));
  });

  test('gives the image, when it was scanned, and each finding with its scores and package URL', () => {
    const report = readTrivyOperator(fixtureJson('trivy-operator-extended.json'));
    expect(report).toMatchObject({ format: 'trivy-operator', scanner: { name: 'trivy', version: '0.48.3' } });
    const { image, findings, createdAt } = onlyScan(report);
    expect(image).toEqual({
      references: ['index.docker.io/library/ubuntu:20.04'],
      digests: ['sha256:f78909c2b360d866b3220655c0b079838258b8891a12ac25fc670f0cbb54229f'],
    });
    expect(createdAt).toBe(Date.parse('2024-01-23T13:43:55Z'));
    const [found] = findings;
    expect(found).toMatchObject({ severity: 'medium', location: 'ubuntu' });
    expect(found?.cvss.length).toBeGreaterThan(0);
    expect(found).not.toHaveProperty('title');
  });

  test('places a finding as the report of the image itself does', () => {
    const places = onlyScan(
      readTrivyOperator(
        object([
          vulnerability('CVE-1', {
            class: 'os-pkgs',
            packageType: 'alpine',
            target: 'nginx:alpine (alpine 3.17)',
          }),
          vulnerability('CVE-2', { target: 'nginx:alpine (alpine 3.17)' }),
          vulnerability('CVE-3', { class: 'lang-pkgs', target: 'Java', packagePath: 'app/lib.jar' }),
          vulnerability('CVE-4', { target: 'usr/bin/app', packagePURL: 'pkg:golang/stdlib@1.20' }),
        ]),
      ),
    ).findings.map(({ location, purl }) => [location, purl]);
    expect(places).toEqual([
      ['alpine', undefined],
      ['alpine', undefined],
      ['app/lib.jar', undefined],
      ['usr/bin/app', 'pkg:golang/stdlib@1.20'],
    ]);
  });

  test('takes the one score of a report that has no more', () => {
    const [found] = onlyScan(readTrivyOperator(object([vulnerability('CVE-1', { score: 7.54 })]))).findings;
    expect(found?.cvss).toEqual([{ version: '3.1', score: 7.5, source: 'trivy' }]);
  });

  test('is the same in each of its envelopes', () => {
    const one = object([vulnerability('CVE-1')]);
    const expected = readTrivyOperator(one);
    const { kind: _kind, apiVersion: _apiVersion, ...withoutKind } = one;
    for (const envelope of [
      { verb: 'update', operatorObject: one },
      // Go's client drops both names of the kind, so the webhook sends it so.
      withoutKind,
      { verb: 'update', operatorObject: withoutKind },
      { apiVersion: 'v1', kind: 'List', items: [one, configAudit] },
      { apiVersion: 'aquasecurity.github.io/v1alpha1', kind: 'VulnerabilityReportList', items: [one] },
      [configAudit, one],
      {
        'configauditreports.aquasecurity.github.io': [],
        'vulnerabilityreports.aquasecurity.github.io': [one],
      },
      { ...one, kind: 'ClusterVulnerabilityReport' },
    ]) {
      expect(isOfTrivyOperator(envelope)).toBe(true);
      expect(readTrivyOperator(envelope)).toEqual(expected);
    }
  });

  test('takes of one image the newest scan, and images one by one', () => {
    const scans = scansOf(
      readTrivyOperator([
        object([vulnerability('CVE-OLD')], { updateTimestamp: '2026-09-01T00:00:00Z' }),
        object([vulnerability('CVE-1')]),
        object([vulnerability('CVE-1'), vulnerability('CVE-2')]),
        object([], { artifact: { repository: 'library/redis', tag: '7', digest: digestOf('2') } }),
      ]),
    );
    expect(
      scans.map(({ image, findings }) => [image.digests, findings.map((each) => each.vulnerability)]),
    ).toEqual([
      [[digestOf('1')], ['CVE-1', 'CVE-2']],
      [[digestOf('2')], []],
    ]);
  });

  test('is refused with REPORT_UNSUPPORTED when it is of another kind, or tells of a deletion', () => {
    for (const json of [configAudit, [configAudit], { verb: 'delete', operatorObject: object([]) }]) {
      expect(isOfTrivyOperator(json)).toBe(true);
      expect(refusal(() => readTrivyOperator(json)).code).toBe('REPORT_UNSUPPORTED');
    }
    expect(refusal(() => readTrivyOperator(configAudit)).message).toContain('ConfigAuditReport');
  });

  test('is refused with REPORT_MALFORMED when it is broken', () => {
    for (const vulnerabilities of [
      [{}],
      [vulnerability('')],
      7,
      [vulnerability('CVE-1', { score: 'high' })],
    ]) {
      expect(refusal(() => readTrivyOperator(object([], { vulnerabilities }))).code).toBe('REPORT_MALFORMED');
    }
    expect(refusal(() => readTrivyOperator(object([], { updateTimestamp: 'now' }))).code).toBe(
      'REPORT_MALFORMED',
    );
  });
});
