import * as z from 'zod';

/** Environment of the container; lib/ sees only its type, so that a missing variable does not compile there. */
export const environment = z.object({
  TENANT_TABLE: z.string().min(1),
  DIRECTORY_TABLE: z.string().min(1),
  IDENTITIES_TABLE: z.string().min(1),
  TENANT_ROLE_ARN: z.string().min(1),
  LOG_BUCKET: z.string().min(1),
  TUNNEL_SECRET_ID: z.string().min(1),
  OIDC_ISSUER: z.url(),
  OIDC_AUDIENCE: z.string().min(1),
  ACCESS_URL: z.url(),
  LISTEN_ADDRESS: z.string().min(1),
  TUNNEL_PORT: z.coerce.number().int(),
  ACCESS_PORT: z.coerce.number().int(),
  /** Plain HTTP for the load balancer's health checks: /live and /ready. */
  HEALTH_PORT: z.coerce.number().int(),
  /** Plain HTTP for a collector beside the container: /metrics. No load balancer leads here, and no group lets anyone in. */
  METRICS_PORT: z.coerce.number().int(),
  /** Limits per tenant other than the usual ones: a JSON object, see limits/tenant-limits.ts. */
  TENANT_LIMITS: z.string().optional(),
});
export type Environment = z.infer<typeof environment>;
