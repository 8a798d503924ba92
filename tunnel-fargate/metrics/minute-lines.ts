import { Metrics as EmbeddedMetrics } from '@aws-lambda-powertools/metrics';
import type { Metrics, Minute } from './metrics.ts';

type Options = {
  readonly metrics: Pick<Metrics, 'minute'>;
  /** Writes one line, without its end. */
  readonly write: (line: string) => void;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly intervalMs?: number;
  /** Called after each line: what counts "since the last line" starts again. */
  readonly onLine?: () => void;
};

export const metricNamespace = 'Cattery';
/** The one dimension, of every metric of the tunnel server. */
export const metricService = 'tunnel';
/** CloudWatch takes up to 100 metrics in a line. */
const maxPerLine = 99;

/**
 * The figures as CloudWatch's embedded metric format: every minute a JSON line on standard output, which CloudWatch Logs
 * turns into metrics; more than 99 metrics take a second line. A last one is written at the end.
 */
export class MinuteLines {
  readonly #options: Options;
  readonly #timer: ReturnType<typeof setInterval>;
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
    this.#timer = setInterval(() => this.#write(), options.intervalMs ?? 60_000).unref();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.#write();
  }

  #write(): void {
    const { metrics, write, now, onLine } = this.#options;
    for (const line of embeddedLines(metrics.minute(), now())) write(line);
    onLine?.();
  }
}

/** One line per 99 metrics. `time`: epoch ms. */
export function embeddedLines(minute: Minute, time: number): string[] {
  const lines: string[] = [];
  for (let start = 0; start < minute.length; start += maxPerLine) {
    const embedded = new EmbeddedMetrics({ namespace: metricNamespace, serviceName: metricService });
    embedded.setTimestamp(time);
    for (const { name, unit, value } of minute.slice(start, start + maxPerLine)) {
      for (const each of typeof value === 'number' ? [value] : value) embedded.addMetric(name, unit, each);
    }
    lines.push(JSON.stringify(embedded.serializeMetrics()));
  }
  return lines;
}
