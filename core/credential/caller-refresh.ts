import { Problem } from '../problem/problem.ts';
import { callerOfMembership, callerOfToken } from './bearer-verifier.ts';
import type { Caller } from './caller.ts';
import type { IdentityRepository } from './identity-repository.ts';

/**
 * The caller of a verified credential as they are now. Throws UNAUTHENTICATED when the credential is gone or over,
 * NOT_A_MEMBER when the user has left the tenant; anything else says that it could not be found out.
 */
export type CallerRefresh = (caller: Caller) => Promise<Caller>;

type Options = {
  readonly identities: Pick<IdentityRepository, 'findCredential' | 'findMembership'>;
  /** OIDC issuer of the users. */
  readonly issuer: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
};

/**
 * Asks the table again about somebody who was verified before. A user's token is not looked at: what was begun with it
 * outlives it, as in Kubernetes; the membership is what can be revoked. Units: 1 strongly consistent read.
 */
export function callerRefresh({ identities, issuer, now }: Options): CallerRefresh {
  return async (caller) => {
    const fresh = await find(caller);
    if (fresh.tenantId !== caller.tenantId) throw new Problem('NOT_A_MEMBER');
    return fresh;
  };

  async function find({ kind, principal, credentialHash }: Caller): Promise<Caller> {
    if (kind !== 'user') {
      if (credentialHash === undefined) throw new Problem('UNAUTHENTICATED');
      return callerOfToken({ kind, hash: credentialHash }, identities, now());
    }
    const subject = principal.slice('user:'.length);
    const membership = await identities.findMembership(issuer, subject);
    if (!membership) throw new Problem('NOT_A_MEMBER');
    return callerOfMembership(subject, membership);
  }
}
