import { PutCommand, QueryCommand, type QueryCommandInput } from '@aws-sdk/lib-dynamodb';
import { ifHolds } from '../aws/dynamodb-errors.ts';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { tenantPartition } from '../tenant/tenant-partition.ts';
import { type CardFilter, cardOf, type ImageCard, nameHash, type WrittenCard } from './image-card.ts';
import { type Severity, severities } from './image-schema.ts';
import type { ScannedImage } from './scanned-image.ts';

/** Cards behind one digest and up to another, both of them `sha256:…` or the beginning of it. */
export type CardRange = {
  /** Exclusive; absent: from the first. */
  readonly after?: string | undefined;
  /** Exclusive as well; absent: to the last. */
  readonly before?: string | undefined;
};

export type CardSearch = {
  readonly limit: number;
  /** Pages of 1 MB that are read at most, 128 units each; so many in each of the ranges that are read at once. */
  readonly maxPages?: number | undefined;
};

export type FoundCards = {
  /** In the order of their digests. */
  readonly cards: readonly ImageCard[];
  /** Up to where everything was looked at (a digest, or the beginning of some), if there is more; a page may be short, or empty, all the same. */
  readonly next?: string;
};

/** Ranges that are read at once. */
const ranges = 8;
/** Ten pages in each of eight ranges are 80 MB of cards, some 80,000 images. */
const defaultPages = 10;

/**
 * A tenant's images as a search looks at them: a card each (0.4 KB, and 4 bytes for each name of a vulnerability: 0.9 KB with
 * 100 findings), in the order of digests. DynamoDB filters, so only what is found travels, apart from patterns of repositories; but
 * all that is looked at is read. Cards are written after the image, on condition that no later revision's is there.
 *
 * Units. `keep` a write per KB. `search` and `matching` half a read per 4 KB of cards that are looked at: without a filter a page of 50
 * images 5.5, and a search through 50,000 images of 100 findings 5,300, in 6 pages of each range, one after another.
 */
export class ImageCardRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /** Brings the card up to the image's revision; false when a later one's is there. Idempotent. */
  async keep(tenantId: string, image: ScannedImage): Promise<boolean> {
    const { revision, expiresAt } = image;
    return ifHolds(
      this.#access(tenantId).dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: { ...itemOf(tenantId, cardOf(image)), expiresAt: Math.ceil(expiresAt / 1000) },
          ConditionExpression: 'attribute_not_exists(pk) OR revision <= :revision',
          ExpressionAttributeValues: { ':revision': revision },
        }),
      ),
    );
  }

  /**
   * The next cards that match, behind `after` (a digest), in the order of their digests. First as many as a page needs if most
   * match; where that is not enough, the rest of all digests in eight ranges at once.
   */
  async matching(
    tenantId: string,
    filter: CardFilter,
    { limit, after, maxPages = defaultPages }: CardSearch & { readonly after: string | undefined },
  ): Promise<FoundCards> {
    const first = await this.search(tenantId, { after }, filter, { limit, maxPages: 1 });
    if (first.next === undefined || first.cards.length >= limit) return first;
    const missing = limit - first.cards.length;
    const parts = await Promise.all(
      splitBehind(first.next).map(async (range) => ({
        end: range.before,
        ...(await this.search(tenantId, range, filter, { limit: missing, maxPages })),
      })),
    );
    const cards = [...first.cards];
    for (const part of parts) {
      const room = limit - cards.length;
      cards.push(...part.cards.slice(0, room));
      // What later ranges have found is found again from here.
      if (part.cards.length > room) return { cards, ...nextOf(cards.at(-1)?.digest) };
      if (part.next !== undefined || cards.length === limit)
        return { cards, ...nextOf(part.next ?? part.end) };
    }
    return { cards };
  }

  /** The cards of one range that match, one page of 1 MB after another. */
  async search(
    tenantId: string,
    { after, before }: CardRange,
    filter: CardFilter,
    { limit, maxPages = defaultPages }: CardSearch,
  ): Promise<FoundCards> {
    const cards: ImageCard[] = [];
    let from = after;
    for (let page = 0; page < maxPages; page += 1) {
      const { Items = [], LastEvaluatedKey } = await this.#access(tenantId).dynamo.send(
        new QueryCommand({
          TableName: this.#table,
          ...keyCondition(tenantId, { after: from, before }, filter),
          ...(matchesAll(filter) ? { Limit: limit - cards.length } : {}),
        }),
      );
      for (const item of Items) {
        const card = cardIn(item);
        const { repository } = filter;
        if (repository && !card.repositories.some((path) => repository(path))) continue;
        if (cards.length === limit) return { cards, ...nextOf(cards.at(-1)?.digest) };
        cards.push(card);
      }
      if (LastEvaluatedKey === undefined) return { cards };
      from = String(LastEvaluatedKey.sk);
      if (cards.length === limit) break;
    }
    return { cards, ...nextOf(from) };
  }
}

const nextOf = (next: string | undefined) => (next === undefined ? {} : { next });

const matchesAll = (filter: CardFilter): boolean => Object.values(filter).every((each) => each === undefined);

/** All digests behind one, in ranges of about the same number of images: digests are spread evenly. */
export function splitBehind(digest: string): CardRange[] {
  const prefix = 'sha256:';
  const start = Number.parseInt(digest.slice(prefix.length, prefix.length + 8).padEnd(8, '0'), 16);
  const end = 2 ** 32;
  const borders = Array.from({ length: ranges - 1 }, (_, index) =>
    Math.ceil(start + ((end - start) * (index + 1)) / ranges),
  ).filter((border, index, all) => border > start && border < end && border !== all[index - 1]);
  // A digest is longer than its beginning, and so behind it: no image is at a border.
  const texts = borders.map((border) => `${prefix}${border.toString(16).padStart(8, '0')}`);
  return [digest, ...texts].map((after, index) => ({ after, before: texts[index] }));
}

const names = {
  '#digest': 'sk',
  '#revision': 'revision',
  '#repositories': 'repositories',
  '#clusters': 'clusters',
  '#counts': 'counts',
  '#fixable': 'fixable',
  '#scannedAt': 'scannedAt',
  '#partial': 'partial',
};

/** Which cards are read, which of them come back, and what of them. */
function keyCondition(
  tenantId: string,
  { after, before }: CardRange,
  filter: CardFilter,
): Partial<QueryCommandInput> {
  const values: Record<string, unknown> = { ':pk': partition(tenantId) };
  const attributes: Record<string, string> = { ...names };
  const conditions: string[] = [];
  if (filter.vulnerability !== undefined) {
    values[':hash'] = nameHash(filter.vulnerability);
    attributes['#vulnerabilities'] = 'vulnerabilities';
    conditions.push('(contains(#vulnerabilities, :hash) OR attribute_exists(#partial))');
  }
  if (filter.clusterId !== undefined) {
    values[':cluster'] = filter.clusterId;
    conditions.push('contains(#clusters, :cluster)');
  }
  const named = filter.severities?.length ? filter.severities : undefined;
  const has = (map: string, among: readonly Severity[]) => {
    for (const severity of among) attributes[`#${severity}`] = severity;
    return `(${among.map((severity) => `attribute_exists(${map}.#${severity})`).join(' OR ')})`;
  };
  if (named) conditions.push(has('#counts', named));
  if (filter.fixable !== undefined) {
    conditions.push(`${filter.fixable ? '' : 'NOT '}${has('#fixable', named ?? severities)}`);
  }
  // An upper border alone: `sk < :before` behind nothing.
  if (after !== undefined) values[':after'] = `${after}!`;
  if (before !== undefined) values[':before'] = before;
  const range =
    after !== undefined && before !== undefined
      ? ' AND #digest BETWEEN :after AND :before'
      : after !== undefined
        ? ' AND #digest > :after'
        : before !== undefined
          ? ' AND #digest < :before'
          : '';
  return {
    KeyConditionExpression: `pk = :pk${range}`,
    ...(conditions.length > 0 ? { FilterExpression: conditions.join(' AND ') } : {}),
    ProjectionExpression: Object.keys(names).join(', '),
    ExpressionAttributeNames: attributes,
    ExpressionAttributeValues: values,
  };
}

const partition = (tenantId: string) => tenantPartition(tenantId, 'IMAGE_CARDS');

/** What is none, or no, is left out: most severities are, of most images. */
function itemOf(
  tenantId: string,
  { digest, counts, fixable, clusters, partial, vulnerabilities, ...card }: WrittenCard,
): Record<string, unknown> {
  return {
    pk: partition(tenantId),
    sk: digest,
    ...card,
    counts: someOf(counts),
    fixable: someOf(fixable),
    ...(clusters.length > 0 ? { clusters: new Set(clusters) } : {}),
    ...(partial ? { partial } : {}),
    ...(vulnerabilities.length > 0 ? { vulnerabilities: new Set(vulnerabilities) } : {}),
  };
}

const someOf = (counts: Readonly<Record<Severity, number>>) =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));

type StoredCard = Omit<ImageCard, 'digest' | 'counts' | 'fixable' | 'clusters' | 'partial'> & {
  readonly sk: string;
  readonly counts: Partial<ImageCard['counts']>;
  readonly fixable: Partial<ImageCard['fixable']>;
  readonly clusters?: ReadonlySet<string>;
  readonly partial?: boolean;
};

function cardIn(item: Record<string, unknown>): ImageCard {
  const { sk, revision, repositories, scannedAt, counts, fixable, clusters, partial } = item as StoredCard;
  return {
    digest: sk,
    revision,
    repositories,
    clusters: [...(clusters ?? [])].sort(),
    counts: { ...none, ...counts },
    fixable: { ...none, ...fixable },
    scannedAt,
    partial: partial ?? false,
  };
}

const none = { critical: 0, high: 0, medium: 0, low: 0, negligible: 0, unknown: 0 };
