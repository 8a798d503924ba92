import * as z from 'zod';

/** Environment of this function; lib/ sees only its type, so that a missing variable does not compile there. */
export const environment = z.object({
  TENANT_TABLE: z.string().min(1),
  DIRECTORY_TABLE: z.string().min(1),
  IDENTITIES_TABLE: z.string().min(1),
  TENANT_ROLE_ARN: z.string().min(1),
  /** KMS key that signs the clusters' certificates, ECC_NIST_P256. */
  CA_KEY_ID: z.string().min(1),
  /** KMS key that derives cluster tokens, HMAC_256. */
  TOKEN_KEY_ID: z.string().min(1),
  TRUST_DOMAIN: z.string().min(1),
  /** host:port that Guardian dials. */
  TUNNEL_ADDRESS: z.string().min(1),
});
export type Environment = z.infer<typeof environment>;
