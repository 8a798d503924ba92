import type { RouteHandlers } from '../../../core/api/api-function.ts';
import type { Caller } from '../../../core/credential/caller.ts';
import { ImageRulesRepository } from '../../../core/image/image-rules-repository.ts';
import { newTenantId, type RandomBytes } from '../../../core/tenant/identifier.ts';
import { ruleHandlers } from '../../../functions/image-scan/rule-routes.ts';
import type { Engine } from '../../engine.ts';
import { caller, member } from '../api-call.ts';

export const now = Date.parse('2026-11-23T12:00:00Z');
export const day = 86_400_000;
export const inDays = (days: number) => new Date(now + days * day).toISOString();

/** The routes of policy and exceptions, for a tenant of its own, with a clock that a test may set. */
export function ruleSetting(engine: Engine, random: RandomBytes) {
  const rules = new ImageRulesRepository(engine.access, engine.tables.tenant);
  const clock = { now };
  const told: { message: string; extra: unknown }[] = [];
  const logger = { info: (message: string, extra: unknown) => void told.push({ message, extra }) };
  const handlers = ruleHandlers({ rules, logger: logger as never, now: () => clock.now, random });
  // The other routes of this function are not called here.
  const call = caller('image-scan', handlers as RouteHandlers<'image-scan'>);
  const tenantId = newTenantId();
  const owner = member(tenantId);
  const json = { 'Content-Type': 'application/json' };
  const exceptions = '/v1/image-exceptions';
  const one = (method: string, exceptionId: string, as: Caller) =>
    call({
      method,
      path: `${exceptions}/${exceptionId}`,
      resource: `${exceptions}/{exceptionId}`,
      params: { exceptionId },
      caller: as,
    });
  return {
    call,
    rules,
    clock,
    told,
    tenantId,
    add: (body: object, as = owner) =>
      call({ method: 'POST', path: exceptions, body: JSON.stringify(body), headers: json, caller: as }),
    list: (query: Record<string, string> = {}, as = owner) => call({ path: exceptions, query, caller: as }),
    find: (exceptionId: string, as = owner) => one('GET', exceptionId, as),
    remove: (exceptionId: string, as = owner) => one('DELETE', exceptionId, as),
    importCsv: (
      body: string | Uint8Array,
      query: Record<string, string> = {},
      headers: Record<string, string> = { 'Content-Type': 'text/csv' },
      as = owner,
    ) => call({ method: 'POST', path: `${exceptions}/imports`, query, body, headers, caller: as }),
    policy: (as = owner) => call({ path: '/v1/image-policy', caller: as }),
    setPolicy: (body: unknown, as = owner, headers: Record<string, string> = {}) =>
      call({
        method: 'PUT',
        path: '/v1/image-policy',
        body: JSON.stringify(body),
        headers: { ...json, ...headers },
        caller: as,
      }),
  };
}
