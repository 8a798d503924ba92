import * as z from 'zod';
import { Problem } from '../../../core/problem/problem.ts';
import type {
  CvssScore,
  FixState,
  Report,
  ReportedFinding,
  ReportedImage,
  Suppression,
} from './normal-form.ts';
import {
  aliasesOf,
  baseScore,
  cvssScore,
  digestIn,
  distinct,
  given,
  guardFindings,
  label,
  list,
  optional,
  pairs,
  purl,
  readMembers,
  severityOf,
  text,
  time,
  timeIfAny,
} from './members.ts';

const score = optional(baseScore);
const vector = optional(text(512));

/** Scores by source, as Trivy's database has them; its operator and its adapter for Harbor pass them on. */
export const vendorScores = pairs(
  z.object({
    V2Score: score,
    V2Vector: vector,
    V3Score: score,
    V3Vector: vector,
    V40Score: score,
    V40Vector: vector,
  }),
).transform((sources): CvssScore[] =>
  sources.flatMap(([source, each]) => [
    ...scoreOf(source, '4.0', each.V40Score, each.V40Vector),
    ...scoreOf(source, '3.1', each.V3Score, each.V3Vector),
    ...scoreOf(source, '2.0', each.V2Score, each.V2Vector),
  ]),
);

const scoreOf = (
  source: string,
  version: CvssScore['version'],
  value: number | undefined,
  vectorOf: string | undefined,
): CvssScore[] =>
  value === undefined ? [] : [cvssScore({ source, version, score: value, vector: vectorOf })];

const vulnerability = z.object({
  VulnerabilityID: optional(text(128)),
  VendorIDs: list(text(128), 100),
  PkgName: optional(text(512)),
  PkgPath: optional(text(4_096)),
  PkgIdentifier: optional(z.object({ PURL: purl })),
  InstalledVersion: optional(text(512)),
  FixedVersion: optional(text(4_096)),
  Status: optional(text(64)),
  Severity: optional(text(64)),
  CVSS: vendorScores,
  PublishedDate: optional(text(64)),
});
type Vulnerability = z.infer<typeof vulnerability>;
const namedVulnerability = vulnerability.extend({ VulnerabilityID: text(128).min(1), PkgName: text(512) });

const modified = z.object({
  Type: optional(text(64)),
  Status: optional(text(64)),
  Statement: optional(z.string()),
  Source: optional(z.string()),
  Finding: z.unknown().optional(),
});

const resultOf = <T extends z.ZodType<Vulnerability>>(entry: T) =>
  z.object({
    Target: optional(text(4_096)),
    Class: optional(text(128)),
    Type: optional(text(128)),
    Vulnerabilities: list(entry),
    ExperimentalModifiedFindings: list(modified),
  });
/** One target of a report, with what was found in it. Misconfigurations, secrets and licences are not looked at. */
export const trivyResult = resultOf(namedVulnerability);
type Result = z.infer<ReturnType<typeof resultOf>>;

export const trivyMetadata = z.object({
  OS: z.unknown().optional(),
  ImageID: optional(text(128)),
  RepoTags: list(text(1_024), 1_000),
  RepoDigests: list(text(1_024), 1_000),
  Reference: optional(text(1_024)),
  ImageConfig: optional(
    z.object({
      architecture: optional(text(64)),
      os: optional(text(64)),
      variant: optional(text(64)),
    }),
  ),
});

const trivyReport = z.object({
  Trivy: optional(
    z.object({
      Version: optional(text(128)),
      Server: optional(z.object({ VulnerabilityDB: optional(z.object({ UpdatedAt: optional(text(64)) })) })),
    }),
  ),
  CreatedAt: optional(text(64)),
  ArtifactName: optional(text(1_024)),
  ArtifactType: optional(text(64)),
  Metadata: optional(trivyMetadata),
  Results: list(trivyResult),
});

/** A report of `trivy image --format json`, schema 2. REPORT_MALFORMED, PAYLOAD_TOO_LARGE. */
export function readTrivy(json: unknown): Report {
  const { Trivy, CreatedAt, ArtifactName, ArtifactType, Metadata, Results } = readMembers(trivyReport, json);
  if (!isAboutPackages(Results, Metadata ? [Metadata] : [])) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      "Found a Trivy report with nothing about packages, those of the image's operating system neither: that is no scan for vulnerabilities (trivy image --scanners vuln).",
    );
  }
  const findings = findingsOf(Results);
  guardFindings(findings.length);
  // Of an archive or a bill of materials it is a file's; the reference inside is the better name.
  const isFile = ArtifactType !== undefined && ArtifactType !== 'container_image';
  const name = (isFile ? undefined : ArtifactName) || imageNameIn(Results);
  return {
    format: 'trivy',
    scanner: {
      name: 'trivy',
      ...given('version', Trivy?.Version || undefined),
      ...given('databaseAt', timeIfAny(Trivy?.Server?.VulnerabilityDB?.UpdatedAt)),
    },
    ...given('createdAt', time(CreatedAt, 'CreatedAt')),
    scans: [{ image: imageOf(Metadata, name), findings }],
  };
}

/**
 * Whether vulnerabilities were looked for: packages of an operating system are listed even if none of them has any.
 * An image without packages has no results at all; one of which Trivy names the system has packages.
 */
export const isAboutPackages = (
  results: readonly Result[],
  metadata: readonly Pick<z.infer<typeof trivyMetadata>, 'OS'>[],
): boolean =>
  (results.length === 0 && metadata.every(({ OS }) => OS === undefined || OS === null)) ||
  results.some(({ Class = 'os-pkgs' }) => Class === 'os-pkgs' || Class === 'lang-pkgs') ||
  results.some((each) => each.Vulnerabilities.length > 0);

const trivyArray = list(resultOf(vulnerability));

/** What Trivy wrote before schema 2 (0.20, 2021): the bare results, without time, version or digest. */
export function readTrivyArray(json: unknown): Report {
  const results = readMembers(trivyArray, json);
  const findings = findingsOf(results);
  guardFindings(findings.length);
  return {
    format: 'trivy-array',
    scanner: { name: 'trivy' },
    scans: [{ image: imageOf(undefined, imageNameIn(results)), findings }],
  };
}

/** Every name that the metadata have for an image, `fallback` where there is no reference. */
export function imageOf(
  metadata: z.infer<typeof trivyMetadata> | undefined,
  fallback: string | undefined,
): ReportedImage {
  const { ImageID, RepoTags = [], RepoDigests = [], Reference, ImageConfig } = metadata ?? {};
  const { os, architecture, variant } = ImageConfig ?? {};
  return {
    references: distinct([Reference || fallback, ...RepoTags]),
    digests: distinct([digestIn(Reference), digestIn(fallback), ...RepoDigests.map(digestIn)]),
    ...given('imageId', digestIn(ImageID)),
    ...given('platform', os && architecture ? distinct([os, architecture, variant]).join('/') : undefined),
  };
}

/** The findings of all results, counted ones first: every entry counts that Trivy itself counts. */
export function findingsOf(results: readonly Result[]): ReportedFinding[] {
  const counted = results.flatMap((result) => result.Vulnerabilities.map((each) => finding(each, result)));
  const suppressed = results.flatMap((result) =>
    result.ExperimentalModifiedFindings.flatMap((each) => {
      const suppression = each.Type === 'vulnerability' ? suppressionOf(each) : undefined;
      if (!suppression) return [];
      const found = readMembers(namedVulnerability, each.Finding);
      return [{ ...finding(found, result), suppressed: suppression }];
    }),
  );
  return [...counted, ...suppressed];
}

const suppressions: readonly string[] = [
  'not_affected',
  'fixed',
  'ignored',
] satisfies Suppression['status'][];

/** What was taken out of the counts; other modifications have left their finding among the counted ones. */
function suppressionOf({ Status, Statement, Source }: z.infer<typeof modified>): Suppression | undefined {
  if (Status === undefined || !suppressions.includes(Status)) return undefined;
  return {
    status: Status as Suppression['status'],
    ...given('justification', label(Statement)),
    ...given('source', sourceOf(Source)),
  };
}

/** A file's name or the like; an address in it may hold a credential, which is cut out. */
function sourceOf(source: string | undefined): string | undefined {
  // Cut out first, cut short then: what is left of an address cut short could be nothing but its password.
  const named = source?.replace(/\/\/[^/@\s]*@/g, '//').slice(0, 256);
  return named === '' ? undefined : named;
}

/** A finding is vulnerability + package URL + location. */
function finding(found: Vulnerability, result: Result): ReportedFinding {
  // Before schema 2 an entry could lack its name; it counts nevertheless.
  const vulnerabilityId = found.VulnerabilityID || 'unnamed';
  return {
    vulnerability: vulnerabilityId,
    aliases: aliasesOf(vulnerabilityId, found.VendorIDs.filter(isVulnerability)),
    package: found.PkgName ?? '',
    version: found.InstalledVersion ?? '',
    ...given('purl', found.PkgIdentifier?.PURL),
    location: found.PkgPath || placeOf(result),
    severity: severityOf(found.Severity),
    cvss: found.CVSS,
    fix: fixOf(found),
    ...given('publishedAt', timeIfAny(found.PublishedDate)),
  };
}

/** VendorIDs hold advisories too (DSA, RHSA, USN): one of those stands for many vulnerabilities, so it names none. */
const isVulnerability = (id: string): boolean => /^(?:CVE|GHSA|GO|GMS|OSV|PYSEC|RUSTSEC|MAL)-/.test(id);

const fixStates: Readonly<Record<string, FixState>> = {
  fixed: 'fixed',
  affected: 'not-fixed',
  will_not_fix: 'wont-fix',
  fix_deferred: 'deferred',
  end_of_life: 'end-of-life',
};

function fixOf({ FixedVersion, Status = '' }: Vulnerability): ReportedFinding['fix'] {
  const versions = fixedVersions(FixedVersion);
  const state = fixStates[Status.toLowerCase()] ?? (versions.length > 0 ? 'fixed' : 'unknown');
  return { state, versions };
}

/** `2.6.9, 3.1.0`: one for each line of releases. */
export const fixedVersions = (words: string | undefined): string[] =>
  distinct((words ?? '').split(',').map((each) => each.trim())).slice(0, 100);

/** `debian:10 (debian 10.8)`: how Trivy names the packages of an image's operating system. */
const systemTarget = /^(.*) \((\S+) [^()]*\)$/s;

/**
 * The target of packages of the operating system begins with the image's tag, which is no part of a finding: the same
 * package under another tag would be another finding. Their place is the system's package database, named by its type.
 */
export function placeOf({
  Target = '',
  Class,
  Type,
}: Partial<Pick<Result, 'Target' | 'Class' | 'Type'>>): string {
  if (Class === 'os-pkgs') return Type ?? Class;
  const family = Class === undefined ? systemTarget.exec(Target)?.[2] : undefined;
  return family ?? Target;
}

/** The image's reference from the target of its operating system's packages. */
export const imageNameIn = (
  results: readonly Pick<Result, 'Target' | 'Class' | 'Type'>[],
): string | undefined =>
  results
    .filter(({ Class, Type, Target }) =>
      Class === undefined
        ? Type !== undefined && systemTarget.exec(Target ?? '')?.[2] === Type
        : Class === 'os-pkgs',
    )
    .map(({ Target }) => systemTarget.exec(Target ?? '')?.[1])
    .find((name) => name !== undefined && name !== '');
