import type { Verdict } from '../image/image-schema.ts';
import type { ReadyAdmissionPolicy, ReadyPolicy, ReadyRule } from './admission-policy.ts';
import type { AdmissionRequest, Answer } from './admission-review.ts';
import { harshest, type KnownImage, oldestScan } from './known-image.ts';
import { limitOf, type ScanStatus } from './container-admission-policy.ts';
import { aliasOf } from './image-reference.ts';
import type { Labels } from './label-selector.ts';
import { refusal, warningsOf } from './admission-words.ts';
import { imagePath, type NamedImage, shownImage, type Workload, workloadOf } from './workload.ts';

/** What decided over an image. */
export type DecidedBy =
  /** The namespace or the image is exempt. */
  | { readonly by: 'exempt-namespace' | 'exempt-image' }
  /** The object is updated, and has had this image before. */
  | { readonly by: 'unchanged' }
  /** It cannot be read: no kubelet will pull it either. */
  | { readonly by: 'reference'; readonly fault: string }
  /** A rule: the first of the policy is 1. Uncertain: that hangs on labels of the namespace that are not known. */
  | { readonly by: 'rule'; readonly policy: string; readonly rule: number; readonly isUncertain: boolean }
  /** No rule matches. Uncertain as above. */
  | { readonly by: 'unmatched'; readonly isUncertain: boolean };

/** What the image policy says of admission: of an image of this path, or of what has none that can be read (''). */
export type AdmissionSettings = (path: string) => {
  /** audit: what policy refuses is let in with a warning. */
  readonly mode: 'enforce' | 'audit';
  /** What an image is taken for of which no scan is known, or of whose name none is. */
  readonly unscanned: Verdict;
};

/** One image's judgement, as the tester of policies shows it. */
export type ImageJudgement = {
  /** Written out, or as it stands in the object where it cannot be read. */
  readonly image: string;
  readonly containers: readonly string[];
  /** What its scans say, or `unscanned`. */
  readonly status: Verdict | 'unscanned';
  /** The image that was found under the reference, of several the worst. */
  readonly known?: KnownImage;
  /** Whether policy would have it so. */
  readonly allowed: boolean;
  /** audit: it is let in all the same. */
  readonly mode: 'enforce' | 'audit';
  readonly decided: DecidedBy;
};

export type Decision = Answer & {
  /** Whether policy would have all of it so; where a refused image is in audit mode `allowed` is true all the same. */
  readonly wouldAllow: boolean;
  readonly images: readonly ImageJudgement[];
};

export type Question = {
  readonly request: AdmissionRequest;
  /** By `aliasOf`: of a tag, or an index, several images may be known. */
  readonly verdicts: ReadonlyMap<string, readonly KnownImage[]>;
  readonly policy: ReadyAdmissionPolicy;
  readonly settings: AdmissionSettings;
  /** All labels of the namespace, from somebody who can read them; a review does not have them. */
  readonly namespaceLabels?: Readonly<Record<string, string>>;
  /** Epoch milliseconds. */
  readonly now: number;
};

/**
 * Answers a review: admitted is what names only images that policy lets in. Each distinct image is judged once. What is
 * not known never helps: an unknown image is `unscanned`, and where labels of the namespace would have to be known, the
 * harsher of the possible answers counts.
 */
export function decide({ request, verdicts, policy, settings, namespaceLabels, now }: Question): Decision {
  const workload = workloadOf(request);
  if (!workload) return { allowed: true, wouldAllow: true, warnings: [], images: [] };
  if ('fault' in workload) {
    const message = `Cattery cannot judge this request. ${workload.fault}`;
    const isExempt = policy.isExemptNamespace(request.namespace);
    const allowed = isExempt || settings('').mode === 'audit';
    const warnings = allowed && !isExempt ? [message] : [];
    return { allowed, wouldAllow: isExempt, images: [], warnings, ...(allowed ? {} : { message }) };
  }
  const namespace = labelsOf(workload.namespace, namespaceLabels);
  const labels: Labels = { known: workload.labels, isComplete: true };
  // Once for all images, as what is asked about ages.
  const applied = policy.policies.flatMap((each) => {
    const selected = applies(each, labels, namespace);
    return selected === false ? [] : [{ ...each, isCertain: selected === true }];
  });
  const limits = new Map<ReadyRule, number>();
  const scope = { workload, policy, settings, verdicts, now, applied, limits };
  const images = workload.images.map((image) => judge(image, scope));
  const wouldAllow = images.every((image) => image.allowed);
  const allowed = images.every((image) => image.allowed || image.mode === 'audit');
  return {
    allowed,
    wouldAllow,
    images,
    warnings: warningsOf(images),
    ...(allowed ? {} : { message: refusal(workload, images) }),
  };
}

/** Every API server since 1.22 gives a namespace its name as a label, Calico another to its selectors. */
function labelsOf(namespace: string, given: Readonly<Record<string, string>> | undefined): Labels {
  const known = new Map(Object.entries(given ?? {}));
  for (const label of ['kubernetes.io/metadata.name', 'projectcalico.org/name']) known.set(label, namespace);
  return { known, isComplete: given !== undefined };
}

type Scope = Pick<Question, 'policy' | 'settings' | 'verdicts' | 'now'> & {
  readonly workload: Workload;
  /** The policies that select the object, or may. */
  readonly applied: readonly (ReadyPolicy & { readonly isCertain: boolean })[];
  /** Of rules about the time of a scan, as they are met. */
  readonly limits: Map<ReadyRule, number>;
};

function judge(image: NamedImage, scope: Scope): ImageJudgement {
  const { policy, settings, verdicts, workload } = scope;
  const found = 'reference' in image ? (verdicts.get(aliasOf(image.reference)) ?? []) : [];
  const known = harshest(found);
  const path = imagePath(image);
  const { mode, unscanned } = settings(path ?? '');
  const base = {
    image: shownImage(image),
    containers: image.containers,
    status: known?.verdict ?? 'unscanned',
    mode,
    ...(known ? { known } : {}),
  } as const;

  if (policy.isExemptNamespace(workload.namespace)) {
    return { ...base, allowed: true, decided: { by: 'exempt-namespace' } };
  }
  if (path !== undefined && policy.isExemptPath(path)) {
    return { ...base, allowed: true, decided: { by: 'exempt-image' } };
  }
  // Else no finalizer could be taken off a pod, and no rollout scale its old replicas down, once their image fails.
  if (image.isUnchanged) return { ...base, allowed: true, decided: { by: 'unchanged' } };
  if (path === undefined || 'fault' in image) {
    const fault = 'fault' in image ? image.fault : 'it cannot be read';
    return { ...base, allowed: false, decided: { by: 'reference', fault } };
  }
  return { ...base, ...ruled({ path, found, scope, verdict: known?.verdict, unscanned }) };
}

type Facts = {
  readonly path: string;
  readonly found: readonly KnownImage[];
  /** Of the worst; undefined: unscanned. */
  readonly verdict: Verdict | undefined;
  readonly unscanned: Verdict;
  readonly scope: Scope;
};

/** The first rule that matches, of the policies in their order; several may be it where a selector is in doubt. */
function ruled(facts: Facts): Pick<ImageJudgement, 'allowed' | 'decided'> {
  const possible: Pick<ImageJudgement, 'allowed' | 'decided'>[] = [];
  let isUncertain = false;
  for (const each of facts.scope.applied) {
    const index = each.rules.findIndex((rule) => matches(rule, facts));
    const rule = each.rules[index]?.rule;
    if (!rule) continue;
    isUncertain ||= !each.isCertain;
    possible.push({
      allowed: rule.action === 'Allow',
      decided: { by: 'rule', policy: each.name, rule: index + 1, isUncertain },
    });
    if (each.isCertain) return harsher(possible);
  }
  possible.push({ allowed: allowedUnmatched(facts), decided: { by: 'unmatched', isUncertain } });
  return harsher(possible);
}

function applies(policy: ReadyPolicy, labels: Labels, namespace: Labels): boolean | undefined {
  const answers = [policy.selector(labels), policy.namespaceSelector(namespace)];
  return answers.includes(false) ? false : answers.includes(undefined) ? undefined : true;
}

function harsher(
  possible: readonly Pick<ImageJudgement, 'allowed' | 'decided'>[],
): Pick<ImageJudgement, 'allowed' | 'decided'> {
  const chosen = possible.find(({ allowed }) => !allowed) ?? possible[0];
  if (!chosen) throw new Error('No answer is possible');
  const { decided } = chosen;
  const isDoubtful = new Set(possible.map(({ allowed }) => allowed)).size > 1;
  // Where all possible answers agree there is no doubt to speak of.
  return 'isUncertain' in decided
    ? { ...chosen, decided: { ...decided, isUncertain: decided.isUncertain && isDoubtful } }
    : chosen;
}

function allowedUnmatched({ verdict, unscanned, scope: { policy } }: Facts): boolean {
  if (policy.unmatched !== 'Verdict') return policy.unmatched === 'Allow';
  return (verdict ?? unscanned) !== 'fail';
}

const statuses = { pass: 'Pass', warn: 'Warn', fail: 'Fail' } as const satisfies Record<Verdict, ScanStatus>;

function matches(ready: ReadyRule, { path, found, verdict, unscanned, scope }: Facts): boolean {
  const { rule, paths } = ready;
  const { imagePath: pathMatch, imageScanStatus: statusMatch, imageLastScan: scanMatch } = rule;
  if (pathMatch) {
    const isOne = paths.some((pattern) => pattern.matches(path));
    if (isOne !== (pathMatch.operator === 'IsOneOf')) return false;
  }
  if (statusMatch) {
    // An unscanned image is Unknown, and also what policy takes it for: "none of Fail" does not let it in.
    const has: ScanStatus[] = verdict === undefined ? ['Unknown', statuses[unscanned]] : [statuses[verdict]];
    const isOne = has.some((status) => statusMatch.values.includes(status));
    if (isOne !== (statusMatch.operator === 'IsOneOf')) return false;
  }
  if (scanMatch) {
    const scannedAt = oldestScan(found);
    const limit = scope.limits.get(ready) ?? limitOf(scanMatch, scope.now);
    scope.limits.set(ready, limit);
    // Never scanned is older than any limit where that keeps it out, and no age where it would let it in.
    if (scannedAt === undefined) return scanMatch.operator === 'lt' && rule.action === 'Reject';
    return scanMatch.operator === 'gt' ? scannedAt > limit : scannedAt < limit;
  }
  return true;
}
