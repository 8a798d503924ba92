import { createHash } from 'node:crypto';
import type { AdmissionBundle } from '../../core/admission/admission-bundle.ts';
import { keptPolicy } from '../../core/admission/admission-policy-repository.ts';
import type { Answer } from '../../core/api/api-function.ts';
import { ifNoneMatches } from '../../core/api/entity-tag.ts';
import type { ImageChange } from '../../core/image/image-change-repository.ts';
import type { ImagePolicy } from '../../core/image/image-policy-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import { type BundleLimits, bundleLimits, BundlePart } from './bundle-part.ts';
import {
  type BundlePosition,
  type BundleState,
  readPosition,
  readState,
  writtenPosition,
  writtenState,
} from './bundle-position.ts';
import type { BundleFacts } from './bundle-state-repository.ts';
import type { Dependencies } from './deps.ts';

export type BundleDependencies = Pick<
  Dependencies,
  'states' | 'changes' | 'images' | 'rules' | 'bundleSigner' | 'apiUrl' | 'now'
>;

/** Images that are read at once: DynamoDB gives up to 1 MB of a list, and 100 items of a batch. */
const [listed, batched] = [250, 100];
/** A change is noted up to this long, in milliseconds, after the moment that it bears: clocks, and a function's timeout. */
export const overlap = 60_000;
/** Older bundles are not continued: changes are kept for 8 days. */
export const maxAge = 7 * 86_400_000;
/** A bundle that is this much ahead, in milliseconds, is of a clock that was wrong: what it has missed cannot be told. */
export const maxAhead = 30_000;
/** One more when the same images would be judged, or told, otherwise than before: all clients then get a full bundle. */
const edition = 1;

export type BundleQuestion = {
  readonly tenantId: string;
  readonly since?: string | undefined;
  readonly cursor?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
};

/**
 * One part of the tenant's bundle, signed. Without `since`, after a change of the image rules or of our judging, or when
 * `since` is older than 7 days, the bundle is full; else it is a delta: each image that has been changed since, as it is now. `cursor`
 * (the `next` of the part before; `since` is not looked at then) asks for a further part.
 *
 * All parts of one bundle are made by the same rules: once a policy has changed, a `cursor` of before is answered
 * CONFLICT, and the client asks again as it did for the first part. Images that change between two parts are in one of
 * them or the other as they were or are, and always in the next delta, which reaches back 60 s before `asOf`.
 *
 * The first part has an ETag, which stands for policies and images and not for the time: how verdicts become worse with
 * time is in the bundle. A change makes two: one at once, one when nobody can have noted an earlier one any more.
 *
 * Units: 304: 1.5 (half a read per 4 KB of rules and policy, half a read for the newest change). A part: 1 per 4 KB of
 * rules and policy, 1 for the newest change, and half a read per 4 KB of images (1,000 with 100 findings each: some 350);
 * a delta half a read at least for each image, and 1 per 4 KB of changes (some 35).
 *
 * Throws INVALID_CURSOR, CONFLICT, UNAVAILABLE: never a part of a part, never unsigned.
 */
export async function admissionBundle(
  deps: BundleDependencies,
  question: BundleQuestion,
  limits: BundleLimits = bundleLimits,
): Promise<Answer> {
  const { tenantId, ifNoneMatch } = question;
  const asked = readPosition(tenantId, question.cursor);
  const since = asked ? undefined : readState(tenantId, question.since);
  const now = deps.now();
  if (ifNoneMatch !== undefined && !asked) {
    // May be a moment old: then the client gets at its next question what has just been changed.
    const etag = tagOf(tenantId, await factsOf(deps, tenantId, false), now);
    if (ifNoneMatches(ifNoneMatch, etag)) return { status: 304, headers: headersOf(etag) };
  }
  const facts = await factsOf(deps, tenantId, true);
  const rules = await reached('The image rules', deps.rules.ready(tenantId, { item: facts.rules }));
  const { revision, policy } = keptPolicy(facts.policy);
  const to = { at: now, rules: rules.revision, admission: revision, edition };
  const position = asked ?? firstPosition(to, since);
  if (!isSameJudging(position.to, to) || position.to.admission !== to.admission) {
    throw new Problem(
      'CONFLICT',
      'The policy has changed since the first part: ask for the first part again.',
    );
  }

  const bundle: Omit<AdmissionBundle, 'images' | 'removed' | 'next'> = {
    iss: deps.apiUrl,
    sub: tenantId,
    iat: Math.floor(now / 1000),
    kind: position.from ? 'delta' : 'full',
    asOf: writtenState(tenantId, position.to),
    ...(position.from ? { since: writtenState(tenantId, position.from.state) } : {}),
    part: position.part,
    revisions: { rules: to.rules, admission: to.admission },
    rules: admissionRules(rules.stored.policy),
    policy,
  };
  const room = limits.bytes - Buffer.byteLength(JSON.stringify(bundle));
  const part = new BundlePart({ ...limits, bytes: room }, rules, now, deps.now);
  const after = await reached(
    'The table of images',
    position.from
      ? addChanges(deps, tenantId, part, position.to, position.from.after)
      : addAll(deps, tenantId, part, position.after),
  );
  const payload: AdmissionBundle = {
    ...bundle,
    images: part.images,
    // A full bundle has what is known, and nothing else.
    ...(position.from && part.removed.length > 0 ? { removed: part.removed } : {}),
    ...(after ? { next: writtenPosition(tenantId, nextPosition(position, after)) } : {}),
  };
  const signed = await reached(
    'The key that signs bundles',
    deps.bundleSigner.sign(Buffer.from(JSON.stringify(payload))),
  );
  return { body: signed, headers: asked ? uncached : headersOf(tagOf(tenantId, facts, now)) };
}

/** The keys that bundles are verified with. Units: none; KMS is asked once for each process. */
export async function bundleKeys({ bundleSigner }: Pick<Dependencies, 'bundleSigner'>): Promise<Answer> {
  const key = await reached('The key that signs bundles', bundleSigner.key());
  return { body: { keys: [key] }, headers: { 'Cache-Control': 'public, max-age=300' } };
}

function factsOf({ states, changes }: BundleDependencies, tenantId: string, isConsistent: boolean) {
  return reached(
    'The table of images',
    Promise.all([
      states.read(tenantId, isConsistent),
      changes.newest(tenantId, { consistent: isConsistent }),
    ]).then(([found, newest]) => ({ ...found, newest })),
  );
}
type Facts = BundleFacts & { readonly newest: ImageChange | undefined };

/** Weak (RFC 9110 §8.8.1): two signatures over the same differ. */
function tagOf(tenantId: string, { rules, policy, newest }: Facts, now: number): string {
  // Up to then somebody may note a change that is older than the newest one.
  const isSettled = newest === undefined || newest.at + overlap < now;
  const revisions = [edition, rules?.revision ?? 0, policy?.revision ?? 0];
  const parts = [tenantId, ...revisions, newest?.position, isSettled];
  return `W/"${createHash('sha256').update(JSON.stringify(parts)).digest('base64url').slice(0, 27)}"`;
}

/** For this client alone, and asked for anew each time. */
const uncached = { 'Cache-Control': 'private, no-cache' };
const headersOf = (etag: string) => ({ ...uncached, ETag: etag });

function firstPosition(to: BundleState, since: BundleState | undefined): BundlePosition {
  const age = to.at - (since?.at ?? -Infinity);
  if (!since || !isSameJudging(since, to) || age >= maxAge || age < -maxAhead) return { to, part: 0 };
  return { to, from: { state: since, after: Math.max(0, since.at - overlap) }, part: 0 };
}

/** Whether verdicts of one are verdicts of the other. */
const isSameJudging = (one: BundleState, other: BundleState): boolean =>
  one.rules === other.rules && one.edition === other.edition;

type After = { readonly image: string } | { readonly change: string };

const nextPosition = ({ to, from, part }: BundlePosition, after: After): BundlePosition =>
  'image' in after
    ? { to, after: after.image, part: part + 1 }
    : { to, ...(from ? { from: { ...from, after: after.change } } : {}), part: part + 1 };

/** What of the image policy admission asks. Overrides that say nothing of it stay: the first that matches is the one. */
const admissionRules = ({ mode, unscanned, overrides }: ImagePolicy): AdmissionBundle['rules'] => ({
  mode,
  unscanned,
  overrides: overrides.map((each) => ({
    repositories: each.repositories,
    ...(each.mode === undefined ? {} : { mode: each.mode }),
    ...(each.unscanned === undefined ? {} : { unscanned: each.unscanned }),
  })),
});

type Images = Pick<BundleDependencies, 'images' | 'changes'>;

/** Fills the part with the images after one of them, by digest; gives the last if there are more. */
async function addAll(
  { images }: Images,
  tenantId: string,
  part: BundlePart,
  after: string | undefined,
): Promise<After | undefined> {
  let last = after;
  for (;;) {
    const found = await images.list(tenantId, { after: last, limit: Math.min(part.room, listed) });
    for (const image of found.images) {
      if (!part.add(image.digest, image)) return endedAfter(last);
      last = image.digest;
    }
    if (!found.more) return undefined;
    if (part.room <= 0) return endedAfter(last);
  }
}

/** A part always has room for one: without that its end would look like the end of all. */
function endedAfter(last: string | undefined): After {
  if (last === undefined) throw new Error('a part of a bundle ended before it began');
  return { image: last };
}

/** Fills the part with the images that have changed, each once; gives the last change if there are more. */
async function addChanges(
  { images, changes }: Images,
  tenantId: string,
  part: BundlePart,
  until: BundleState,
  after: string | number,
): Promise<After | undefined> {
  let last = after;
  const ended = (): After => {
    if (typeof last !== 'string') throw new Error('a part of a bundle ended before it began');
    return { change: last };
  };
  for (;;) {
    const found = await changes.since(tenantId, { after: last, until: until.at, limit: batched });
    const missing = new Set(found.changes.map(({ digest }) => digest).filter((digest) => !part.has(digest)));
    const known = new Map(
      (await images.findMany(tenantId, [...missing])).map((image) => [image.digest, image]),
    );
    for (const change of found.changes) {
      if (!part.has(change.digest) && !part.add(change.digest, known.get(change.digest))) return ended();
      last = change.position;
    }
    if (!found.more) return undefined;
    if (part.room <= 0) return ended();
  }
}
