import * as z from 'zod';

/** Environment of this function; lib/ sees only its type, so that a missing variable does not compile there. */
export const environment = z.object({
  IDENTITIES_TABLE: z.string().min(1),
  OIDC_ISSUER: z.url(),
  OIDC_AUDIENCE: z.string().min(1),
});
export type Environment = z.infer<typeof environment>;
