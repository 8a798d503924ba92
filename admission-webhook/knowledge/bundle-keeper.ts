import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type AskForBundle, BundleUnavailable } from './bundle-client.ts';
import { type BundleOrigin, BundleRefused, type Part, readPart } from './bundle-part.ts';
import type { BundleStore } from './bundle-store.ts';
import { Assembly, type Knowledge } from './knowledge.ts';

export type PollOutcome = 'unchanged' | 'taken' | 'unavailable' | 'refused';

/** While nothing is known yet a cluster waits for this. */
const firstPauseMs = 1_000;
const longestPauseMs = 300_000;
/** How often `confirm` is written while nothing changes: an age that is lost with the process is at most this. */
const confirmMs = 300_000;
/** A 304 is not signed: from this age of the last bundle on the next is asked for in full words, so that its age is true. */
const signedMs = 3_600_000;

export type BundleDependencies = {
  readonly ask: AskForBundle;
  readonly store: BundleStore;
  /** Read anew for each bundle: what is mounted may have changed. */
  readonly origin: () => Promise<BundleOrigin>;
  readonly onPoll: (outcome: PollOutcome) => void;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly now: () => number;
  /** 0 ≤ random() < 1. */
  readonly random: () => number;
};

/** Holds what is known of images, polls for what is new, and keeps it on disk for the time without a control plane. */
export class BundleKeeper {
  readonly #deps: BundleDependencies;
  #known: Knowledge | undefined;
  #etag: string | undefined;
  #checkedAt = -Infinity;
  #confirmedAt = -Infinity;
  /** When this process took a bundle last. */
  #takenAt = -Infinity;
  #isStoring = true;
  /** What continues the state that is known was refused, by either side: the next question is for all. */
  #asksAll = false;

  constructor(deps: BundleDependencies) {
    this.#deps = deps;
  }

  get knowledge(): Knowledge | undefined {
    return this.#known;
  }

  /** How long ago the control plane last said that this is all that it knows, ms; Infinity: nothing is known. */
  get ageMs(): number {
    return this.#known ? Math.max(0, this.#deps.now() - this.#checkedAt) : Infinity;
  }

  /** Takes what is stored, as far as it can be verified. */
  async load(): Promise<void> {
    const { store, logger } = this.#deps;
    const stored = await store.open();
    let taken = 0;
    try {
      for (const { files } of stored?.bundles ?? []) {
        const assembly = new Assembly(this.#known);
        for (const file of files) assembly.add((await this.#read(await store.read(file))).bundle);
        this.#known = assembly.finish();
        taken += 1;
      }
    } catch (error) {
      // Of what follows nothing can be used, as it continues this.
      logger.warn(
        { event: 'stored-bundle-unusable', taken, err: error },
        'a part of what is stored cannot be used',
      );
      await store.keepFirst(taken);
    }
    if (!stored || !this.#known) return;
    this.#etag = taken === stored.bundles.length ? stored.etag : undefined;
    this.#checkedAt = stored.checkedAt;
    const { images, issuedAt } = this.#known;
    logger.info({ event: 'bundle-loaded', images: images.size, issuedAt }, 'knows what it knew before');
  }

  /** Polls every `pollMs`, with jitter, until `signal` ends it; after failures later and later, up to 5 minutes. */
  async run(pollMs: number, signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      let pauseMs = pollMs;
      try {
        await this.poll(signal);
        failures = 0;
      } catch (error) {
        if (isAborted(signal)) return;
        failures += 1;
        pauseMs = this.#pauseAfter(error, { pollMs, failures });
      }
      await delay(pauseMs * (0.8 + 0.4 * this.#deps.random()), undefined, { signal }).catch(() => undefined);
    }
  }

  #pauseAfter(error: unknown, { pollMs, failures }: { pollMs: number; failures: number }): number {
    const { logger, onPoll } = this.#deps;
    const isRefused = error instanceof BundleRefused;
    onPoll(isRefused ? 'refused' : 'unavailable');
    const event = isRefused ? 'bundle-refused' : 'bundle-unavailable';
    const level = isRefused ? 'error' : 'warn';
    logger[level]({ event, failures, ageMs: this.#known ? this.ageMs : null, err: error }, 'no new bundle');
    const first = this.#known ? pollMs : firstPauseMs;
    const asked = error instanceof BundleUnavailable ? (error.retryAfterMs ?? 0) : 0;
    return Math.min(Math.max(first * 2 ** Math.min(failures - 1, 20), asked), longestPauseMs);
  }

  /** Asks once for what is new, and takes it whole or not at all. Rejects with BundleUnavailable, BundleRefused. */
  async poll(signal: AbortSignal): Promise<PollOutcome> {
    try {
      const outcome = await this.#ask(signal);
      this.#asksAll = false;
      this.#deps.onPoll(outcome);
      return outcome;
    } catch (error) {
      const isUnknown = error instanceof BundleUnavailable && error.status === 400;
      this.#asksAll ||= isUnknown || error instanceof BundleRefused;
      throw error;
    }
  }

  async #ask(signal: AbortSignal): Promise<'unchanged' | 'taken'> {
    const { ask, store, now } = this.#deps;
    const askedAt = now();
    // Without `since` the answer is a full bundle.
    const since = store.isOvergrown || this.#asksAll ? undefined : this.#known?.asOf;
    const isTagged = since !== undefined && askedAt - this.#takenAt < signedMs;
    const etag = isTagged ? this.#etag : undefined;
    const first = await ask({ since, etag }, signal);
    if (first === 'unchanged') {
      if (etag === undefined) throw new BundleRefused('it is said to be unchanged, which was not asked');
      this.#checkedAt = askedAt;
      if (askedAt - this.#confirmedAt >= confirmMs) {
        await this.#store(() => store.confirm(askedAt));
        this.#confirmedAt = askedAt;
      }
      return 'unchanged';
    }
    const staged = store.stage();
    const assembly = new Assembly(this.#known);
    let part = await this.#read(first.jws);
    // After a part that could not be stored, deltas would continue nothing on disk, until the next full bundle.
    if (part.bundle.kind === 'full') this.#isStoring = true;
    try {
      for (;;) {
        assembly.add(part.bundle);
        const { jws, bundle } = part;
        await this.#store(() => staged.add(jws));
        if (bundle.next === undefined) break;
        const more = await ask({ since, cursor: bundle.next }, signal);
        if (more === 'unchanged') throw new BundleRefused('a further part is said to be unchanged');
        part = await this.#read(more.jws);
      }
      this.#known = assembly.finish();
    } catch (error) {
      await staged.discard();
      throw error;
    }
    this.#etag = first.etag;
    this.#takenAt = askedAt;
    this.#checkedAt = askedAt;
    this.#confirmedAt = askedAt;
    await this.#store(() => staged.commit({ kind: part.bundle.kind, etag: first.etag, checkedAt: askedAt }));
    return 'taken';
  }

  /** A disk that fails takes nothing from what is known: only a new process would begin with less. */
  async #store(write: () => Promise<void>): Promise<void> {
    if (!this.#isStoring) return;
    try {
      await write();
    } catch (error) {
      this.#isStoring = false;
      this.#deps.logger.error({ event: 'bundle-not-stored', err: error }, 'the bundle cannot be stored');
    }
  }

  async #read(jws: string): Promise<Part> {
    return readPart(jws, await this.#deps.origin());
  }
}

/** Asked anew: another task aborts it while this one waits. */
const isAborted = (signal: AbortSignal): boolean => signal.aborted;
