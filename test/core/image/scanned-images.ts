import { createHash } from 'node:crypto';
import { AdmissionLookupRepository } from '../../../core/image/admission-lookup-repository.ts';
import { encodeEvidence, evidenceOf } from '../../../core/image/evidence.ts';
import { FindingPageRepository } from '../../../core/image/finding-page-repository.ts';
import { ImageCardRepository } from '../../../core/image/image-card-repository.ts';
import { ImageChangeRepository } from '../../../core/image/image-change-repository.ts';
import { ImageHistoryRepository } from '../../../core/image/image-history-repository.ts';
import { ImageNameRepository } from '../../../core/image/image-name-repository.ts';
import { ImageRepository, type Kept } from '../../../core/image/image-repository.ts';
import {
  type Finding,
  severities,
  type SeverityCounts,
  type Verdict,
} from '../../../core/image/image-schema.ts';
import { ScanPages } from '../../../core/image/scan-pages.ts';
import type { ScannedImage, StoredOutcome } from '../../../core/image/scanned-image.ts';
import { base32 } from '../../../core/tenant/identifier.ts';
import type { Engine } from '../../engine.ts';

export const day = 86_400_000;
export const hour = 3_600_000;
export const start = Date.parse('2026-11-23T12:00:00Z');
/** How long the images of these tests are kept. */
export const kept = 90 * day;

const hex = (seed: string): string => createHash('sha256').update(seed).digest('hex');
export const digestOf = (seed: string | number): string => `sha256:${hex(`image ${seed}`)}`;
const numberIn = (seed: string, below: number): number => Number.parseInt(hex(seed).slice(0, 8), 16) % below;

/** Findings as scanners report them; the same seed and count give the same. */
export function findingsOf(seed: string | number, count: number): Finding[] {
  return Array.from({ length: count }, (_, index) => {
    const each = `${seed} ${index}`;
    const score = numberIn(`${each} score`, 101) / 10;
    const name = `library-${numberIn(`${each} package`, 300)}`;
    const version = `${numberIn(`${each} version`, 20)}.${index % 17}.0`;
    const severity = severities[Math.max(0, 4 - Math.ceil(score / 2.5))] ?? 'unknown';
    return {
      vulnerability: `CVE-${2015 + numberIn(each, 12)}-${1000 + numberIn(`${each} number`, 50_000)}`,
      aliases: index % 3 === 0 ? [`GHSA-${base32(Buffer.from(hex(each), 'hex')).slice(0, 12)}`] : [],
      package: name,
      version,
      purl: `pkg:deb/debian/${name}@${version}?arch=amd64&distro=debian-12`,
      location: '/var/lib/dpkg/status',
      severity,
      score,
      cvss: ['nvd', 'ghsa', 'redhat'].map((source) => ({
        version: '3.1',
        score,
        vector: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H',
        source,
      })),
      epss: { score: numberIn(`${each} epss`, 1000) / 1000, percentile: 0.5 },
      fix:
        index % 2 === 0
          ? { state: 'fixed', versions: [`${version}-1`] }
          : { state: 'not-fixed', versions: [] },
      publishedAt: new Date(start - numberIn(`${each} age`, 1000) * day).toISOString(),
    };
  });
}

/** One finding, with what a test says of it. */
export function findingWith(extra: Partial<Finding>): Finding {
  const [finding] = findingsOf('one', 1);
  if (!finding) throw new Error('no finding');
  return { ...finding, aliases: [], ...extra };
}

/** What a test says of a scan; the rest follows. */
export type Scan = {
  readonly digest: string;
  readonly scannerName?: string;
  readonly scanId?: string;
  readonly scannedAt?: number;
  readonly references?: readonly string[];
  readonly digests?: readonly string[];
  readonly platform?: string;
  readonly findings?: readonly Finding[];
  readonly clusterId?: string;
  /** When it is uploaded. */
  readonly at?: number;
  readonly verdict?: Verdict;
};

export function outcomeFor(scan: Scan): StoredOutcome {
  const { scannerName = 'trivy', scannedAt = start, findings = findingsOf(scan.digest, 3) } = scan;
  const counts: SeverityCounts = { critical: 0, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 };
  for (const { severity } of findings) counts[severity] += 1;
  return {
    scanId: scan.scanId ?? `s-${hex(JSON.stringify([scan.digest, scannerName, scannedAt])).slice(0, 26)}`,
    scannerName,
    scanner: `${scannerName} 1.0`,
    scannedAt,
    aliases: {
      references: [...(scan.references ?? [])],
      digests: [...(scan.digests ?? [])],
      ...(scan.platform === undefined ? {} : { platform: scan.platform }),
    },
    counts,
    evidence: encodeEvidence(evidenceOf(findings)),
    reportKey: `tenant/scans/${scan.digest}`,
    pages: Math.ceil(findings.length / 250),
  };
}

/** The repositories of core/image over an engine, and an upload as functions/image-scan makes it. */
export function imageStores(engine: Engine) {
  const { access, tables } = engine;
  const stores = {
    images: new ImageRepository(access, tables.tenant),
    names: new ImageNameRepository(access, tables.tenant),
    cards: new ImageCardRepository(access, tables.tenant),
    pages: new FindingPageRepository(access, tables.tenant),
    history: new ImageHistoryRepository(access, tables.tenant),
    changes: new ImageChangeRepository(access, tables.tenant),
    lookups: new AdmissionLookupRepository(access, tables.tenant, () => start),
  };
  const upload = async (tenantId: string, scan: Scan): Promise<Kept> => {
    const { images, names, cards, pages, history, changes } = stores;
    const { digest, at = scan.scannedAt ?? start, findings = findingsOf(digest, 3) } = scan;
    const outcome = outcomeFor(scan);
    const { scannerName, scanId, scanner } = outcome;
    const expiresAt = at + kept;
    const own = new ScanPages(pages, tenantId, {
      digest,
      scannerName,
      scanId,
      scannedAt: outcome.scannedAt,
      findings,
      expiresAt,
    });
    await changes.note(tenantId, digest, at);
    const result = await images.keep(
      tenantId,
      digest,
      { result: outcome, clusterId: scan.clusterId, at, expiresAt },
      {
        pages: (before) => own.before(before),
        recorded: (before) => {
          const { verdict: to } = scan;
          const last = before?.recorded;
          if (to === undefined || to === last?.verdict) return last;
          const change = {
            at,
            to,
            cause: 'scan',
            scanId,
            scanner,
            ...(last ? { from: last.verdict } : {}),
          } as const;
          return { verdict: to, at, changes: [change] };
        },
      },
    );
    await names.keep(tenantId, result.image);
    await cards.keep(tenantId, result.image);
    await history.keep(tenantId, digest, result.history, kept);
    await own.deleteOthers(result.image);
    if (result.replaced) await pages.delete(tenantId, result.replaced);
    return result;
  };
  return { ...stores, upload };
}

/** An image as tests compare it: without functions and bytes. */
export const shown = ({ results, clusters, ...image }: ScannedImage) => ({
  ...image,
  clusters: [...clusters],
  results: results.map(({ encoded: _encoded, evidence, ...result }) => ({
    ...result,
    findings: evidence().findings,
  })),
});
