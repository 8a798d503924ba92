import { createHash } from 'node:crypto';
import { Logger } from '@aws-lambda-powertools/logger';
import { ScanCommand } from '@aws-sdk/lib-dynamodb';
import type { Caller } from '../../../core/credential/caller.ts';
import type { Registered } from '../../../core/cluster/cluster-schema.ts';
import { bearerVerifier } from '../../../core/credential/bearer-verifier.ts';
import { tokenFromBytes } from '../../../core/credential/token.ts';
import { type RandomBytes } from '../../../core/tenant/identifier.ts';
import { type Dependencies, stores } from '../../../functions/registration/deps.ts';
import { handlers } from '../../../functions/registration/routes.ts';
import { type SoftwareSigner, softwareSigner } from '../../core/certificate/software-signer.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { type Answered, type Call, caller as callerOf, member } from '../api-call.ts';
import { ecPair, makeRequest, type Pair } from './certificate-requests.ts';

export const tenantA = 't-aaaaaaaaaaaaaaaaaaaa';
export const tenantB = 't-bbbbbbbbbbbbbbbbbbbb';
/** 2026-11-23T08:00:00.123Z, epoch milliseconds. */
export const start = Date.UTC(2026, 10, 23, 8, 0, 0, 123);

export const facts = {
  kubernetesVersion: 'v1.33.2',
  calicoVersion: 'v3.32.1',
  distribution: 'kubeadm',
  nodeCount: 3,
};
export const trust = {
  trustBundle: `${'hint\n'.repeat(100)}${'root\n'.repeat(200)}`,
  roots: 'root\n'.repeat(200),
  hintName: 'tunnel.example',
  clusterCa: 'ca\n',
};

/** What a Lambda's logger was told. */
export class Told extends Logger {
  readonly lines: { level: string; message: unknown; extra: unknown }[] = [];
  override warn(...[message, extra]: Parameters<Logger['warn']>): void {
    this.lines.push({ level: 'warn', message, extra });
  }
  override info(...[message, extra]: Parameters<Logger['info']>): void {
    this.lines.push({ level: 'info', message, extra });
  }
}

/** The same bytes in the same order in every setting. */
function fixedRandom(seed: string): RandomBytes {
  let count = 0;
  return (size) => {
    count += 1;
    return createHash('sha512').update(`${seed} ${count}`).digest().subarray(0, size);
  };
}

/** functions/registration on engines of its own, with a clock that tests move. */
export type Setting = {
  readonly engine: Engine;
  readonly deps: Dependencies;
  readonly signer: SoftwareSigner;
  readonly told: Told;
  readonly clock: { now: number };
  readonly call: (call: Call) => Promise<Answered>;
  /** Makes a token as the tenant's owner; its caller as the authorizer would name it. */
  readonly newToken: (options?: {
    tenantId?: string;
    clusterName?: string;
    ttlSeconds?: number;
  }) => Promise<{ tokenId: string; caller: Caller; text: string }>;
  readonly register: (caller: Caller, clusterName: string, pair: Pair, more?: object) => Promise<Answered>;
  /** Makes a token and registers a cluster with it. */
  readonly connect: (
    clusterName: string,
    tenantId?: string,
    pair?: Pair,
  ) => Promise<Registered & { tokenId: string }>;
  /** Every item of the three tables, in the order of their keys. */
  readonly dump: () => Promise<Record<string, Record<string, unknown>[]>>;
};

export async function startSetting({ withTrust = true, seed = 'seed' } = {}): Promise<Setting> {
  const engine = await startEngine();
  const clock = { now: start };
  const signer = softwareSigner();
  const told = new Told({ serviceName: 'test', logLevel: 'SILENT' });
  const deps: Dependencies = {
    ...stores(engine.dynamo, engine.access, engine.tables),
    signer,
    clusterTokens: (clusterId) =>
      Promise.resolve(tokenFromBytes('cluster', createHash('sha256').update(clusterId).digest())),
    trustDomain: 'cattery.test',
    tunnelAddress: 'tunnel.example:9000',
    logger: told,
    now: () => clock.now,
    random: fixedRandom(seed),
    wait: (ms) => {
      clock.now += ms;
      return Promise.resolve();
    },
  };
  if (withTrust) await deps.trust.write(trust);
  const call = callerOf('registration', handlers(deps));
  const verify = bearerVerifier({
    identities: deps.identities,
    issuer: 'https://issuer.example',
    audience: 'cattery',
    bindInvitations: false,
    now: deps.now,
  });

  const newToken: Setting['newToken'] = async ({ tenantId = tenantA, ...body } = {}) => {
    const answer = await call({
      method: 'POST',
      path: '/v1/registration-tokens',
      body: JSON.stringify(body),
      caller: member(tenantId),
    });
    if (answer.status !== 201) throw new Error(answer.text);
    const { tokenId, token } = answer.json() as { tokenId: string; token: string };
    return { tokenId, caller: await verify(token), text: token };
  };
  const register: Setting['register'] = (caller, clusterName, pair, more = {}) =>
    call({
      method: 'POST',
      path: '/v1/registrations',
      body: JSON.stringify({ clusterName, csr: makeRequest(pair), cluster: facts, ...more }),
      caller,
    });
  return {
    engine,
    deps,
    signer,
    told,
    clock,
    call,
    newToken,
    register,
    connect: async (clusterName, tenantId = tenantA, pair = ecPair()) => {
      const { tokenId, caller } = await newToken({ tenantId });
      const answer = await register(caller, clusterName, pair);
      if (answer.status !== 201) throw new Error(answer.text);
      return { ...(answer.json() as Registered), tokenId };
    },
    dump: async () => {
      const tables: Record<string, Record<string, unknown>[]> = {};
      for (const [name, TableName] of Object.entries(engine.tables)) {
        const items: Record<string, unknown>[] = [];
        let ExclusiveStartKey: Record<string, unknown> | undefined;
        do {
          const page = await engine.dynamo.send(
            new ScanCommand({ TableName, ...(ExclusiveStartKey ? { ExclusiveStartKey } : {}) }),
          );
          items.push(...(page.Items ?? []));
          ExclusiveStartKey = page.LastEvaluatedKey;
        } while (ExclusiveStartKey);
        const key = ({ pk, sk }: Record<string, unknown>) => `${String(pk)} ${String(sk)}`;
        tables[name] = items.sort((a, b) => key(a).localeCompare(key(b)));
      }
      return tables;
    },
  };
}
