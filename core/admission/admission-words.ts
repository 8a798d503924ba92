import { maxMessage } from './admission-review.ts';
import type { ImageJudgement } from './decide.ts';
import type { KnownImage } from './known-image.ts';
import { plain } from './plain-text.ts';
import type { Workload } from './workload.ts';

/** Longest name of an image, a container, a package or the like in a message. */
const [maxImage, maxName] = [200, 63];
const maxContainers = 3;
const maxFindings = 3;

const exception = 'ask whoever keeps the image policy for an exception (POST /v1/image-exceptions)';

const isRefused = ({ allowed, mode }: ImageJudgement): boolean => !allowed && mode === 'enforce';

/** Why an object is not admitted: each image that is refused, why, and what to do. */
export function refusal({ kind, name, namespace }: Workload, images: readonly ImageJudgement[]): string {
  const refused = images.filter(isRefused);
  const what = plain(`${kind} ${namespace === '' ? '' : `${namespace}/`}${name}`.trim(), 2 * maxName);
  const lead = `Cattery does not admit ${what}: `;
  const advice = ` ${[...new Set(refused.map(adviceOn))].join(' ')}`;
  const shown: string[] = [];
  let left = maxMessage - lead.length - advice.length - ' (and 1000 more images).'.length;
  for (const image of refused) {
    // The first is always named, cut if need be.
    const sentence = shown.length === 0 ? plain(why(image), left) : `; ${why(image)}`;
    left -= sentence.length;
    if (left < 0) break;
    shown.push(sentence);
  }
  const more = refused.length - shown.length;
  return `${lead}${shown.join('')}${more === 0 ? '' : ` (and ${more} more ${more === 1 ? 'image' : 'images'})`}.${advice}`;
}

/** What somebody should know besides refusals: what would be refused but for the mode, and what warns. */
export function warningsOf(images: readonly ImageJudgement[]): string[] {
  return images.flatMap((image) => {
    if (isRefused(image)) return [];
    if (!image.allowed) return [`would not be admitted (mode audit): ${why(image)}`];
    const { decided, status, known } = image;
    if (decided.by === 'unchanged' && status === 'fail') {
      return [`stays, though a new one would be judged: ${named(image)} ${verdictOf(known)}`];
    }
    if (decided.by === 'unmatched' && status === 'warn') return [`${named(image)} ${verdictOf(known)}`];
    if (decided.by === 'unmatched' && status === 'unscanned') return [`${named(image)} ${verdictOf(known)}`];
    return [];
  });
}

function why(image: ImageJudgement): string {
  const { decided, known } = image;
  switch (decided.by) {
    case 'reference':
      return `${named(image)} is no reference of an image: ${decided.fault}`;
    case 'rule':
      return `${named(image)} is rejected by rule ${decided.rule} of policy ${plain(decided.policy, maxName)}${doubt(decided)}; it ${verdictOf(known)}`;
    case 'unmatched':
      return `${named(image)} ${verdictOf(known)}${doubt(decided)}`;
    default:
      return `${named(image)} ${verdictOf(known)}`;
  }
}

const doubt = ({ isUncertain }: { isUncertain: boolean }): string =>
  isUncertain ? ' (the labels of the namespace are not known here: the harsher answer counts)' : '';

function named({ image, containers }: ImageJudgement): string {
  const names = containers.slice(0, maxContainers).map((name) => plain(name, maxName));
  const more = containers.length - names.length;
  const several = containers.length > 1 ? 'containers' : 'container';
  return `${plain(image, maxImage)} (${several} ${names.join(', ')}${more > 0 ? ` and ${more} more` : ''})`;
}

/** `failed its scan of 2026-11-23: cvss-fail, 2 findings (CVE-… in musl 1.1, fixed in 1.2; …)`. */
function verdictOf(known: KnownImage | undefined): string {
  if (!known) return 'has no scan result under this name';
  const words = { pass: 'passed', warn: 'passed with warnings', fail: 'failed' }[known.verdict];
  const reasons = known.reasons.map(({ rule, total, findings }) => {
    const told = findings
      .slice(0, maxFindings)
      .map(({ vulnerability, package: name, version, fix: { versions } }) => {
        const fixed = versions[0] === undefined ? 'no fix known' : `fixed in ${plain(versions[0], maxName)}`;
        return `${plain(vulnerability, maxName)} in ${plain(name, maxName)} ${plain(version, maxName)}, ${fixed}`;
      });
    const list = told.length === 0 ? '' : ` (${told.join('; ')}${total > told.length ? '; ...' : ''})`;
    const count = total === 0 ? '' : `, ${total} ${total === 1 ? 'finding' : 'findings'}`;
    return `${plain(rule, maxName)}${count}${list}`;
  });
  const scan = `${words} its scan of ${new Date(known.scannedAt).toISOString().slice(0, 10)}`;
  return reasons.length === 0 ? scan : `${scan}: ${reasons.join('; ')}`;
}

function adviceOn({ decided, known }: ImageJudgement): string {
  if (decided.by === 'reference') return 'Correct the reference.';
  if (!known) return 'Scan the image, upload the report, and name the image by the digest that was scanned.';
  if (known.verdict === 'fail') {
    // What fails for its scan's age alone has no findings to tell.
    if (known.reasons.every(({ total }) => total === 0)) return 'Scan the image anew and upload the report.';
    return known.reasons.some(({ findings }) => findings.some(({ fix }) => fix.versions.length > 0))
      ? `Use an image that has the fixes, or ${exception}.`
      : `Use an image without these findings, or ${exception}.`;
  }
  return 'Use an image that the policy allows, scan it anew if its scan is too old, or ask whoever keeps the admission policy.';
}
