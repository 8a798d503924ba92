import * as z from 'zod';

/** Environment of this function; lib/ sees only its type, so that a missing variable does not compile there. */
export const environment = z.object({
  TENANT_TABLE: z.string().min(1),
  DIRECTORY_TABLE: z.string().min(1),
  TENANT_ROLE_ARN: z.string().min(1),
  /** Bucket with the mirrored manifests (core/release/manifest-repository.ts). */
  ASSETS_BUCKET: z.string().min(1),
  /** The key that signs bundles of verdicts: its public part goes into the webhook's manifest. */
  BUNDLE_KEY_ID: z.string().min(1),
  API_URL: z.url(),
  ACCESS_URL: z.url(),
  OIDC_ISSUER: z.url(),
  OIDC_AUDIENCE: z.string().min(1),
  TUNNEL_ADDRESS: z.string().min(1),
  /** Who verifies the access host: the system's roots (ACM) or the deployment's own. */
  ACCESS_TRUST: z.enum(['system', 'deployment']),
});
export type Environment = z.infer<typeof environment>;
