import * as z from 'zod';
import { roles } from '../../core/credential/scope.ts';

/** 1–63 of [a-z0-9-]: what the operator calls a tenant. */
const name = z.string().regex(/^[a-z0-9-]{1,63}$/, 'must be 1 to 63 characters of [a-z0-9-]');
const email = z.email().max(254);
const role = z.enum(roles);
/** `sub` of the user's tokens; principals call them `user:<subject>`. */
const subject = z.string().min(1).max(255);

/** What the operator may ask for; the whole event, and nothing else. */
export const operatorRequest = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('create-tenant'), name, ownerEmail: email }),
  z.strictObject({ action: z.literal('owner-key'), name }),
  z.strictObject({ action: z.literal('invite-member'), name, email, role }),
  z.strictObject({ action: z.literal('set-member-role'), name, subject, role }),
  z
    .strictObject({
      action: z.literal('remove-member'),
      name,
      subject: subject.optional(),
      email: email.optional(),
    })
    .refine((asked) => asked.subject !== undefined || asked.email !== undefined, {
      path: ['subject'],
      message: 'or an email must be given',
    }),
]);
export type OperatorRequest = z.infer<typeof operatorRequest>;

/** A tenant and an API key of its owner, good for a day; the key is shown once. */
export const tenantAnswer = z.object({
  tenantId: z.string(),
  name: z.string(),
  apiKey: z.string(),
  /** End of the API key. */
  expiresAt: z.iso.datetime(),
});
export type TenantAnswer = z.infer<typeof tenantAnswer>;

/** What was done about a member of a tenant. */
export const memberAnswer = z.object({
  tenantId: z.string(),
  name: z.string(),
  subject: z.string().optional(),
  email: z.string().optional(),
  role: role.optional(),
  /** End of the invitation. */
  expiresAt: z.iso.datetime().optional(),
  /** Of a removal: whether there was a membership, and an invitation that nobody had taken up. */
  removed: z.object({ membership: z.boolean(), invitation: z.boolean() }).optional(),
});
export type MemberAnswer = z.infer<typeof memberAnswer>;

export type OperatorAnswer = TenantAnswer | MemberAnswer;
