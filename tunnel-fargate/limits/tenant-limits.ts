import * as z from 'zod';

/** What one tenant may take of one task (docs/limits.md). */
export const tenantLimits = z.strictObject({
  /** Clusters with a tunnel. */
  tunnels: z.int().min(1),
  /** Requests of users under way, watches and upgraded streams included. */
  concurrentRequests: z.int().min(1),
  /** New requests of users. */
  requestsPerSecond: z.number().min(1),
  requestBurst: z.int().min(1),
  /** Bytes of requests' and answers' bodies, both ways together; over it, new requests wait, running ones go on. */
  bytesPerSecond: z.number().min(1),
  byteBurst: z.int().min(1),
  /** Streams that all clusters of the tenant have opened to us, at once and new ones. */
  clusterStreams: z.int().min(1),
  clusterStreamsPerSecond: z.number().min(1),
  clusterStreamBurst: z.int().min(1),
});
export type TenantLimits = z.infer<typeof tenantLimits>;

export const defaultTenantLimits: TenantLimits = {
  tunnels: 500,
  concurrentRequests: 1_000,
  requestsPerSecond: 200,
  requestBurst: 400,
  bytesPerSecond: 64 * 1024 * 1024,
  byteBurst: 512 * 1024 * 1024,
  clusterStreams: 4_000,
  clusterStreamsPerSecond: 200,
  clusterStreamBurst: 1_000,
};

/** Debts of bytes beyond so many seconds' worth are forgiven: the limit slows a tenant down, it does not lock it out. */
export const maxDebtSeconds = 30;

/** The variable that changes some of the defaults: a JSON object of members of {@link tenantLimits}. */
export const tenantLimitsText = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({ code: 'custom', message: 'is not JSON' });
      return z.NEVER;
    }
  })
  .pipe(tenantLimits.partial())
  .transform((changed): TenantLimits => ({ ...defaultTenantLimits, ...definedOf(changed) }));

const definedOf = <Value extends object>(value: Value) =>
  Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as {
    [Name in keyof Value]: Exclude<Value[Name], undefined>;
  };
