import * as z from 'zod';
import { Problem } from '../../../core/problem/problem.ts';
import {
  aliasesOf,
  baseScore,
  cvssScore,
  digestIn,
  distinct,
  given,
  guardFindings,
  isObject,
  list,
  optional,
  purl,
  readMembers,
  severityOf,
  text,
  time,
  timeIfAny,
  word,
} from './members.ts';
import type { Report, ReportedFinding, ReportedScan } from './normal-form.ts';
import { oneEach } from './one-each.ts';
import { fixedVersions, placeOf, vendorScores } from './trivy.ts';

const vulnerability = z.object({
  vulnerabilityID: text(128).min(1),
  resource: text(512),
  installedVersion: optional(text(512)),
  fixedVersion: optional(text(4_096)),
  publishedDate: optional(text(64)),
  severity: optional(text(64)),
  cvsssource: optional(text(128)),
  score: optional(baseScore),
  cvss: vendorScores,
  target: optional(text(4_096)),
  class: optional(text(128)),
  packageType: optional(text(128)),
  packagePath: optional(text(4_096)),
  packagePURL: purl,
});

const vulnerabilityReport = z.object({
  report: z.object({
    updateTimestamp: optional(text(64)),
    scanner: optional(z.object({ name: optional(text(128)), version: optional(text(128)) })),
    registry: optional(z.object({ server: optional(text(512)) })),
    artifact: optional(
      z.object({
        repository: optional(text(1_024)),
        digest: optional(text(128)),
        tag: optional(text(256)),
      }),
    ),
    vulnerabilities: list(vulnerability),
  }),
});
type VulnerabilityReport = z.infer<typeof vulnerabilityReport>;

const vulnerabilityKinds: ReadonlySet<unknown> = new Set([
  'VulnerabilityReport',
  'ClusterVulnerabilityReport',
]);

/**
 * VulnerabilityReports of trivy-operator: one as it is in the cluster, as its webhook sends it (with or without its
 * envelope), or many of them as kubectl lists them; objects of its other kinds in a list are left out.
 * REPORT_MALFORMED, REPORT_UNSUPPORTED, PAYLOAD_TOO_LARGE.
 */
export function readTrivyOperator(json: unknown): Report {
  const objects = objectsIn(json);
  const reports = objects.filter(isVulnerabilityReport).map((each) => readMembers(vulnerabilityReport, each));
  if (reports.length === 0) {
    const kinds = distinct(objects.map((each) => (isObject(each) ? word(each.kind) : undefined)));
    throw new Problem(
      'REPORT_UNSUPPORTED',
      `Found objects of trivy-operator, and no VulnerabilityReport among them${kinds.length > 0 ? ` (${kinds.slice(0, 5).join(', ')})` : ''}.`,
    );
  }
  const scans = reports.map(scanOf);
  guardFindings(scans.reduce((sum, { findings }) => sum + findings.length, 0));
  const versions = distinct(reports.map(({ report }) => report.scanner?.version));
  return {
    format: 'trivy-operator',
    scanner: { name: 'trivy', ...given('version', versions.length === 1 ? versions[0] : undefined) },
    scans: oneEach(scans),
  };
}

const group = 'aquasecurity.github.io';

/** Marks of all forms: an object of the operator's group, or what has the shape of its report where Go left the kind out. */
export function isOfTrivyOperator(json: unknown): boolean {
  return objectsIn(json).some(
    (each) =>
      isObject(each) && (isVulnerabilityReport(each) || String(each.apiVersion).startsWith(`${group}/`)),
  );
}

/** The objects in a list, an array, a dictionary by resource, or the webhook's envelope. */
function objectsIn(json: unknown): readonly unknown[] {
  if (Array.isArray(json)) return json as readonly unknown[];
  if (!isObject(json)) return [];
  if (isObject(json.operatorObject) && typeof json.verb === 'string') {
    // What has been deleted from the cluster is no result; the object in the envelope may be a remainder.
    return json.verb === 'delete' ? [{ kind: 'deletion', apiVersion: `${group}/` }] : [json.operatorObject];
  }
  if (Array.isArray(json.items) && typeof json.kind === 'string' && json.kind.endsWith('List')) {
    return json.items as readonly unknown[];
  }
  const names = Object.keys(json);
  if (names.length > 0 && names.every((name) => name.endsWith(`.${group}`))) {
    return Object.values(json).flatMap((each) => (Array.isArray(each) ? (each as unknown[]) : []));
  }
  return [json];
}

const isVulnerabilityReport = (each: unknown): boolean =>
  isObject(each) &&
  isObject(each.report) &&
  (each.kind === undefined || each.kind === ''
    ? isObject(each.metadata) && Object.hasOwn(each.report, 'vulnerabilities')
    : vulnerabilityKinds.has(each.kind) && String(each.apiVersion).startsWith(`${group}/`));

function scanOf({ report }: VulnerabilityReport): ReportedScan {
  const { artifact, registry, vulnerabilities, updateTimestamp } = report;
  const { repository, tag, digest } = artifact ?? {};
  const name = repository && distinct([registry?.server, repository]).join('/');
  return {
    image: {
      references: name ? [tag ? `${name}:${tag}` : name] : [],
      digests: distinct([digestIn(digest)]),
    },
    findings: vulnerabilities.map(finding),
    ...given('createdAt', time(updateTimestamp, 'updateTimestamp')),
  };
}

function finding(found: z.infer<typeof vulnerability>): ReportedFinding {
  const { cvss, score, cvsssource = 'trivy' } = found;
  const versions = fixedVersions(found.fixedVersion);
  return {
    vulnerability: found.vulnerabilityID,
    aliases: aliasesOf(found.vulnerabilityID, []),
    package: found.resource,
    version: found.installedVersion ?? '',
    ...given('purl', found.packagePURL),
    location:
      found.packagePath || placeOf({ Target: found.target, Class: found.class, Type: found.packageType }),
    severity: severityOf(found.severity),
    // Reports made without the option for all scores have the one that the operator preferred.
    cvss:
      cvss.length > 0 || score === undefined
        ? cvss
        : [cvssScore({ source: cvsssource, version: '3.1', score })],
    fix: { state: versions.length > 0 ? 'fixed' : 'unknown', versions },
    ...given('publishedAt', timeIfAny(found.publishedDate)),
  };
}
