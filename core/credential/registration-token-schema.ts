import * as z from 'zod';
import { clusterNamePattern } from '../cluster/cluster-schema.ts';

export const registrationTokenRequest = z
  .strictObject({
    clusterName: z
      .string()
      .regex(clusterNamePattern)
      .optional()
      .meta({ description: 'binds the token to this name' }),
    ttlSeconds: z.int().min(60).max(86_400).default(3_600),
  })
  .meta({ id: 'RegistrationTokenRequest' });

export const registrationTokenIssued = z
  .object({
    tokenId: z.string(),
    token: z.string().meta({ description: 'crt_…; shown once' }),
    expiresAt: z.iso.datetime(),
  })
  .meta({ id: 'RegistrationTokenIssued' });

export const registrationToken = z
  .object({
    tokenId: z.string(),
    clusterName: z.string().optional(),
    state: z.enum(['unused', 'spent', 'expired']),
    createdAt: z.iso.datetime(),
    createdBy: z.string(),
    expiresAt: z.iso.datetime(),
    clusterId: z.string().optional().meta({ description: 'the cluster that was registered with it' }),
    refusedUses: z.int().meta({ description: 'attempts to use the spent token with another key' }),
  })
  .meta({ id: 'RegistrationToken' });
export type RegistrationTokenView = z.infer<typeof registrationToken>;

export const me = z
  .object({ tenantId: z.string(), principal: z.string(), scopes: z.array(z.string()) })
  .meta({ id: 'Me' });
