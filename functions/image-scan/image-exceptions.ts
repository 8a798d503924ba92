import type { Logger } from '@aws-lambda-powertools/logger';
import { decodeCursor, encodeCursor } from '../../core/api/cursor.ts';
import type { Page } from '../../core/api/page.ts';
import type { Caller } from '../../core/credential/caller.ts';
import type { ExceptionsQuery, ListedException } from '../../core/image/exception-list-schema.ts';
import {
  type ExceptionRequest,
  expiryFault,
  type ImageException,
} from '../../core/image/exception-schema.ts';
import type { ImageRulesRepository } from '../../core/image/image-rules-repository.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import { base32, type RandomBytes } from '../../core/tenant/identifier.ts';

/** What handling exceptions needs. */
export type ExceptionDependencies = {
  readonly rules: Pick<ImageRulesRepository, 'find' | 'change'>;
  readonly logger: Pick<Logger, 'info'>;
  readonly now: () => number;
  readonly random: RandomBytes;
};

const day = 86_400_000;
/** So long an exception stays in the list after its end, for who asks why an image has passed. */
const shownAfterEnd = 90 * day;
const listName = 'image-exceptions';
export const rulesPart = 'The table of rules for images';

/**
 * Makes an exception, or gives the live one that says the very same (`isNew` false), so that a request whose answer was
 * lost can be repeated. Verdicts follow at once. Throws INVALID_REQUEST for an end that is past or too far, LIMIT_REACHED,
 * CONFLICT. Units: those of a change of the rules.
 */
export async function addException(
  { rules, logger, now, random }: ExceptionDependencies,
  { tenantId, principal }: Caller,
  request: ExceptionRequest,
): Promise<{ exception: ListedException; isNew: boolean }> {
  const at = now();
  const fault = expiryFault(request.expiresAt, at);
  if (fault !== undefined) {
    throw new Problem('INVALID_REQUEST', undefined, { errors: [{ path: '/expiresAt', message: fault }] });
  }
  const made = newException(request, { principal, at, random });
  let kept: ImageException = made;
  await reached(
    rulesPart,
    rules.change(tenantId, (before) => {
      const there = before.exceptions.find((each) => isLive(each, at) && saysOf(each) === saysOf(made));
      kept = there ?? made;
      return there ? before : { ...before, exceptions: [...shownStill(before.exceptions, at), made] };
    }),
  );
  const isNew = kept === made;
  if (isNew) logger.info('image exception added', { tenantId, principal, exceptionId: made.exceptionId });
  return { exception: listed(kept, at), isNew };
}

/** Takes an exception away, and verdicts follow at once. Throws NOT_FOUND, CONFLICT. Units: those of a change of the rules. */
export async function removeException(
  { rules, logger, now }: ExceptionDependencies,
  { tenantId, principal }: Caller,
  exceptionId: string,
): Promise<void> {
  await reached(
    rulesPart,
    rules.change(tenantId, (before) => {
      if (!before.exceptions.some((each) => each.exceptionId === exceptionId)) throw new Problem('NOT_FOUND');
      const left = before.exceptions.filter((each) => each.exceptionId !== exceptionId);
      return { ...before, exceptions: shownStill(left, now()) };
    }),
  );
  logger.info('image exception removed', { tenantId, principal, exceptionId });
}

/** One exception; NOT_FOUND. Units: those of reading the rules. */
export async function findException(
  { rules, now }: ExceptionDependencies,
  tenantId: string,
  exceptionId: string,
): Promise<ListedException> {
  const { exceptions } = await reached(rulesPart, rules.find(tenantId));
  const at = now();
  const found = shownStill(exceptions, at).find((each) => each.exceptionId === exceptionId);
  if (!found) throw new Problem('NOT_FOUND');
  return listed(found, at);
}

/** A page of exceptions, the latest first. Units: those of reading the rules. Throws INVALID_CURSOR. */
export async function listExceptions(
  { rules, now }: ExceptionDependencies,
  tenantId: string,
  { limit, cursor, vulnerability, state }: ExceptionsQuery,
): Promise<Page<ListedException>> {
  const after = decodeCursor(tenantId, listName, cursor);
  const { exceptions } = await reached(rulesPart, rules.find(tenantId));
  const at = now();
  const wanted = shownStill(exceptions, at)
    .filter((each) => vulnerability === undefined || upper(each.vulnerability) === upper(vulnerability))
    .filter((each) => state === 'all' || isLive(each, at) === (state === 'active'))
    .map((each) => ({ each, place: `${each.createdAt}#${each.exceptionId}` }))
    .filter(({ place }) => after === undefined || place < after)
    .sort((a, b) => (a.place < b.place ? 1 : -1));
  const shown = wanted.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(({ each }) => listed(each, at)),
    ...(wanted.length > limit && last ? { nextCursor: encodeCursor(tenantId, listName, last.place) } : {}),
  };
}

/** An exception as it is stored: with its end as every reader compares times, in UTC. */
export function newException(
  request: ExceptionRequest,
  {
    principal,
    at,
    random,
  }: { readonly principal: string; readonly at: number; readonly random: RandomBytes },
): ImageException {
  return {
    exceptionId: base32(random(10)),
    ...request,
    expiresAt: new Date(request.expiresAt).toISOString(),
    author: principal,
    createdAt: new Date(at).toISOString(),
  };
}

/** Whether it counts at `at` (epoch milliseconds): up to its end, and not with it. */
export const isLive = ({ expiresAt }: ImageException, at: number): boolean => at < Date.parse(expiresAt);

/** Equal for two exceptions that say the same: all members but who made them, and when. */
export const saysOf = ({
  vulnerability,
  package: name,
  scope,
  justification,
  expiresAt,
}: ImageException): string =>
  JSON.stringify([upper(vulnerability), name?.toLowerCase() ?? '', scope, justification, expiresAt]);

/** Without those that have expired long ago: so the list, and what every reader holds of it, stays within its bounds. */
export const shownStill = (exceptions: readonly ImageException[], at: number): readonly ImageException[] =>
  exceptions.filter((each) => isLive(each, at - shownAfterEnd));

const upper = (name: string | undefined): string => (name ?? '').toUpperCase();

const listed = (exception: ImageException, at: number): ListedException => ({
  ...exception,
  state: isLive(exception, at) ? 'active' : 'expired',
  daysLeft: Math.max(0, Math.floor((Date.parse(exception.expiresAt) - at) / day)),
});
