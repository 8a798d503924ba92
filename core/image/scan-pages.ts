import type { FindingPageRepository, ScanOfImage } from './finding-page-repository.ts';
import type { Finding } from './image-schema.ts';
import { ordinalOf, resultOf, type ScannedImage } from './scanned-image.ts';

type Scan = Omit<ScanOfImage, 'ordinal'> & {
  /** Epoch milliseconds. */
  readonly scannedAt: number;
  /** In their order. */
  readonly findings: readonly Finding[];
  /** When the image is no longer kept, epoch milliseconds. */
  readonly expiresAt: number;
};

/**
 * The pages of findings of one upload's scan. Their key has the place that its result would take among its scanner's
 * results about the image, and each place is taken once. So whoever deletes the pages of a place that is taken, by
 * this result or by another, deletes none that a later result points at, however late; and an upload that was stopped
 * writes the same pages again.
 */
export class ScanPages {
  readonly #pages: Pick<FindingPageRepository, 'write' | 'delete'>;
  readonly #tenantId: string;
  readonly #scan: Scan;
  /** By place, how many were written. */
  readonly #written = new Map<number, number>();

  constructor(pages: Pick<FindingPageRepository, 'write' | 'delete'>, tenantId: string, scan: Scan) {
    this.#pages = pages;
    this.#tenantId = tenantId;
    this.#scan = scan;
  }

  /**
   * How many pages the result has if it comes to this image; they are written unless they are there. None are if a
   * newer result is.
   */
  async before(image: ScannedImage | undefined): Promise<number> {
    const { findings, scannedAt, expiresAt, digest, scannerName, scanId } = this.#scan;
    const stored = resultOf(image, scannerName);
    if (stored?.scanId === scanId) return stored.pages;
    if (stored && stored.scannedAt > scannedAt) return 0;
    const ordinal = ordinalOf(stored) + 1;
    const known = this.#written.get(ordinal);
    if (known !== undefined) return known;
    const scan = { digest, scannerName, scanId, ordinal };
    const written = await this.#pages.write(this.#tenantId, scan, findings, expiresAt);
    this.#written.set(ordinal, written);
    return written;
  }

  /** Deletes what was written for places that others have taken. `image`: as it is stored; undefined: not with this scan. */
  async deleteOthers(image: ScannedImage | undefined): Promise<void> {
    const { digest, scannerName, scanId } = this.#scan;
    const stored = resultOf(image, scannerName);
    const own = stored?.scanId === scanId ? ordinalOf(stored) : undefined;
    for (const [ordinal, pages] of this.#written) {
      if (ordinal === own) continue;
      await this.#pages.delete(this.#tenantId, { digest, scannerName, scanId, ordinal, pages });
    }
  }
}
