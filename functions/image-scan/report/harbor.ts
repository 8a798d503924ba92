import * as z from 'zod';
import { Problem } from '../../../core/problem/problem.ts';
import {
  baseScore,
  cvssScore,
  digestIn,
  distinct,
  given,
  guardFindings,
  isObject,
  list,
  type Members,
  optional,
  readMembers,
  severityOf,
  text,
  time,
} from './members.ts';
import type { CvssScore, Report, ReportedFinding, ReportedScan } from './normal-form.ts';
import { fixedVersions, vendorScores } from './trivy.ts';

const vulnerability = z.object({
  id: text(128).min(1),
  package: text(512),
  version: optional(text(512)),
  fix_version: optional(text(4_096)),
  severity: optional(text(64)),
  preferred_cvss: optional(
    z.object({
      score_v3: optional(baseScore),
      score_v2: optional(baseScore),
      vector_v3: optional(text(512)),
      vector_v2: optional(text(512)),
    }),
  ),
  // Open to whatever a scanner adds: what has not the form of Trivy's scores is none.
  vendor_attributes: optional(z.object({ CVSS: vendorScores })).catch(undefined),
  artifact_digests: list(text(128), 1_000),
});
type Vulnerability = z.infer<typeof vulnerability>;

const harborReport = z.object({
  generated_at: optional(text(64)),
  artifact: optional(
    z.object({ repository: optional(text(1_024)), digest: optional(text(128)), tag: optional(text(256)) }),
  ),
  scanner: optional(z.object({ name: optional(text(128)), version: optional(text(128)) })),
  vulnerabilities: list(vulnerability),
});

/** Media types under which Harbor puts a report, in the order in which we look for them. */
const mediaTypes = [
  'application/vnd.security.vulnerability.report; version=1.1',
  'application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0',
] as const;

/** More images than any index has. */
const maxPlatforms = 100;

/** The report itself, in Harbor's envelope or as its scanners answer it. */
function reportIn(json: unknown): Members | undefined {
  if (!isObject(json)) return undefined;
  for (const type of mediaTypes) if (isObject(json[type])) return json[type];
  const bare = ['generated_at', 'scanner', 'vulnerabilities'].every((name) => Object.hasOwn(json, name));
  return bare ? json : undefined;
}

export const isOfHarbor = (json: unknown): boolean => reportIn(json) !== undefined;

/**
 * A vulnerability report of Harbor's (GET …/artifacts/…/additions/vulnerabilities) or of a scanner for it (pluggable
 * scanner API 1.0–1.2). One of an image index may tell which findings are of which image in it: then each is a scan.
 * REPORT_MALFORMED, PAYLOAD_TOO_LARGE.
 */
export function readHarbor(json: unknown): Report {
  const { generated_at, artifact, scanner, vulnerabilities } = readMembers(harborReport, reportIn(json));
  const name = scanner?.name?.toLowerCase() || 'harbor';
  const { repository, tag, digest } = artifact ?? {};
  const references = repository ? [tag ? `${repository}:${tag}` : repository] : [];
  const findings = vulnerabilities.map((each) => finding(each, name));
  guardFindings(findings.length);
  const about = digestIn(digest);
  const digests = about ? [about] : distinct(vulnerabilities.flatMap(digestsOf));
  if (digests.length > maxPlatforms) {
    throw new Problem('PAYLOAD_TOO_LARGE', `A report of an index may be about ${maxPlatforms} images.`);
  }
  const scans: ReportedScan[] =
    digests.length < 2
      ? [{ image: { references, digests }, findings }]
      : digests.map((each) => ({
          image: { references, digests: [each] },
          findings: findings.filter((_finding, at) => isIn(vulnerabilities[at], each)),
        }));
  guardFindings(scans.reduce((sum, scan) => sum + scan.findings.length, 0));
  const version = scanner?.version?.replace(/^v(?=\d)/, '');
  return {
    format: 'harbor',
    scanner: { name, ...given('version', version && version !== 'Unknown' ? version : undefined) },
    ...given('createdAt', time(generated_at, 'generated_at')),
    scans,
  };
}

const digestsOf = ({ artifact_digests }: Vulnerability) => artifact_digests.map(digestIn);

/** What names no image counts for each. */
function isIn(found: Vulnerability | undefined, digest: string): boolean {
  const named = found?.artifact_digests ?? [];
  return named.length === 0 || named.includes(digest);
}

function finding(found: Vulnerability, scanner: string): ReportedFinding {
  const versions = fixedVersions(found.fix_version);
  return {
    vulnerability: found.id,
    aliases: [],
    package: found.package,
    version: found.version ?? '',
    location: '',
    severity: severityOf(found.severity),
    cvss: scoresOf(found, scanner),
    fix: { state: versions.length > 0 ? 'fixed' : 'unknown', versions },
  };
}

/** Harbor repeats one of the scores as the preferred one, without its source. */
function scoresOf({ preferred_cvss, vendor_attributes }: Vulnerability, source: string): CvssScore[] {
  const vendors = vendor_attributes?.CVSS ?? [];
  const { score_v3, score_v2, vector_v3, vector_v2 } = preferred_cvss ?? {};
  const preferred = [
    ...(score_v3 === undefined
      ? []
      : [cvssScore({ source, version: '3.1', score: score_v3, vector: vector_v3 })]),
    ...(score_v2 === undefined
      ? []
      : [cvssScore({ source, version: '2.0', score: score_v2, vector: vector_v2 })]),
  ];
  const isV2 = ({ version }: Pick<CvssScore, 'version'>) => version === '2.0';
  const isNew = ({ version, score }: CvssScore) =>
    !vendors.some((each) => isV2(each) === isV2({ version }) && each.score === score);
  return [...vendors, ...preferred.filter(isNew)];
}
