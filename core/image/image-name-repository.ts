import { UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { ifHolds } from '../aws/dynamodb-errors.ts';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { tenantPartition } from '../tenant/tenant-partition.ts';
import { bytesOf } from './image-merge.ts';
import { namesOf } from './image-name.ts';
import {
  type ImageName,
  type JudgedImage,
  type JudgedOutcome,
  lazyEvidence,
  type ScannedImage,
} from './scanned-image.ts';

/**
 * Bytes of results that a name's entry has at most, 500 to 4,000 findings: its item has an entry for each of 15 platforms, and
 * all fit into it. Above, the entry has the digest alone, and the image is read where it lies.
 */
const maxCopyBytes = 16 * 1024;

/** What judging needs of a result, as it lies in an entry. */
type CopiedOutcome = Omit<JudgedOutcome, 'evidence'> & { readonly evidence: Uint8Array };

/** The image that was scanned last under a name on one platform. */
type Entry = {
  readonly digest: string;
  readonly revision: number;
  readonly scannedAt: number;
  /** Epoch ms. */
  readonly expiresAt: number;
  readonly copy?: Copy;
};

/** The results of an image, and all that it is called. */
type Copy = { readonly results: readonly CopiedOutcome[]; readonly aliases: readonly string[] };

/** The same, ready to be judged; without `judged` where that is to be read from the image. */
export type NamedImage = Omit<Entry, 'copy'> & { readonly judged?: JudgedImage };

const platformPrefix = 'platform:';
/** Names that are written at a time. */
const atOnce = 8;

/** Where the images of a name are told. */
export const imageNameKey = (tenantId: string, alias: string) => ({
  pk: tenantPartition(tenantId, 'IMAGE_NAMES'),
  sk: alias,
});

/**
 * Under which names a tenant's images are looked up: an item for each reference, and each digest of an index or of another
 * repository, with an entry per platform. The entry is of the image that was scanned last under that name (of equally late
 * ones the one with the greater digest, so that the order of uploads decides nothing), and has a copy of its results,
 * so that a review needs one batch. Names are written after the image, all that it has with each new revision: so no copy
 * is older than the image for longer than an upload takes, or until the same upload again, should it stop between.
 * Units: `keep` a write per KB of each name's item (1 to 4 KB a platform; 1 if another image has the name), `remove` 1 write each.
 */
export class ImageNameRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /** Brings all names of an image up to its revision, unless they have become another's. Idempotent. */
  async keep(tenantId: string, image: ScannedImage): Promise<void> {
    const copy = copyOf(image);
    const names = namesOf(image);
    for (let at = 0; at < names.length; at += atOnce) {
      const some = names.slice(at, at + atOnce);
      await Promise.all(some.map((name) => this.#put(tenantId, image, { name, copy })));
    }
  }

  /** Takes names from an image, where they are its. Idempotent. */
  async remove(tenantId: string, digest: string, names: readonly ImageName[]): Promise<void> {
    await Promise.all(
      names.map(({ alias, platform }) =>
        ifHolds(
          this.#access(tenantId).dynamo.send(
            new UpdateCommand({
              TableName: this.#table,
              Key: imageNameKey(tenantId, alias),
              UpdateExpression: 'REMOVE #entry',
              ConditionExpression: '#entry.digest = :digest',
              ExpressionAttributeNames: { '#entry': `${platformPrefix}${platform}` },
              ExpressionAttributeValues: { ':digest': digest },
            }),
          ),
        ),
      ),
    );
  }

  async #put(
    tenantId: string,
    { digest, revision, expiresAt }: ScannedImage,
    { name, copy }: { name: ImageName; copy: Copy | undefined },
  ): Promise<void> {
    const { alias, platform, scannedAt } = name;
    const entry: Entry = { digest, revision, scannedAt, expiresAt, ...(copy ? { copy } : {}) };
    await ifHolds(
      this.#access(tenantId).dynamo.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: imageNameKey(tenantId, alias),
          UpdateExpression: 'SET #entry = :entry, expiresAt = :expiresAt',
          ConditionExpression: [
            'attribute_not_exists(#entry)',
            '(#entry.digest = :digest AND #entry.revision <= :revision)',
            '(#entry.digest <> :digest AND #entry.scannedAt < :scannedAt)',
            '(#entry.digest < :digest AND #entry.scannedAt = :scannedAt)',
          ].join(' OR '),
          ExpressionAttributeNames: { '#entry': `${platformPrefix}${platform}` },
          ExpressionAttributeValues: {
            ':entry': entry,
            ':expiresAt': Math.ceil(expiresAt / 1000),
            ':digest': digest,
            ':revision': revision,
            ':scannedAt': scannedAt,
          },
        }),
      ),
    );
  }
}

/** What a name's item says: an image for each platform. */
export function imagesNamedIn(item: Readonly<Record<string, unknown>>): readonly NamedImage[] {
  return Object.keys(item)
    .filter((attribute) => attribute.startsWith(platformPrefix))
    .map((attribute) => {
      const { copy, ...entry } = item[attribute] as Entry;
      return { ...entry, ...(copy ? { judged: judgedOf(entry.digest, copy) } : {}) };
    });
}

const judgedOf = (digest: string, { results, aliases }: Copy): JudgedImage => ({
  digest,
  results: results.map((each) => ({ ...each, evidence: lazyEvidence(each.evidence) })),
  names: aliases.map((alias) => ({ alias })),
});

function copyOf({ results, names }: ScannedImage): Copy | undefined {
  const copies = results.map(({ scannerName, scannedAt, image, aliases, bom, encoded }) => ({
    scannerName,
    scannedAt,
    ...(image === undefined ? {} : { image }),
    aliases,
    ...(bom === undefined ? {} : { bom }),
    evidence: encoded,
  }));
  const aliases = names.map(({ alias }) => alias);
  const bytes = copies.reduce(
    (sum, { evidence, ...rest }) => sum + evidence.length + bytesOf(rest),
    bytesOf(aliases),
  );
  return bytes > maxCopyBytes ? undefined : { results: copies, aliases };
}
