import { randomBytes } from 'node:crypto';
import { DeleteCommand, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import { ifHolds } from '../aws/dynamodb-errors.ts';
import { Problem } from '../problem/problem.ts';
import { base32 } from '../tenant/identifier.ts';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { tenantPartition } from '../tenant/tenant-partition.ts';
import type { ImageException, StoredStatement } from './exception-schema.ts';
import { defaultImagePolicy, type ImagePolicy, imagePolicy } from './image-policy-schema.ts';
import { type ImageRules, readyRules, type TenantRules } from './image-rules.ts';
import { RulesCache } from './rules-cache.ts';
import {
  decodedDocument,
  decodedPolicy,
  encodedDocument,
  encodedPolicy,
  type RuleDocument,
} from './rules-document.ts';

/** How often a change is made anew on what another one has just stored. */
const maxRetries = 3;
/** Changes that the item names: more than others make while the SDK repeats a write. */
const maxChanges = 8;
/** How often a reader looks again whose documents have been replaced, and deleted, under it. */
const maxLooks = 5;

type Item = Readonly<Record<string, unknown>>;
const kinds = ['exceptions', 'statements'] as const satisfies readonly RuleDocument[];

const rulesItem = 'RULES';
/** An earlier build kept the two thresholds of the policy here, and there was nothing else. */
const thresholdsItem = 'POLICY';

/** Where a tenant's rules lie: the policy itself, and which documents hold the exceptions and statements. */
export const rulesKey = (tenantId: string) => keyOf(tenantId, rulesItem);
const keyOf = (tenantId: string, sk: string) => ({ pk: tenantPartition(tenantId, 'IMAGE_POLICY'), sk });

/** The rules with the sort keys of the documents that hold them. */
export type KnownRules = {
  readonly rules: TenantRules;
  readonly documents: Readonly<Partial<Record<RuleDocument, string>>>;
  /** Documents that the last change replaced: the next one deletes them. */
  readonly replaced: readonly string[];
  /** The changes that made this revision and some before it, the latest first. */
  readonly changes: readonly string[];
};

/**
 * What verdicts follow beside the images: policy, exceptions and VEX statements of a tenant. The item RULES holds the
 * policy and names two immutable documents with the others. A change writes new documents and then that item, on
 * condition that nobody has changed it: whatever stops it, the old rules hold whole, or the new ones do. (A process that
 * dies between the two leaves a document that nothing names.) What is kept in memory is kept by revision, and the item is
 * read strongly consistent, so that no verdict follows rules that are no more.
 *
 * Units. `ready`, `find`: 1 read per 4 KB of RULES (none where the item is passed in; with a policy of a few members it is
 * less than 1 KB), and on a revision that this process has not seen half a read per 4 KB of each document that is new to
 * it (100 exceptions: some 4 KB). `change`: that, and a write per KB of RULES, of each document that is written, and of
 * each that the change before it replaced.
 */
export class ImageRulesRepository {
  readonly #access: TenantAccess;
  readonly #table: string;
  readonly #cache = new RulesCache();
  /** Compiled when they are first judged by. */
  readonly #ready = new WeakMap<TenantRules, ImageRules>();

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /** The rules ready to judge by. `read`: the item RULES, or that there is none, as somebody has just read it. */
  async ready(tenantId: string, read?: { readonly item: Item | undefined }): Promise<ImageRules> {
    const known = await this.#known(tenantId, read ?? { item: await this.#item(tenantId, rulesItem) });
    const ready = this.#ready.get(known.rules) ?? readyRules(known.rules);
    this.#ready.set(known.rules, ready);
    return ready;
  }

  /** The rules as they are stored; the default policy and nothing else until the tenant sets something. */
  async find(tenantId: string): Promise<TenantRules> {
    return (await this.#known(tenantId, { item: await this.#item(tenantId, rulesItem) })).rules;
  }

  /**
   * Replaces the rules by what `change` makes of them, and gives them as stored. Parts that are the very same object as
   * before are not written. `change` is asked again when another change was quicker: it must not have effects of its own.
   * Throws CONFLICT after three such times, LIMIT_REACHED, and whatever `change` throws.
   */
  async change(tenantId: string, change: (rules: TenantRules) => TenantRules): Promise<TenantRules> {
    for (let attempt = 0; attempt <= maxRetries; attempt += 1) {
      const before = await this.#known(tenantId, { item: await this.#item(tenantId, rulesItem) });
      const after = change(before.rules);
      const isSame =
        after.policy === before.rules.policy && kinds.every((kind) => after[kind] === before.rules[kind]);
      if (isSame) return before.rules;
      const stored = await this.#replace(tenantId, before, after);
      if (stored) return stored;
    }
    throw new Problem('CONFLICT', 'Others are changing the rules for images, too: try again.');
  }

  async #replace(tenantId: string, before: KnownRules, after: TenantRules): Promise<TenantRules | undefined> {
    const policy = encodedPolicy(after.policy);
    const change = base32(randomBytes(10));
    const written = kinds
      .filter((kind) => after[kind] !== before.rules[kind])
      .map((kind) => ({
        kind,
        sk: `DOCUMENT#${kind}#${change}`,
        content: encodedDocument(kind, after[kind]),
      }));

    // First: should this stop half-way, they are still named by the item, and the next change deletes them.
    await this.#delete(tenantId, before.replaced);
    await Promise.all(written.map(({ sk, content }) => this.#put(tenantId, sk, content)));

    const documents = {
      ...before.documents,
      ...Object.fromEntries(written.map(({ kind, sk }) => [kind, sk])),
    };
    const replaced = written.flatMap(({ kind }) => before.documents[kind] ?? []);
    const revision = before.rules.revision + 1;
    const changes = [change, ...before.changes].slice(0, maxChanges);
    const item = { ...rulesKey(tenantId), revision, policy, ...documents, replaced, changes };
    const isFirst = before.rules.revision === 0;
    const isStored = await ifHolds(
      this.#access(tenantId).dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: item,
          ConditionExpression: isFirst ? 'attribute_not_exists(pk)' : 'revision = :before',
          ...(isFirst ? {} : { ExpressionAttributeValues: { ':before': before.rules.revision } }),
        }),
      ),
    );
    const rules = { ...after, revision };
    if (isStored) {
      this.#cache.keep(tenantId, { rules, documents, replaced, changes });
      return rules;
    }
    const now = await this.#item(tenantId, rulesItem);
    // The SDK repeats a write of which the answer was lost: then it is our own change that was in its way.
    if (changesOf(now).includes(change)) return rules;
    // Nobody will ever point at these: the revision that they were for has been another's.
    const unused = written.filter(({ kind, sk }) => now?.[kind] !== sk);
    await this.#delete(
      tenantId,
      unused.map(({ sk }) => sk),
    );
    return undefined;
  }

  /** The rules of an item: from memory if its revision is there. */
  async #known(tenantId: string, read: { readonly item: Item | undefined }): Promise<KnownRules> {
    let { item } = read;
    for (let look = 0; look < maxLooks; look += 1) {
      const cached = this.#cache.get(tenantId);
      const isKnown = cached?.rules.revision === revisionOf(item) && cached.changes[0] === changesOf(item)[0];
      if (isKnown) return cached;
      const loaded = await this.#load(tenantId, item, cached);
      if (loaded) {
        this.#cache.keep(tenantId, loaded);
        return loaded;
      }
      item = await this.#item(tenantId, rulesItem);
    }
    throw new Error('The image rules change faster than they can be read');
  }

  /** Undefined: a document is gone, as the rules have been changed twice since the item was read. */
  async #load(
    tenantId: string,
    item: Item | undefined,
    cached: KnownRules | undefined,
  ): Promise<KnownRules | undefined> {
    const part = async <Kept>(kind: RuleDocument, kept: readonly Kept[] | undefined) => {
      const sk = item?.[kind];
      if (typeof sk !== 'string') return [];
      return kept !== undefined && cached?.documents[kind] === sk ? kept : this.#document<Kept>(tenantId, sk);
    };
    const [policy, exceptions, statements] = await Promise.all([
      item ? decodedPolicy(item.policy) : this.#thresholds(tenantId),
      part<ImageException>('exceptions', cached?.rules.exceptions),
      part<StoredStatement>('statements', cached?.rules.statements),
    ]);
    if (!exceptions || !statements) return undefined;
    const documents = Object.fromEntries(
      kinds.flatMap((kind) => (typeof item?.[kind] === 'string' ? [[kind, item[kind]]] : [])),
    );
    return {
      rules: { revision: revisionOf(item), policy, exceptions, statements },
      documents,
      replaced: (item?.replaced ?? []) as readonly string[],
      changes: changesOf(item),
    };
  }

  /** The policy of a tenant who has set one with an earlier build and nothing since; else the default. */
  async #thresholds(tenantId: string): Promise<ImagePolicy> {
    const item = await this.#item(tenantId, thresholdsItem);
    if (!item) return defaultImagePolicy;
    return imagePolicy.parse({ warnAt: Number(item.warnAt), failAt: Number(item.failAt) });
  }

  async #document<Kept>(tenantId: string, sk: string): Promise<readonly Kept[] | undefined> {
    // A document never changes, so that a cheap read is as good as any, unless it comes too early.
    const item = (await this.#item(tenantId, sk, false)) ?? (await this.#item(tenantId, sk));
    if (!item) return undefined;
    return decodedDocument(item.content) as Kept[];
  }

  async #item(tenantId: string, sk: string, ConsistentRead = true): Promise<Item | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ TableName: this.#table, Key: keyOf(tenantId, sk), ConsistentRead }),
    );
    return Item;
  }

  async #put(tenantId: string, sk: string, content: Uint8Array): Promise<void> {
    await this.#access(tenantId).dynamo.send(
      new PutCommand({ TableName: this.#table, Item: { ...keyOf(tenantId, sk), content } }),
    );
  }

  async #delete(tenantId: string, documents: readonly string[]): Promise<void> {
    await Promise.all(
      documents.map((sk) =>
        this.#access(tenantId).dynamo.send(
          new DeleteCommand({ TableName: this.#table, Key: keyOf(tenantId, sk) }),
        ),
      ),
    );
  }
}

const changesOf = (item: Item | undefined): readonly string[] => (item?.changes ?? []) as readonly string[];
const revisionOf = (item: Item | undefined): number => Number(item?.revision ?? 0);
