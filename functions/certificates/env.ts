import * as z from 'zod';

/** Environment of this function; lib/ sees only its type, so that a missing variable does not compile there. */
export const environment = z.object({
  DIRECTORY_TABLE: z.string().min(1),
  /** Secret with the roots' and the hint's material; nobody else reads it. */
  ROOTS_SECRET_ID: z.string().min(1),
  /** Secret that the tunnel server reads. */
  TUNNEL_SECRET_ID: z.string().min(1),
  CA_KEY_ID: z.string().min(1),
  /** URL whose host the access certificate is for. */
  ACCESS_URL: z.url(),
  TRUST_DOMAIN: z.string().min(1),
});
export type Environment = z.infer<typeof environment>;
