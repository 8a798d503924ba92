import { createHash } from 'node:crypto';
import { pathOf } from '../admission/image-reference.ts';
import { isFixable } from './evidence.ts';
import { referenceIn } from './image-name.ts';
import { severities, type Severity, type SeverityCounts } from './image-schema.ts';
import type { ScannedImage } from './scanned-image.ts';

/**
 * What a search looks at before an image itself is read. Counts are those of findings that no report suppresses, of
 * several scanners the most; exceptions and statements are not looked at: they change without any card being written.
 */
export type ImageCard = {
  readonly digest: string;
  readonly revision: number;
  /** `<registry>/<repository>`, sorted. */
  readonly repositories: readonly string[];
  readonly clusters: readonly string[];
  readonly counts: SeverityCounts;
  /** Of them those with a fix. */
  readonly fixable: SeverityCounts;
  /** The newest result's, epoch milliseconds. */
  readonly scannedAt: number;
  /** Findings that the image's item no longer tells apart: it may have any vulnerability, which its pages tell. */
  readonly partial: boolean;
};

/** A card with the hashes of all names of all findings, suppressed ones too: see `nameHash`. */
export type WrittenCard = ImageCard & { readonly vulnerabilities: readonly Uint8Array[] };

/** What is looked for; an image has to have all of it. */
export type CardFilter = {
  /**
   * A vulnerability's name, whatever its case. Of some 30 images in a billion the card says so wrongly, and of `partial` ones
   * it cannot say: what is found has to be looked up in the image.
   */
  readonly vulnerability?: string | undefined;
  /** Has a counted finding of one of these severities. */
  readonly severities?: readonly Severity[] | undefined;
  /** Has a counted finding with a fix (of one of the severities, if any is named); false: has none such. */
  readonly fixable?: boolean | undefined;
  /** Says of `<registry>/<repository>` whether it is meant; one of the image's has to be. */
  readonly repository?: ((path: string) => boolean) | undefined;
  readonly clusterId?: string | undefined;
};

/** More different names than these, and the card says that there may be any: 64 KB of hashes. */
const maxHashes = 16_384;

/** The first 4 bytes of the SHA-256 of a vulnerability's name in upper case. */
export const nameHash = (vulnerability: string): Uint8Array =>
  createHash('sha256').update(vulnerability.toUpperCase()).digest().subarray(0, 4);

/** The card of an image as it is stored: from its evidence, names and clusters alone. */
export function cardOf(image: ScannedImage): WrittenCard {
  const { digest, revision, results, clusters, names } = image;
  const hashes = new Map<string, Uint8Array>();
  const [counts, fixable] = [noneCounted(), noneCounted()];
  let isPartial = false;
  const vulnerabilities = new Set<string>();
  for (const result of results) {
    const { findings, rest, suppressedRest } = result.evidence();
    isPartial ||= rest.length > 0 || suppressedRest > 0;
    const [own, ownFixable] = [noneCounted(), noneCounted()];
    for (const finding of findings) {
      for (const name of [finding.vulnerability, ...finding.aliases]) vulnerabilities.add(name.toUpperCase());
      if (finding.suppressed) continue;
      own[finding.severity] += 1;
      if (isFixable(finding)) ownFixable[finding.severity] += 1;
    }
    for (const group of rest) {
      own[group.severity] += group.count;
      if (group.isFixable) ownFixable[group.severity] += group.count;
    }
    for (const severity of severities) {
      counts[severity] = Math.max(counts[severity], own[severity]);
      fixable[severity] = Math.max(fixable[severity], ownFixable[severity]);
    }
  }
  for (const name of vulnerabilities) {
    const hash = nameHash(name);
    hashes.set(Buffer.from(hash).toString('hex'), hash);
  }
  const hasAll = !isPartial && hashes.size <= maxHashes;
  return {
    digest,
    revision,
    repositories: repositoriesOf(results, names),
    clusters: [...clusters.keys()].sort(),
    counts,
    fixable,
    scannedAt: results.reduce((newest, { scannedAt }) => Math.max(newest, scannedAt), 0),
    partial: !hasAll,
    vulnerabilities: hasAll ? [...hashes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, hash]) => hash) : [],
  };
}

const noneCounted = (): Record<Severity, number> => ({
  critical: 0,
  high: 0,
  medium: 0,
  low: 0,
  negligible: 0,
  unknown: 0,
});

function repositoriesOf(results: ScannedImage['results'], names: ScannedImage['names']): readonly string[] {
  const texts = [
    ...results.flatMap(({ image, aliases }) => [
      ...(image === undefined ? [] : [image]),
      ...aliases.references,
    ]),
    ...names.map(({ alias }) => alias),
  ];
  const paths = texts.flatMap((text) => {
    const reference = referenceIn(text);
    // What names an image by its digest alone, and what nobody can pull, is in no repository.
    return !reference || text.startsWith('sha256:') ? [] : pathOf(reference);
  });
  return [...new Set(paths)].sort();
}
