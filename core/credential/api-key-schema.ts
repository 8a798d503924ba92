import * as z from 'zod';
import { scopes } from './scope.ts';

const [minute, day] = [60, 86_400];

export const apiKeyId = z
  .string()
  .regex(/^[a-z2-7]{16}$/)
  .meta({ description: '16 of [a-z2-7]; not secret' });

export const apiKeyRequest = z
  .strictObject({
    name: z
      .string()
      .regex(/^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/)
      .meta({
        description: 'for people; two keys may have the same while one replaces the other',
        example: 'ci',
      }),
    scopes: z
      .array(z.enum(scopes))
      .min(1)
      .max(scopes.length)
      .optional()
      .meta({ description: 'of those that the caller has; absent: all of them but api-keys:manage' }),
    ttlSeconds: z
      .int()
      .min(minute)
      .max(366 * day)
      .default(90 * day),
  })
  .meta({ id: 'ApiKeyRequest' });
export type ApiKeyRequest = z.infer<typeof apiKeyRequest>;

export const apiKeyIssued = z
  .object({
    keyId: apiKeyId,
    key: z.string().meta({ description: 'cak_…; shown once' }),
    scopes: z.array(z.string()),
    expiresAt: z.iso.datetime(),
  })
  .meta({ id: 'ApiKeyIssued' });
export type ApiKeyIssued = z.infer<typeof apiKeyIssued>;

export const apiKey = z
  .object({
    keyId: apiKeyId,
    name: z.string(),
    scopes: z.array(z.string()),
    state: z.enum(['active', 'expired']),
    createdAt: z.iso.datetime(),
    createdBy: z.string().meta({ description: 'the principal who made it' }),
    expiresAt: z.iso.datetime(),
    lastUsedOn: z.iso.date().optional().meta({
      description:
        'the last day (UTC) on which it was accepted, here or on the access host; absent: not used, or expired',
      example: '2026-11-23',
    }),
  })
  .meta({ id: 'ApiKey' });
export type ApiKeyView = z.infer<typeof apiKey>;
