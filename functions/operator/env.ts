import * as z from 'zod';

/** Environment of this function; lib/ sees only its type, so that a missing variable does not compile there. */
export const environment = z.object({
  TENANT_TABLE: z.string().min(1),
  IDENTITIES_TABLE: z.string().min(1),
  TENANT_ROLE_ARN: z.string().min(1),
  /** Whose subjects the members are. */
  OIDC_ISSUER: z.url(),
});
export type Environment = z.infer<typeof environment>;
