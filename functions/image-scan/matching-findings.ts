import type { Evidence, RestGroup } from '../../core/image/evidence.ts';
import { isFixable } from '../../core/image/evidence.ts';
import type { FindingPageRepository } from '../../core/image/finding-page-repository.ts';
import { pageFindings, pagesOf } from '../../core/image/finding-page-repository.ts';
import type { Finding, JudgedFinding } from '../../core/image/image-schema.ts';
import type { FoundFinding, ImagesFilter } from '../../core/image/image-search-schema.ts';
import { type FindingJudgement, findingJudge } from '../../core/image/judge.ts';
import type { ScannedImage, ScanOutcome } from '../../core/image/scanned-image.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Judging } from './image-view.ts';

export type FindingFilter = Pick<ImagesFilter, 'vulnerability' | 'severity' | 'fixable'>;

export const asksForFindings = ({ vulnerability, severity, fixable }: FindingFilter): boolean =>
  vulnerability !== undefined || severity !== undefined || fixable !== undefined;

/** Makes a finding of a result what is shown of it, or undefined if it is not asked for. */
export type FindingReader = (finding: JudgedFinding | Finding) => FoundFinding | undefined;

/**
 * Reads the findings of one of the image's results under the rules of a moment. Severity and fix are asked of findings
 * that count then; a name alone also finds what does not.
 */
export function findingReader(
  image: ScannedImage,
  result: ScanOutcome,
  { vulnerability, severity, fixable }: FindingFilter,
  { rules, now }: Judging,
): FindingReader {
  const name = vulnerability?.toUpperCase();
  const hasName = ({ vulnerability: own, aliases }: JudgedFinding) =>
    name === undefined || own.toUpperCase() === name || aliases.some((alias) => alias.toUpperCase() === name);
  const mustCount = severity !== undefined || fixable !== undefined;
  let judge: ((finding: JudgedFinding) => FindingJudgement) | undefined;
  return (finding) => {
    if (!hasName(finding) || !isOf({ ...finding, isFixable: isFixable(finding) }, { severity, fixable }))
      return undefined;
    judge ??= findingJudge(image, result, rules, now);
    const { rules: met, ...judged } = judge(finding);
    if (mustCount && judged.suppressed) return undefined;
    const { suppressed: _reported, cvss: _cvss, ...rest } = { cvss: undefined, ...finding };
    return { ...rest, scanner: result.scannerName, ...judged, rules: [...met] };
  };
}

const isOf = (
  { severity, isFixable: hasFix }: Pick<RestGroup, 'severity' | 'isFixable'>,
  wanted: Pick<FindingFilter, 'severity' | 'fixable'>,
): boolean =>
  (wanted.severity === undefined || wanted.severity.includes(severity)) &&
  (wanted.fixable === undefined || hasFix === (wanted.fixable === 'true'));

/** How many findings that are no longer told apart are asked for: they count, and nobody knows their names. */
export const countOfRest = ({ rest }: Evidence, filter: FindingFilter): number =>
  filter.vulnerability === undefined
    ? rest.reduce((sum, group) => sum + (isOf(group, filter) ? group.count : 0), 0)
    : 0;

/** Whether the image's item has not all of the result's findings: then its pages have them. */
const isPartial = ({ rest, suppressedRest }: Evidence): boolean => rest.length > 0 || suppressedRest > 0;

/** How many portions a result's findings have; none have none. */
export function portionsOf(result: ScanOutcome): number {
  const evidence = result.evidence();
  const own = Math.ceil(evidence.findings.length / pageFindings);
  return isPartial(evidence) ? result.pages || own : own;
}

/**
 * One portion of all findings of a result, from 0, the worst first: out of the image itself, without scores by source;
 * only where that has not all of them out of the stored pages, half a read per 4 KB each.
 */
export async function portion(
  { pages }: { readonly pages: Pick<FindingPageRepository, 'page'> },
  tenantId: string,
  { digest, result, at }: { readonly digest: string; readonly result: ScanOutcome; readonly at: number },
): Promise<readonly (JudgedFinding | Finding)[]> {
  const evidence = result.evidence();
  const stored = isPartial(evidence)
    ? await reached('The table of findings', pages.page(tenantId, pagesOf(digest, result), at))
    : undefined;
  return stored ?? evidence.findings.slice(at * pageFindings, (at + 1) * pageFindings);
}

/** What a list shows of matching findings. */
const maxShown = 3;

export type Matching = { readonly total: number; readonly findings: readonly FoundFinding[] };

/** The findings that are asked for; undefined: there is none. */
export async function matchingFindings(
  deps: { readonly pages: Pick<FindingPageRepository, 'page'> },
  tenantId: string,
  image: ScannedImage,
  { filter, judging }: { readonly filter: FindingFilter; readonly judging: Judging },
): Promise<Matching | undefined> {
  const findings: FoundFinding[] = [];
  let total = 0;
  const look = (result: ScanOutcome, among: readonly (JudgedFinding | Finding)[]) => {
    const read = findingReader(image, result, filter, judging);
    for (const each of among) {
      const found = read(each);
      if (!found) continue;
      total += 1;
      if (findings.length < maxShown) findings.push(found);
    }
  };
  for (const result of image.results) {
    const evidence = result.evidence();
    look(result, evidence.findings);
    total += countOfRest(evidence, filter);
  }
  // What an image with very many findings does not know by itself, its pages do; one that is found is enough.
  for (const result of filter.vulnerability === undefined ? [] : image.results) {
    if (!isPartial(result.evidence())) continue;
    for (let at = 0; at < portionsOf(result) && total === 0; at += 1) {
      look(result, await portion(deps, tenantId, { digest: image.digest, result, at }));
    }
  }
  return total === 0 ? undefined : { total, findings };
}
