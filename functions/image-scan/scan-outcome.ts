import { createHash } from 'node:crypto';
import { type Evidence, evidenceOf } from '../../core/image/evidence.ts';
import {
  type Finding,
  type ImageAliases,
  severities,
  type SeverityCounts,
} from '../../core/image/image-schema.ts';
import type { StoredOutcome } from '../../core/image/scanned-image.ts';
import { base32 } from '../../core/tenant/identifier.ts';
import { distinct } from './report/members.ts';
import type { Report, ReportedImage } from './report/normal-form.ts';
import type { Addressed } from './reported-images.ts';
import { shownFinding } from './shown-finding.ts';

/** Names of each kind that a result keeps. */
const maxAliases = 20;

/** What a report says of one image, before anything of it is stored. */
export type NewOutcome = Omit<StoredOutcome, 'evidence' | 'reportKey' | 'pages'> & {
  readonly digest: string;
  readonly evidence: Evidence;
  readonly findings: readonly Finding[];
};

/** The report, when it came, and what the request says of it. */
export type About = {
  readonly report: Report;
  readonly sha256: Buffer;
  /** Epoch milliseconds. */
  readonly taken: number;
  /** Whether the answer is one image's. */
  readonly single: boolean;
  readonly image: string | undefined;
};

export function outcomeIn({ scan, digest }: Addressed, about: About): NewOutcome {
  const { name, version, databaseAt } = about.report.scanner;
  const findings = scan.findings.map(shownFinding);
  const named = about.image ?? scan.image.references[0];
  const image = named === undefined ? undefined : withoutUser(named);
  return {
    digest,
    scanId: scanIdOf(about.sha256, about.single ? undefined : digest),
    // A clock that is ahead must not keep every later scan from replacing this one.
    scannedAt: Math.min(scan.createdAt ?? about.report.createdAt ?? about.taken, about.taken),
    scanner: version === undefined ? name : `${name} ${version}`,
    scannerName: scannerNameOf(name),
    ...(databaseAt === undefined ? {} : { databaseAt }),
    ...(image === undefined ? {} : { image }),
    aliases: aliasesOf(scan.image),
    ...(scan.image.bom === undefined ? {} : { bom: scan.image.bom }),
    counts: countBySeverity(findings),
    evidence: evidenceOf(findings),
    findings,
  };
}

/**
 * From the content, so that the same report is the same scan; of several images in one report each has a scan of its
 * own.
 */
function scanIdOf(sha256: Buffer, digest: string | undefined): string {
  const hash = digest === undefined ? sha256 : createHash('sha256').update(sha256).update(digest).digest();
  return `s-${base32(hash).slice(0, 26)}`;
}

/** Part of a key: CycloneDX lets a tool be called anything. */
const scannerNameOf = (name: string): string =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .slice(0, 64) || 'unknown';

/** Some write who logs in at a registry before its name: that is none of ours. What stands before a digest stays. */
const withoutUser = (reference: string): string =>
  reference.replace(/^((?:[a-z][a-z0-9+.-]*:\/\/)?)[^/\s]*@(?!sha\d+:)/i, '$1');

const aliasesOf = ({ references, digests, imageId, platform }: ReportedImage): ImageAliases => ({
  references: distinct(references.slice(0, maxAliases).map(withoutUser)),
  digests: digests.slice(0, maxAliases),
  ...(imageId === undefined ? {} : { imageId }),
  ...(platform === undefined ? {} : { platform }),
});

/** Of what the report itself lets count: as its own tool counts. */
export function countBySeverity(findings: readonly Finding[]): SeverityCounts {
  const found = Object.fromEntries(severities.map((each) => [each, 0])) as SeverityCounts;
  for (const { suppressed, severity } of findings) if (suppressed === undefined) found[severity] += 1;
  return found;
}
