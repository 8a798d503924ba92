import * as z from 'zod';
import { type Finding, severities, type Severity } from '../../core/image/image-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { assertTrivyImageReport } from './report-format.ts';
import { parseReportJson } from './report-json.ts';

/** More findings than any real image has; what is above would be an attempt to keep us busy. */
export const maxFindings = 20_000;

/** A report in our own terms. */
export type ScanReport = {
  /** Name and version of the scanner, e.g. `trivy 0.72.0`. */
  readonly scanner: string;
  /** When the scan was made, epoch milliseconds; undefined when the report does not say. */
  readonly createdAt: number | undefined;
  /** What was scanned, e.g. `ghcr.io/org/app:1.2`, if the report says. */
  readonly reference: string | undefined;
  /** `<repository>@sha256:…` and the like, as the report has them; may hold empty strings. */
  readonly repoDigests: readonly string[];
  readonly findings: readonly Finding[];
};

const optional = <T extends z.ZodType>(schema: T) =>
  schema.nullish().transform((value) => value ?? undefined);
const text = (max: number) => z.string().max(max);
const score = optional(z.number().min(0).max(10));

const vulnerability = z.object({
  VulnerabilityID: text(128).min(1),
  PkgName: text(512),
  PkgPath: optional(text(1_024)),
  PkgIdentifier: optional(z.object({ PURL: optional(text(1_024)) })),
  InstalledVersion: optional(text(256)),
  FixedVersion: optional(text(512)),
  Severity: optional(text(64)),
  CVSS: optional(z.record(text(128), z.object({ V2Score: score, V3Score: score, V40Score: score }))),
});
type Vulnerability = z.infer<typeof vulnerability>;

const result = z.object({
  Target: optional(text(1_024)),
  Class: optional(text(128)),
  Type: optional(text(128)),
  Vulnerabilities: optional(z.array(vulnerability)),
});

const trivyReport = z.object({
  Trivy: optional(z.object({ Version: optional(text(128)) })),
  CreatedAt: optional(text(64)),
  ArtifactName: optional(text(1_024)),
  Metadata: optional(
    z.object({ Reference: optional(text(1_024)), RepoDigests: optional(z.array(text(1_024)).max(1_000)) }),
  ),
  Results: optional(z.array(result)),
});

/**
 * Reads a Trivy JSON report of schema 2. Only members that we know are looked at, each through the schema, so others,
 * `__proto__` included, have no effect. Problems: REPORT_MALFORMED, REPORT_UNSUPPORTED, PAYLOAD_TOO_LARGE.
 */
export function readTrivyReport(bytes: Uint8Array): ScanReport {
  const json = parseReportJson(bytes);
  assertTrivyImageReport(json);
  const parsed = trivyReport.safeParse(json);
  if (!parsed.success) {
    throw new Problem('REPORT_MALFORMED', undefined, {
      errors: parsed.error.issues
        .slice(0, 20)
        .map(({ path, message }) => ({ path: `/${path.map(String).join('/')}`, message })),
    });
  }
  const { Trivy, CreatedAt, ArtifactName, Metadata, Results = [] } = parsed.data;
  const findings = Results.flatMap(({ Vulnerabilities = [], ...where }) =>
    Vulnerabilities.map((each) => finding(each, where)),
  );
  if (findings.length > maxFindings) {
    throw new Problem('PAYLOAD_TOO_LARGE', `A report may have ${maxFindings} findings.`);
  }
  return {
    scanner: Trivy?.Version ? `trivy ${Trivy.Version}` : 'trivy',
    createdAt: time(CreatedAt),
    // For an archive the artifact's name is a file's; the reference inside it is the better name.
    reference: [Metadata?.Reference, ArtifactName].find((name) => name !== undefined && name !== ''),
    repoDigests: Metadata?.RepoDigests ?? [],
    findings,
  };
}

/** A finding is vulnerability + package URL + location. */
function finding(found: Vulnerability, where: Omit<z.infer<typeof result>, 'Vulnerabilities'>): Finding {
  const highest = highestScore(found);
  return {
    vulnerability: found.VulnerabilityID,
    package: found.PkgName,
    version: found.InstalledVersion ?? '',
    ...(found.PkgIdentifier?.PURL ? { purl: found.PkgIdentifier.PURL } : {}),
    location: found.PkgPath || placeOf(where),
    severity: severityOf(found.Severity),
    ...(highest === undefined ? {} : { score: highest }),
    ...(found.FixedVersion ? { fixedIn: found.FixedVersion } : {}),
  };
}

/**
 * The target of packages of the operating system begins with the image's tag, which is no part of a finding: the same
 * package under another tag would be another finding. Their place is the system's package database, named by its type.
 */
function placeOf({ Target, Class, Type }: Omit<z.infer<typeof result>, 'Vulnerabilities'>): string {
  return Class === 'os-pkgs' ? (Type ?? Class) : (Target ?? '');
}

/**
 * Sources (NVD, GitHub, vendors) score differently: the highest v3 or v4 base score counts, so that no source that is
 * milder than another lets an image pass; v2, which is on another scale, only where there is no other.
 * Base scores have one decimal (CVSS v3.1 §7.1); what has more is rounded.
 */
function highestScore({ CVSS = {} }: Vulnerability): number | undefined {
  const sources = Object.values(CVSS);
  const given = (scores: readonly (number | undefined)[]) => scores.filter((each) => each !== undefined);
  const recent = given(sources.flatMap(({ V3Score, V40Score }) => [V3Score, V40Score]));
  const scores = recent.length > 0 ? recent : given(sources.map(({ V2Score }) => V2Score));
  if (scores.length === 0) return undefined;
  // Not Math.max(...): a report may name more sources than a call takes arguments.
  return Math.round(scores.reduce((highest, each) => Math.max(highest, each)) * 10) / 10;
}

const known: ReadonlySet<string> = new Set(severities);

function severityOf(word = ''): Severity {
  const lower = word.toLowerCase();
  return known.has(lower) ? (lower as Severity) : 'unknown';
}

/** RFC 3339, with up to nanoseconds; Go's zero time, year 1, means that nobody set it. */
function time(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const at = /^\d{4}-\d{2}-\d{2}T/.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(at)) throw new Problem('REPORT_MALFORMED', 'CreatedAt is not an RFC 3339 time.');
  return at > 0 ? at : undefined;
}
