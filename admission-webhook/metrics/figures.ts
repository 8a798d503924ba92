import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { PollOutcome } from '../knowledge/bundle-keeper.ts';
import type { ReviewOutcome } from '../review/review-server.ts';

/** What gauges read when they are asked for. */
export type Readings = {
  /** ms; Infinity while nothing is known. */
  readonly ageMs: () => number;
  readonly images: () => number;
  /** End of the certificate that is shown, epoch milliseconds; undefined while there is none. */
  readonly certificateEnds: () => number | undefined;
};

const reviewOutcomes = ['allowed', 'warned', 'refused', 'error'] as const satisfies readonly ReviewOutcome[];
const pollOutcomes = [
  'unchanged',
  'taken',
  'unavailable',
  'refused',
] as const satisfies readonly PollOutcome[];
const prefix = 'cattery_admission_';

/** The figures of this webhook, in Prometheus' text. No label names an image, a namespace or a user. */
export class Figures {
  readonly #registry = new Registry();
  readonly #reviews: Counter;
  readonly #seconds: Histogram;
  readonly #polls: Counter;

  constructor({ ageMs, images, certificateEnds }: Readings) {
    const registers = [this.#registry];
    const outcome = ['outcome'];
    this.#reviews = new Counter({
      name: `${prefix}reviews_total`,
      help: 'Requests of API servers; error: got no AdmissionReview, so that the failure policy decided.',
      labelNames: outcome,
      registers,
    });
    this.#seconds = new Histogram({
      name: `${prefix}review_seconds`,
      help: 'From the head of a request to its answer.',
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
      registers,
    });
    this.#polls = new Counter({
      name: `${prefix}bundle_polls_total`,
      help: 'Questions for what is new; refused: not signed by our control plane for our tenant, or older than what is known.',
      labelNames: outcome,
      registers,
    });
    // From 0 on, so that a first event is an increase.
    for (const each of reviewOutcomes) this.#reviews.inc({ outcome: each }, 0);
    for (const each of pollOutcomes) this.#polls.inc({ outcome: each }, 0);
    const gauge = (name: string, help: string, read: () => number | undefined) =>
      new Gauge({
        name: prefix + name,
        help,
        registers,
        collect() {
          this.set(read() ?? Number.NaN);
        },
      });
    gauge(
      'knowledge_age_seconds',
      'Since the control plane last said what is new; +Inf: nothing is known.',
      () => ageMs() / 1_000,
    );
    gauge('images', 'Images with a verdict.', images);
    gauge('certificate_end_timestamp_seconds', 'End of the certificate that API servers are shown.', () => {
      const end = certificateEnds();
      return end === undefined ? undefined : end / 1_000;
    });
  }

  readonly onReview = (outcome: ReviewOutcome, seconds: number): void => {
    this.#reviews.inc({ outcome });
    this.#seconds.observe(seconds);
  };

  readonly onPoll = (outcome: PollOutcome): void => this.#polls.inc({ outcome });

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
