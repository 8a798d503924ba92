import type { KeptAdmissionPolicy } from '../../../core/admission/admission-policy-repository.ts';
import {
  type AdmissionPolicy,
  admissionPolicy,
  readyPolicy,
} from '../../../core/admission/admission-policy.ts';
import { aliasOf, readReference } from '../../../core/admission/image-reference.ts';
import type { Caller } from '../../../core/credential/caller.ts';
import { imagePolicy } from '../../../core/image/image-policy-schema.ts';
import { readyRules, type TenantRules } from '../../../core/image/image-rules.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import type { Dependencies } from '../../../functions/admission/deps.ts';
import { handlers } from '../../../functions/admission/routes.ts';
import { caller, member } from '../api-call.ts';
import { type Looked, now } from './scanned.ts';

const json = { 'Content-Type': 'application/json' };

export const alias = (text: string): string => {
  const reference = readReference(text);
  if ('fault' in reference) throw new Error(reference.fault);
  return aliasOf(reference);
};

type Given = {
  /** By the reference that a pod names them by. */
  readonly images?: Readonly<Record<string, readonly Looked[]>>;
  readonly imagePolicy?: object;
  readonly rules?: Partial<TenantRules>;
  readonly admissionPolicy?: object;
  readonly over?: Partial<Dependencies>;
};

const notHere = (): never => {
  throw new Error('this is no matter of reviews and policies');
};

/** The function before stand-ins of its tables, and what they were asked. */
export function site({ images = {}, rules = {}, over = {}, ...given }: Given = {}) {
  const known = new Map(Object.entries(images).map(([name, value]) => [alias(name), value]));
  const ready = readyRules({
    revision: 1,
    policy: imagePolicy.parse(given.imagePolicy ?? {}),
    exceptions: [],
    statements: [],
    ...rules,
  });
  const lookups: (readonly string[])[] = [];
  const logged: unknown[] = [];
  const state: { kept: KeptAdmissionPolicy } = {
    kept: { revision: 1, policy: admissionPolicy.parse(given.admissionPolicy ?? {}) },
  };
  const deps: Dependencies = {
    lookups: {
      find: (_tenantId, aliases) => {
        lookups.push(aliases);
        const found = aliases.flatMap((each): [string, readonly Looked[]][] => {
          const value = known.get(each);
          return value ? [[each, value]] : [];
        });
        return Promise.resolve({ images: new Map(found), rules: undefined, admission: undefined });
      },
    },
    rules: { ready: () => Promise.resolve(ready) },
    policies: {
      ready: () => readyPolicy(state.kept.policy),
      read: () => Promise.resolve(state.kept),
      write: (_tenantId: string, policy: AdmissionPolicy, expected?: number) => {
        const { revision } = state.kept;
        if (expected !== undefined && expected !== revision) return Promise.resolve(undefined);
        state.kept = { revision: revision + 1, policy };
        return Promise.resolve(revision + 1);
      },
    },
    states: { read: notHere },
    changes: { newest: notHere, since: notHere },
    images: { list: notHere, findMany: notHere },
    bundleSigner: { key: notHere, sign: notHere },
    apiUrl: 'https://api.example',
    logger: {
      info: (...line: unknown[]) => {
        logged.push(line);
      },
    },
    now: () => now,
    ...over,
  };
  const as = member(newTenantId());
  const call = caller('admission', handlers(deps));
  const send = (
    method: string,
    path: string,
    body: unknown,
    {
      query = {},
      headers = json,
      who = as,
    }: { query?: Record<string, string>; headers?: Record<string, string>; who?: Caller } = {},
  ) =>
    call({
      method,
      path,
      query,
      headers,
      caller: who,
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  return {
    deps,
    state,
    lookups,
    logged,
    tenantId: as.tenantId,
    send,
    review: (body: unknown, options: Parameters<typeof send>[3] = {}) =>
      send('POST', '/v1/admission-reviews', body, options),
  };
}
