import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { Caller } from '../../../core/credential/caller.ts';
import type { ImageFinding } from '../../../core/image/image-finding-schema.ts';
import type { ImageView } from '../../../core/image/image-schema.ts';
import type { VerdictChangeView } from '../../../core/image/verdict-change-schema.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import type { Dependencies } from '../../../functions/image-scan/deps.ts';
import { handlers } from '../../../functions/image-scan/routes.ts';
import type { Engine } from '../../engine.ts';
import { type Answered, caller, member } from '../api-call.ts';
import { engineDependencies } from './engine-dependencies.ts';
import { digestOf } from './reports.ts';

export const now = Date.parse('2026-11-23T12:00:00Z');
export const day = 86_400_000;
/** The image that is meant where no other is named. */
export const digest = digestOf('a');

/** The routes of scans and images over an engine, for a tenant of its own, with a clock that a test may set. */
export function scanSetting(engine: Engine, using: Partial<Dependencies> = {}) {
  const clock = { now };
  const deps: Dependencies = { ...engineDependencies(engine), now: () => clock.now, ...using };
  const tenantId = newTenantId();
  const call = caller('image-scan', handlers(deps));
  const as = member(tenantId);
  const ofImage = (
    of: string,
    { part = '', query = {}, who = as }: { part?: string; query?: Record<string, string>; who?: Caller },
  ) =>
    call({
      path: `/v1/images/${of}${part}`,
      resource: `/v1/images/{digest}${part}`,
      params: { digest: of },
      query,
      caller: who,
    });
  return {
    tenantId,
    clock,
    deps,
    call,
    as,
    post: (body: string | Uint8Array, query: Record<string, string> = { digest }, headers = {}) =>
      call({ method: 'POST', path: '/v1/scans', query, body, headers, caller: as }),
    image: (of = digest, who = as) => ofImage(of, { who }),
    findings: (query: Record<string, string> = {}, of = digest) => ofImage(of, { part: '/findings', query }),
    history: (query: Record<string, string> = {}, of = digest) => ofImage(of, { part: '/history', query }),
    list: (query: Record<string, string> = {}, who = as) => call({ path: '/v1/images', query, caller: who }),
    setPolicy: (body: unknown) =>
      call({
        method: 'PUT',
        path: '/v1/image-policy',
        body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json' },
        caller: as,
      }),
    addException: (body: unknown) =>
      call({
        method: 'POST',
        path: '/v1/image-exceptions',
        body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json' },
        caller: as,
      }),
    /** Keys of the tenant's objects. */
    objects: async () => {
      const { Contents = [] } = await engine.s3.send(
        new ListObjectsV2Command({ Bucket: engine.buckets.scan, Prefix: `tenant/${tenantId}/` }),
      );
      return Contents.map(({ Key = '' }) => Key);
    },
  };
}

export const viewOf = (answer: Answered) => answer.json() as unknown as ImageView;
export const findingsOf = (answer: Answered) =>
  answer.json() as { items: ImageFinding[]; nextCursor?: string };
export const changesOf = (answer: Answered) =>
  (answer.json() as { items: VerdictChangeView[] }).items.map(({ from, to, cause, at, scanner }) => ({
    ...(from === undefined ? {} : { from }),
    to,
    cause,
    at,
    scanner,
  }));

/** Every item of a page after page. */
export async function allPages<Item>(
  ask: (query: Record<string, string>) => Promise<Answered>,
  query: Record<string, string>,
): Promise<Item[]> {
  const items: Item[] = [];
  let cursor: string | undefined;
  do {
    const page = (await ask({ ...query, ...(cursor === undefined ? {} : { cursor }) })).json() as {
      items: Item[];
      nextCursor?: string;
    };
    items.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return items;
}

/** A small Grype report: a finding for each score. */
export const grypeReport = (scores: readonly number[], timestamp: string): string =>
  JSON.stringify({
    matches: scores.map((baseScore, at) => ({
      vulnerability: {
        id: `CVE-G-${at}`,
        severity: 'High',
        cvss: [{ version: '3.1', metrics: { baseScore } }],
      },
      artifact: { name: 'a', version: '1', locations: [{ path: '/a' }] },
    })),
    source: { type: 'image', target: { userInput: 'registry.example/shop/web:2' } },
    descriptor: { name: 'grype', version: '0.96.0', timestamp },
  });
