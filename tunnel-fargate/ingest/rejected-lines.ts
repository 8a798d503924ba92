import type { Line } from './line-splitter.ts';
import type { RejectReason } from './flow-line.ts';

/** Of each rejected line, bytes: enough to see what its sender does. */
const sampleBytes = 2_048;
/** Of all rejected lines of an upload, as text. */
const keptBytes = 524_288;

/**
 * Lines of one upload that are no flows: all counted, the first of them kept, so that somebody can look at what a
 * cluster sends. What is kept depends on the body alone: the same body leaves the same object.
 */
export class RejectedLines {
  readonly counts: Partial<Record<RejectReason, number>> = {};
  readonly #kept: string[] = [];
  #keptBytes = 0;
  #total = 0;

  get total(): number {
    return this.#total;
  }

  /** Bytes in memory. */
  get heldBytes(): number {
    return this.#keptBytes;
  }

  /** `number` counts from 1. */
  add(line: Line, number: number, reason: RejectReason): void {
    this.#total += 1;
    this.counts[reason] = (this.counts[reason] ?? 0) + 1;
    if (this.#keptBytes >= keptBytes) return;
    const sample = line.bytes.subarray(0, sampleBytes);
    const text = JSON.stringify({
      line: number,
      reason,
      bytes: line.size,
      base64: sample.toString('base64'),
    });
    this.#kept.push(text);
    this.#keptBytes += text.length;
  }

  /** NDJSON: counts by reason, then a line for each that is kept, its bytes in base64. `upload` is the body's SHA-256. */
  document(upload: string): string {
    const head = { upload, rejected: this.#total, kept: this.#kept.length, reasons: this.counts };
    return [JSON.stringify(head), ...this.#kept].join('\n');
  }
}
