import * as z from 'zod';

export type TenantOwner = { readonly name: string; readonly ownerEmail: string };

export const demoOwner: TenantOwner = { name: 'demo', ownerEmail: 'owner@demo.example' };

const created = z.object({ tenantId: z.string(), apiKey: z.string() });

/** Makes the tenant, or finds it, and gets a fresh one-day API key of its owner. `invoke` calls the operator function. */
export async function ensureTenant(
  invoke: (event: unknown) => Promise<unknown>,
  { name, ownerEmail }: TenantOwner,
): Promise<{ tenantId: string; adminToken: string }> {
  const { tenantId, apiKey } = created.parse(await invoke({ action: 'create-tenant', name, ownerEmail }));
  return { tenantId, adminToken: apiKey };
}
