import * as z from 'zod';

/** 1–63 of [a-z0-9-]: what the operator calls a tenant. */
const name = z.string().regex(/^[a-z0-9-]{1,63}$/, 'must be 1 to 63 characters of [a-z0-9-]');

/** What the operator may ask for; the whole event, and nothing else. */
export const operatorRequest = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('create-tenant'), name, ownerEmail: z.email().max(254) }),
  z.strictObject({ action: z.literal('owner-key'), name }),
]);
export type OperatorRequest = z.infer<typeof operatorRequest>;

/** A tenant and an API key of its owner, good for a day; the key is shown once. */
export const operatorAnswer = z.object({
  tenantId: z.string(),
  name: z.string(),
  apiKey: z.string(),
  /** End of the API key. */
  expiresAt: z.iso.datetime(),
});
export type OperatorAnswer = z.infer<typeof operatorAnswer>;
