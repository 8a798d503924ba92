import type { Finding } from '../../core/image/image-schema.ts';
import type { CvssScore, ReportedFinding } from './report/normal-form.ts';

/** Scores that a finding shows; scanners give up to six sources. */
const maxScores = 8;
/** Other names, and versions with a fix, that a finding shows. */
const maxNames = 20;

/** A finding as the API shows it, and as it is judged. */
export function shownFinding(found: ReportedFinding): Finding {
  const { aliases, cvss, fix, publishedAt, ...rest } = found;
  const score = decisiveScore(cvss);
  return {
    ...rest,
    aliases: aliases.slice(0, maxNames),
    ...(score === undefined ? {} : { score }),
    cvss: [...cvss].sort(moreDecisive).slice(0, maxScores),
    fix: { state: fix.state, versions: fix.versions.slice(0, maxNames) },
    ...(publishedAt === undefined ? {} : { publishedAt: new Date(publishedAt).toISOString() }),
  };
}

const isOld = ({ version }: CvssScore): boolean => version === '2.0';

/** v3 and v4 before v2, then the highest, so that what decides is always shown. */
const moreDecisive = (a: CvssScore, b: CvssScore): number =>
  Number(isOld(a)) - Number(isOld(b)) || b.score - a.score;

/**
 * Sources (NVD, GitHub, vendors) score differently: the highest v3 or v4 base score counts, so that no source that is
 * milder than another lets an image pass; v2, which is on another scale, only where there is no other.
 */
function decisiveScore(cvss: readonly CvssScore[]): number | undefined {
  const recent = cvss.filter((each) => !isOld(each));
  const scores = recent.length > 0 ? recent : cvss;
  // Not Math.max(...): a report may name more sources than a call takes arguments.
  return scores.reduce<number | undefined>(
    (highest, { score }) => (highest === undefined ? score : Math.max(highest, score)),
    undefined,
  );
}
