import { gunzipSync, gzipSync } from 'node:zlib';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { writeAll } from '../aws/batches.ts';
import { Problem } from '../problem/problem.ts';
import type { TenantAccess } from '../tenant/tenant-access.ts';
import { tenantPartition } from '../tenant/tenant-partition.ts';
import type { Finding } from './image-schema.ts';
import { ordinalOf, type ScanOutcome } from './scanned-image.ts';

/** One scan of one image, as one result: its pages are its own, whatever other scans there are, or have been. */
export type ScanOfImage = {
  readonly digest: string;
  readonly scannerName: string;
  readonly scanId: string;
  /** `ordinalOf` the result: the same scan may come again after another has taken its place. */
  readonly ordinal: number;
};

/** The pages of an image's result. */
export const pagesOf = (digest: string, result: ScanOutcome): ScanOfImage & { readonly pages: number } => {
  const { scannerName, scanId, pages } = result;
  return { digest, scannerName, scanId, ordinal: ordinalOf(result), pages };
};

/** How many findings a page has, but where they are too long for one item. */
export const pageFindings = 250;
/** Bytes of a page as stored (DynamoDB: 400 KB an item). */
const maxPageBytes = 350 * 1024;
/** Of its JSON; what is above would be no page of findings. */
const maxPageText = 64 * 1024 * 1024;
/** Pages outlive the result that points at them: it goes with the next upload, they by themselves. */
const graceMs = 30 * 86_400_000;

/**
 * All findings of a tenant's scans, whole, in pages of 250: gzip of JSON, some 20 KB with scores of four sources each. A
 * scan's pages are written before the result that points at them, and never change: readers find the pages of the
 * result that they have, or none (undefined) when a newer scan has just replaced it: then they read the image again.
 * Units: `write` 1 write per KB of each page, `page` half a read per 4 KB of it, `delete` 1 write per KB of each.
 */
export class FindingPageRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  /**
   * Stores all findings, in their order, and says how many pages they took; none take none. The same again is the same
   * items. `expiresAt`: when the image is no longer kept, epoch ms. PAYLOAD_TOO_LARGE: a finding of more than 350 KB.
   */
  async write(
    tenantId: string,
    scan: ScanOfImage,
    findings: readonly Finding[],
    expiresAt: number,
  ): Promise<number> {
    const pages = chunksOf(findings).flatMap(encoded);
    await writeAll(
      this.#access(tenantId).dynamo,
      this.#table,
      pages.map((page, index) => ({
        PutRequest: {
          Item: {
            ...keyOf(tenantId, scan, index),
            findings: page,
            expiresAt: Math.ceil((expiresAt + graceMs) / 1000),
          },
        },
      })),
    );
    return pages.length;
  }

  /** One page, from 0; undefined when it is not there. */
  async page(tenantId: string, scan: ScanOfImage, page: number): Promise<readonly Finding[] | undefined> {
    const key = keyOf(tenantId, scan, page);
    // Pages never change: a cheap read is as good as any, unless it comes too early.
    const item = (await this.#item(key, tenantId, false)) ?? (await this.#item(key, tenantId, true));
    if (!item) return undefined;
    const text = gunzipSync(item.findings as Uint8Array, { maxOutputLength: maxPageText }).toString('utf8');
    return JSON.parse(text) as readonly Finding[];
  }

  /** Those of a scan that nothing points at any more. Idempotent. */
  async delete(
    tenantId: string,
    { pages, ...scan }: ScanOfImage & { readonly pages: number },
  ): Promise<void> {
    await writeAll(
      this.#access(tenantId).dynamo,
      this.#table,
      Array.from({ length: pages }, (_, page) => ({
        DeleteRequest: { Key: keyOf(tenantId, scan, page) },
      })),
    );
  }

  async #item(
    Key: ReturnType<typeof keyOf>,
    tenantId: string,
    ConsistentRead: boolean,
  ): Promise<Record<string, unknown> | undefined> {
    const { Item } = await this.#access(tenantId).dynamo.send(
      new GetCommand({ TableName: this.#table, Key, ConsistentRead }),
    );
    return Item;
  }
}

const keyOf = (tenantId: string, { digest, scannerName, scanId, ordinal }: ScanOfImage, page: number) => ({
  pk: tenantPartition(tenantId, 'IMAGE_FINDINGS'),
  sk: `${digest}#${scannerName}#${scanId}#${ordinal}#${String(page).padStart(4, '0')}`,
});

function chunksOf(findings: readonly Finding[]): (readonly Finding[])[] {
  const chunks: (readonly Finding[])[] = [];
  for (let at = 0; at < findings.length; at += pageFindings) {
    chunks.push(findings.slice(at, at + pageFindings));
  }
  return chunks;
}

/** One page; two and more where it would not fit into an item. */
function encoded(findings: readonly Finding[]): Uint8Array[] {
  const bytes = gzipSync(JSON.stringify(findings));
  if (bytes.length <= maxPageBytes) return [bytes];
  if (findings.length === 1) throw new Problem('PAYLOAD_TOO_LARGE', 'A finding of the report is too large.');
  const middle = Math.ceil(findings.length / 2);
  return [findings.slice(0, middle), findings.slice(middle)].flatMap(encoded);
}
