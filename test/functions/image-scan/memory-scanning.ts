import type { Caller } from '../../../core/credential/caller.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import type { Dependencies } from '../../../functions/image-scan/deps.ts';
import { handlers } from '../../../functions/image-scan/routes.ts';
import { caller, member } from '../api-call.ts';
import { MemoryImages } from './memory-images.ts';
import { noUploads } from './no-uploads.ts';

export const now = Date.parse('2026-11-23T12:00:00Z');

/** The function over stores in memory. */
export function scanning() {
  const memory = new MemoryImages();
  const deps: Dependencies = {
    ...memory.stores,
    ...noUploads,
    logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
    random: () => Buffer.alloc(16),
    now: () => now,
  };
  const call = caller('image-scan', handlers(deps));
  const tenantId = newTenantId();
  const post = (
    report: unknown,
    query: Record<string, string> = {},
    { headers = {}, as = member(tenantId) }: { headers?: Record<string, string>; as?: Caller } = {},
  ) =>
    call({
      method: 'POST',
      path: '/v1/scans',
      query,
      headers,
      body: typeof report === 'string' || report instanceof Uint8Array ? report : JSON.stringify(report),
      caller: as,
    });
  const view = async (digest: string) =>
    (
      await call({
        path: `/v1/images/${digest}`,
        resource: '/v1/images/{digest}',
        params: { digest },
        caller: member(tenantId),
      })
    ).json();
  return { post, view, memory, tenantId };
}
