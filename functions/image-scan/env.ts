import * as z from 'zod';

/** Environment of this function; lib/ sees only its type, so that a missing variable does not compile there. */
export const environment = z.object({
  TENANT_TABLE: z.string().min(1),
  TENANT_ROLE_ARN: z.string().min(1),
  SCAN_BUCKET: z.string().min(1),
  /** How long images, their findings and their history are kept after the last report: as long as the reports are. */
  SCAN_RETENTION_DAYS: z.string().regex(/^[1-9]\d{0,4}$/),
});
export type Environment = z.infer<typeof environment>;
