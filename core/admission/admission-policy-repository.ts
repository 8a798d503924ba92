import { isDeepStrictEqual } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { GetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import QuickLRU from 'quick-lru';
import { conditionFailed } from '../aws/dynamodb-errors.ts';
import { Problem } from '../problem/problem.ts';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { tenantPartition } from '../tenant/tenant-partition.ts';
import {
  type AdmissionPolicy,
  admissionPolicy,
  type ReadyAdmissionPolicy,
  readyPolicy,
} from './admission-policy.ts';

/**
 * Where a tenant's admission policy lies. A collection of its own: IAM tells partitions apart and sort keys not, so that
 * who writes this can write nothing that verdicts follow, and the other way round.
 */
export const admissionPolicyKey = (tenantId: string) => ({
  pk: tenantPartition(tenantId, 'ADMISSION_POLICY'),
  sk: 'ADMISSION',
});

/** `revision` grows by one with every change; 0: the tenant has set none, the default holds. */
export type KeptAdmissionPolicy = { readonly revision: number; readonly policy: AdmissionPolicy };

type Item = Readonly<Record<string, unknown>>;

/** JSON as text, and as it is stored: every review reads it, at a unit per 4 KB. */
const [maxText, maxStored] = [262_144, 65_536];
/** Compiled policies that are kept, one a tenant. */
const maxTenants = 500;

/**
 * The one admission policy of a tenant, as gzip of its JSON in one item. Units: `read` 1 per 4 KB stored (strongly
 * consistent; some 30 rules are 1 KB), `write` 1 per KB; `ready` none: it is given the item that a batch has read.
 */
export class AdmissionPolicyRepository {
  readonly #access: TenantAccess;
  readonly #table: string;
  readonly #ready = new QuickLRU<string, { revision: number; policy: ReadyAdmissionPolicy }>({
    maxSize: maxTenants,
  });

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /** The policy of an item that somebody has read, with its patterns compiled: once for each revision. */
  ready(tenantId: string, item: Item | undefined): ReadyAdmissionPolicy {
    const revision = revisionOf(item);
    const cached = this.#ready.get(tenantId);
    if (cached?.revision === revision) return cached.policy;
    const { policy } = keptPolicy(item);
    const ready = readyPolicy(policy);
    this.#ready.set(tenantId, { revision, policy: ready });
    return ready;
  }

  async read(tenantId: string): Promise<KeptAdmissionPolicy> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ TableName: this.#table, Key: admissionPolicyKey(tenantId), ConsistentRead: true }),
    );
    return keptPolicy(Item);
  }

  /**
   * Replaces the policy and gives its new revision. `expected`: only if that is its revision; undefined when it is not
   * (a read more).
   * Throws LIMIT_REACHED for a policy that is too large to be read with every review.
   */
  async write(tenantId: string, policy: AdmissionPolicy, expected?: number): Promise<number | undefined> {
    const text = JSON.stringify(policy);
    const stored = gzipSync(text);
    if (text.length > maxText || stored.byteLength > maxStored) {
      throw new Problem('LIMIT_REACHED', 'The admission policy is too large: it is read with every review.');
    }
    const condition =
      expected === undefined
        ? {}
        : { ConditionExpression: expected === 0 ? 'attribute_not_exists(revision)' : 'revision = :expected' };
    try {
      const { Attributes } = await this.#access(tenantId).dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: admissionPolicyKey(tenantId),
          UpdateExpression: 'SET revision = if_not_exists(revision, :none) + :one, #policy = :policy',
          ExpressionAttributeNames: { '#policy': 'policy' },
          ExpressionAttributeValues: {
            ':none': 0,
            ':one': 1,
            ':policy': stored,
            ...(expected === undefined || expected === 0 ? {} : { ':expected': expected }),
          },
          ...condition,
          ReturnValues: 'UPDATED_NEW',
        }),
      );
      return revisionOf(Attributes);
    } catch (error) {
      if (!conditionFailed(error)) throw error;
      // The SDK repeats a write of which the answer was lost: then it is our own change that is in its way.
      const { revision, policy: kept } = await this.read(tenantId);
      return revision === (expected ?? 0) + 1 && isDeepStrictEqual(kept, policy) ? revision : undefined;
    }
  }
}

const revisionOf = (item: Item | undefined): number => Number(item?.revision ?? 0);

/** The policy that an item holds; without one the default. */
export function keptPolicy(item: Item | undefined): KeptAdmissionPolicy {
  const stored = item?.policy;
  if (!(stored instanceof Uint8Array))
    return { revision: revisionOf(item), policy: admissionPolicy.parse({}) };
  const json: unknown = JSON.parse(gunzipSync(stored, { maxOutputLength: 4 * maxText }).toString('utf8'));
  return { revision: revisionOf(item), policy: admissionPolicy.parse(json) };
}
