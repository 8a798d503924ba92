import type { BearerVerifier } from '../../core/credential/bearer-verifier.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { hashToken } from '../../core/credential/token.ts';
import { Problem } from '../../core/problem/problem.ts';
import { ShortLivedCache } from './short-lived-cache.ts';

/** Turns a request's Authorization headers into the verified caller. */
export type Authentication = (authorization: readonly string[]) => Promise<Caller>;

const pattern = /^Bearer +([\x21-\x7e]{1,16384})$/i;

/**
 * Verifies `Authorization: Bearer …`; good answers hold for `ttlMs` (design.md 3: at most 5 s), by the hash of the text.
 * The caller's promise rejects with Problem UNAUTHENTICATED, NOT_A_MEMBER, or UNAVAILABLE when a part we need fails.
 */
export function authentication(
  verify: BearerVerifier,
  { ttlMs, now }: { ttlMs: number; now: () => number },
): Authentication {
  const callers = new ShortLivedCache<Caller>({ ttlMs, maxSize: 5_000, now });
  return async ([header = '', ...more]) => {
    const bearer = more.length > 0 ? undefined : pattern.exec(header)?.[1];
    if (bearer === undefined) throw unauthenticated();
    try {
      return await callers.get(hashToken(bearer), () => verify(bearer));
    } catch (error) {
      if (!(error instanceof Problem)) throw new Problem('UNAVAILABLE', undefined, { cause: error });
      throw error.code === 'UNAUTHENTICATED' ? unauthenticated(error) : error;
    }
  };
}

/** RFC 6750 §3: the answer names the scheme. */
const unauthenticated = (cause?: unknown): Problem =>
  new Problem('UNAUTHENTICATED', undefined, { headers: { 'WWW-Authenticate': 'Bearer' }, cause });
