import * as z from 'zod';

/** Environment of this function; lib/ sees only its type, so that a missing variable does not compile there. */
export const environment = z.object({
  TENANT_TABLE: z.string().min(1),
  TENANT_ROLE_ARN: z.string().min(1),
  API_URL: z.url(),
  BUNDLE_KEY_ID: z.string().min(1),
});
export type Environment = z.infer<typeof environment>;
