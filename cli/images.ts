import * as z from 'zod';
import { clusterIdPattern } from '../core/tenant/identifier.ts';
import { counts, reason, suppressed, verdict } from '../core/image/image-schema.ts';
import { foundFinding } from '../core/image/image-search-schema.ts';
import type { ApiClient } from './api-client.ts';
import { chooseClusters, listClusters } from './clusters.ts';
import { Failure, printable } from './failure.ts';
import { span, table } from './table.ts';

/** What is read of a finding here. */
const shownFinding = z.looseObject({
  ...foundFinding.pick({
    vulnerability: true,
    package: true,
    version: true,
    severity: true,
    score: true,
    fix: true,
  }).shape,
  suppressed: z.looseObject({ status: z.string() }).optional(),
});
type ShownFinding = z.infer<typeof shownFinding>;

/** What is read here; whatever else the API tells is passed on to those who ask for JSON. */
const shownImage = z.looseObject({
  digest: z.string(),
  image: z.string().optional(),
  verdict,
  counts: z.looseObject(counts.shape),
  reasons: z.array(z.looseObject({ ...reason.shape, rule: z.string(), findings: z.array(shownFinding) })),
  suppressed: z.looseObject(suppressed.pick({ total: true, excepted: true }).shape),
  changesAt: z.array(z.looseObject({ at: z.string(), verdict: z.string() })),
  scans: z.array(z.looseObject({ scanner: z.string(), scannedAt: z.string(), verdict: z.string() })),
  scannedAt: z.string(),
  names: z.array(z.looseObject({ name: z.string() })),
  clusters: z.array(z.looseObject({ clusterId: z.string(), lastSeenAt: z.string() })),
  matching: z.looseObject({ total: z.int(), findings: z.array(shownFinding) }).optional(),
});
export type ShownImage = z.infer<typeof shownImage>;

/** What is asked for, as it stands on the command line. */
export type ImageOptions = {
  readonly verdict?: string;
  readonly severity?: string;
  readonly vulnerability?: string;
  readonly fixable?: true;
  readonly notFixable?: true;
  readonly repository?: string;
  /** By name or ID. */
  readonly cluster?: string;
};

/** The members of a query. Looks a cluster up that is not named by its ID. Failure of usage for what excludes itself. */
export async function imageFilter(
  api: ApiClient,
  { verdict: wanted, severity, vulnerability, fixable, notFixable, repository, cluster }: ImageOptions,
): Promise<Record<string, string>> {
  if (fixable && notFixable) throw new Failure('usage', 'Ask for --fixable or --not-fixable, not for both.');
  const clusterId = cluster === undefined ? undefined : await clusterIdOf(api, cluster);
  const given = {
    verdict: wanted,
    severity,
    vulnerability,
    fixable: fixable ? 'true' : notFixable ? 'false' : undefined,
    repository,
    cluster: clusterId,
  };
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

async function clusterIdOf(api: ApiClient, name: string): Promise<string | undefined> {
  if (clusterIdPattern.test(name)) return name;
  const [found] = chooseClusters(await listClusters(api), [name]);
  return found?.clusterId;
}

export const listImages = (api: ApiClient, filter: Readonly<Record<string, string>>): Promise<ShownImage[]> =>
  api.list(shownImage, '/v1/images', filter);

export const findImage = (api: ApiClient, digest: string): Promise<ShownImage> =>
  api.get(shownImage, `/v1/images/${encodeURIComponent(digest)}`);

/** All findings of an image. */
export const listFindings = (api: ApiClient, digest: string): Promise<ShownFinding[]> =>
  api.list(shownFinding, `/v1/images/${encodeURIComponent(digest)}/findings`);

/** `now`: epoch milliseconds. */
export function imageTable(images: readonly ShownImage[], now: number): string {
  if (images.length === 0) return 'There are no such images.\n';
  const isSearch = images.some(({ matching }) => matching !== undefined);
  return table(
    [
      'VERDICT',
      'IMAGE',
      ...(isSearch ? ['FINDING'] : []),
      'CRITICAL',
      'HIGH',
      'MEDIUM',
      'LOW',
      'SCANNED',
      'DIGEST',
    ],
    images.map((each) => [
      each.verdict,
      nameOf(each),
      ...(isSearch ? [matchOf(each)] : []),
      ...[each.counts.critical, each.counts.high, each.counts.medium, each.counts.low].map(String),
      span(now - Date.parse(each.scannedAt)),
      each.digest,
    ]),
  );
}

const nameOf = ({ image, names }: ShownImage): string =>
  image ?? names.find(({ name }) => !name.startsWith('sha256:'))?.name ?? '-';

/** The first of the findings that were asked for, and how many others there are. */
function matchOf({ matching }: ShownImage): string {
  const [first] = matching?.findings ?? [];
  if (!matching || !first) return '-';
  const others = matching.total > 1 ? ` +${matching.total - 1}` : '';
  const why = first.suppressed ? ` (${first.suppressed.status})` : '';
  return `${first.vulnerability} ${first.package} ${first.version}${why}${others}`;
}

/** `now`: epoch milliseconds. */
export function imageText(image: ShownImage, now: number): string {
  const ago = (at: string) => `${span(now - Date.parse(at))} ago`;
  const lines: (readonly [string, string])[] = [
    ['image', nameOf(image)],
    ['digest', image.digest],
    ['verdict', image.verdict],
    ...image.changesAt.map((each): [string, string] => ['becomes', `${each.verdict} at ${each.at}`]),
    ...image.scans.map((each): [string, string] => [
      'scan',
      `${each.scanner}, ${ago(each.scannedAt)}: ${each.verdict}`,
    ]),
    ...image.names.map(({ name }): [string, string] => ['name', name]),
    ...image.clusters.map((each): [string, string] => [
      'cluster',
      `${each.clusterId}, ${ago(each.lastSeenAt)}`,
    ]),
    ['suppressed', `${image.suppressed.total} (${image.suppressed.excepted} by exceptions)`],
  ];
  const facts = lines.map(([name, value]) => `${`${name}:`.padEnd(12)}${printable(value)}\n`).join('');
  return facts + image.reasons.map((each) => reasonText(each)).join('');
}

function reasonText({ rule, threshold, findings, total }: ShownImage['reasons'][number]): string {
  const about = `\n${printable(rule)}${threshold === undefined ? '' : ` (${threshold})`}`;
  if (total === 0) return `${about}\n`;
  const more = total > findings.length ? `and ${total - findings.length} more\n` : '';
  return `${about}: ${total}\n${findingTable(findings)}${more}`;
}

export const findingTable = (findings: readonly ShownFinding[]): string =>
  table(
    ['VULNERABILITY', 'SEVERITY', 'SCORE', 'PACKAGE', 'VERSION', 'FIXED IN', 'SUPPRESSED'],
    findings.map((each) => [
      each.vulnerability,
      each.severity,
      each.score === undefined ? '-' : String(each.score),
      each.package,
      each.version,
      each.fix.versions.join(' ') || each.fix.state,
      each.suppressed?.status ?? '',
    ]),
  );
