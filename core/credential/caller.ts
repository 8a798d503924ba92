import type { Role, Scope } from './scope.ts';

/** Who calls, as verified by the authorizer (or, on the access side, by the tunnel server). */
export type Caller = {
  readonly kind: 'user' | 'api-key' | 'registration-token' | 'cluster';
  readonly tenantId: string;
  /** `user:<subject>`, `api-key:<id>`, `registration-token:<id>` or `cluster:<clusterId>`; for logs and records. */
  readonly principal: string;
  readonly scopes: ReadonlySet<Scope>;
  /** Of a member, as the membership states them; not part of the authorizer's context: routes ask for scopes. */
  readonly roles?: readonly Role[];
  /** The cluster that a cluster token is bound to. */
  readonly clusterId?: string;
  /** The SHA-256 of the presented token; a registration uses it to find its token's record. */
  readonly credentialHash?: string;
};
