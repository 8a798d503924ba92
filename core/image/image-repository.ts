import { isDeepStrictEqual } from 'node:util';
import { setTimeout as pause } from 'node:timers/promises';
import { GetCommand, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { getAll } from '../aws/batches.ts';
import { ifHolds } from '../aws/dynamodb-errors.ts';
import { Problem } from '../problem/problem.ts';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { tenantPartition } from '../tenant/tenant-partition.ts';
import type { ScanOfImage } from './finding-page-repository.ts';
import { ImageHistoryRepository } from './image-history-repository.ts';
import { imageOf, itemOf } from './image-item.ts';
import { isSameImage, maxScanners, merge, type NewResult } from './image-merge.ts';
import { ImageNameRepository } from './image-name-repository.ts';
import { type ImageName, resultOf, type ScannedImage, type VerdictChange } from './scanned-image.ts';

/** What keeping a result has come to. */
export type Kept = {
  /** False: a newer result of the same scanner's is there, and stays. */
  readonly kept: boolean;
  /** As it is stored now. */
  readonly image: ScannedImage;
  /** As it was. */
  readonly before?: ScannedImage;
  /** Pages that no result points at any more, nor ever will: of the result in whose place the kept one came. */
  readonly replaced?: ScanOfImage & { readonly pages: number };
  /** What the image's history has to have. */
  readonly history: readonly VerdictChange[];
};

type Recorded = NonNullable<ScannedImage['recorded']>;

type Keeping = {
  /** The image as the caller has read it, undefined if it was not there: saves the first read. */
  readonly found?: ScannedImage | undefined;
  /**
   * Judges the image before and after; what is recorded is part of the same write. It is asked again when another upload was
   * quicker, and must not have effects of its own.
   */
  readonly recorded: (before: ScannedImage | undefined, after: ScannedImage) => Recorded | undefined;
  /**
   * How many pages of findings are there for the result if it comes to this image; asked before each write. Without it
   * the result's own number stands.
   */
  readonly pages?: (before: ScannedImage | undefined) => Promise<number>;
};

/** As many uploads about one image may go on at once; beyond, some are sent back. */
const maxAttempts = 20;

/** Where an image lies. */
export const imageKey = (tenantId: string, digest: string) => ({
  pk: tenantPartition(tenantId, 'IMAGES'),
  sk: digest,
});

/**
 * A tenant's images, one item for each digest with the latest result of each scanner. Each write replaces the item that
 * was read, on condition that nobody has written since: of racing uploads both are kept, whatever the order.
 *
 * Units. An item with one scanner's 100 findings has 2 to 4 KB (images of one base share most of what gzip has to keep; of
 * random findings it is 4). `keep` a read per 4 KB (none with `found`) and a write per KB; nothing is written if nothing is
 * new. Where a change of the verdict, or a name, leaves the item, it also writes 1 for each, before. `find` a read per 4 KB; `findMany`
 * half of that, `list` half a read per 4 KB of the page, so some 25 for 50 images, however many the tenant has.
 */
export class ImageRepository {
  readonly #access: TenantAccess;
  readonly #table: string;
  readonly #names: ImageNameRepository;
  readonly #history: ImageHistoryRepository;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
    this.#names = new ImageNameRepository(access, tenantTable);
    this.#history = new ImageHistoryRepository(access, tenantTable);
  }

  /**
   * Stores an upload's result unless a newer one of the same scanner's is there; names and clusters in any case.
   * LIMIT_REACHED for the seventh scanner, CONFLICT if others are quicker twenty times.
   */
  async keep(tenantId: string, digest: string, upload: NewResult, keeping: Keeping): Promise<Kept> {
    const { recorded } = keeping;
    let before = 'found' in keeping ? keeping.found : await this.find(tenantId, digest);
    for (let attempt = 1; attempt <= maxAttempts; attempt += 1) {
      const pages = (await keeping.pages?.(before)) ?? upload.result.pages;
      const merged = merge(before, digest, { ...upload, result: { ...upload.result, pages } });
      if (merged === 'TOO_MANY') {
        throw new Problem(
          'LIMIT_REACHED',
          `Results of ${maxScanners} scanners about this image are there already.`,
        );
      }
      const image = withRecorded(merged.image, recorded(before, merged.image));
      const isNew = before === undefined || !isSameImage(before, image);
      const revised = isNew && before ? { ...image, revision: before.revision + 1 } : image;
      if (isNew) await this.#beforeWriting(tenantId, { before, image, dropped: merged.dropped, upload });
      if (!isNew || (await this.#put(tenantId, revised, before))) {
        return keptOf({ before, image: revised, isLatest: merged.isLatest, upload });
      }
      await pause(Math.random() * 10 * attempt);
      before = await this.find(tenantId, digest);
    }
    throw new Problem('CONFLICT', 'Others are uploading results about this image, too: try again.');
  }

  /** Strongly consistent. */
  async find(tenantId: string, digest: string): Promise<ScannedImage | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ TableName: this.#table, Key: imageKey(tenantId, digest), ConsistentRead: true }),
    );
    return Item && imageOf(Item);
  }

  /** Those that are there, in the order of the digests given. */
  async findMany(
    tenantId: string,
    digests: readonly string[],
    { consistent = false } = {},
  ): Promise<readonly ScannedImage[]> {
    const keys = digests.map((digest) => imageKey(tenantId, digest));
    const items = await getAll(this.#access(tenantId).dynamo, this.#table, keys, { consistent });
    const images = new Map(items.map((item) => [item.sk, imageOf(item)]));
    return [...new Set(digests)].flatMap((digest) => images.get(digest) ?? []);
  }

  /** Images in the order of their digests, behind one of them. A page may have fewer than `limit` though there are `more`. */
  async list(
    tenantId: string,
    { limit, after }: { readonly limit: number; readonly after: string | undefined },
  ): Promise<{ readonly images: readonly ScannedImage[]; readonly more: boolean }> {
    const { Items = [], LastEvaluatedKey } = await this.#access(tenantId).dynamo.send(
      new QueryCommand({
        TableName: this.#table,
        KeyConditionExpression: after === undefined ? 'pk = :pk' : 'pk = :pk AND sk > :after',
        ExpressionAttributeValues: {
          ':pk': tenantPartition(tenantId, 'IMAGES'),
          ...(after === undefined ? {} : { ':after': after }),
        },
        Limit: limit,
      }),
    );
    return { images: Items.map(imageOf), more: LastEvaluatedKey !== undefined };
  }

  /**
   * What nobody could do later, should this stop half-way: a copy under a name that the image no longer has would not be
   * refreshed any more, and changes that the image no longer has would be missing in its history.
   */
  async #beforeWriting(
    tenantId: string,
    { before, image, dropped, upload }: Writing & { readonly dropped: readonly ImageName[] },
  ): Promise<void> {
    const { digest } = image;
    await this.#names.remove(tenantId, digest, dropped);
    const last = before?.recorded?.changes ?? [];
    if (isDeepStrictEqual(last, image.recorded?.changes ?? [])) return;
    await this.#history.keep(tenantId, digest, last, upload.expiresAt - upload.at);
  }

  #put(tenantId: string, image: ScannedImage, before: ScannedImage | undefined): Promise<boolean> {
    return ifHolds(
      this.#access(tenantId).dynamo.send(
        new PutCommand({
          TableName: this.#table,
          Item: { ...imageKey(tenantId, image.digest), ...itemOf(image) },
          ...(before
            ? {
                ConditionExpression: 'revision = :before',
                ExpressionAttributeValues: { ':before': before.revision },
              }
            : { ConditionExpression: 'attribute_not_exists(pk)' }),
        }),
      ),
    );
  }
}

function withRecorded(image: ScannedImage, recorded: Recorded | undefined): ScannedImage {
  const { recorded: _before, ...rest } = image;
  return recorded === undefined ? rest : { ...rest, recorded };
}

type Writing = {
  readonly before: ScannedImage | undefined;
  readonly image: ScannedImage;
  readonly upload: NewResult;
};

function keptOf({
  before,
  image,
  isLatest,
  upload: {
    result: { scannerName },
  },
}: Writing & { readonly isLatest: boolean }): Kept {
  const replaced = isLatest ? resultOf(image, scannerName)?.replaced : undefined;
  return {
    kept: isLatest,
    image,
    ...(before ? { before } : {}),
    ...(replaced ? { replaced: { digest: image.digest, scannerName, ...replaced } } : {}),
    history: image.recorded?.changes ?? [],
  };
}
