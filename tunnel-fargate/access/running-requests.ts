import { within } from '../../core/aws/patience.ts';
import type { Caller } from '../../core/credential/caller.ts';
import type { CallerRefresh } from '../../core/credential/caller-refresh.ts';
import { Problem } from '../../core/problem/problem.ts';

/** A request that was let in and goes on. */
export type RunningRequest = {
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** Undefined until it is let in. */
  readonly caller: Caller | undefined;
  /** Judges it again for its caller as they are now; rejects with Problem when it would not be let in. */
  readonly reauthorise: ((caller: Caller) => Promise<void> | void) | undefined;
  /** Ends it because the right to it is gone. Called again when it has not ended by the next time. */
  revoke(): void;
};

export type RecheckTiming = {
  /** Between two looks at what runs, ms. */
  readonly lookMs: number;
  /** A credential whose requests run is asked for again when the last answer was asked for so long ago, ms. */
  readonly recheckMs: number;
  /** Requests younger than this are left alone: most are over by then, ms. */
  readonly minAgeMs: number;
  /** A question that is not answered by then has failed, ms. */
  readonly askTimeoutMs: number;
  /** How long requests go on while it cannot be found out whether they may, ms. */
  readonly staleMs: number;
};

export const defaultRecheckTiming: RecheckTiming = {
  lookMs: 1_000,
  // Two looks, and a timer that is a little early must not make them three.
  recheckMs: 1_800,
  minAgeMs: 500,
  askTimeoutMs: 3_000,
  staleMs: 60_000,
};

type Options = {
  readonly refresh: CallerRefresh;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
  readonly timing?: Partial<RecheckTiming>;
};

/** What is known of one credential with running requests. */
type Standing = {
  /** When the last question was put. */
  askedAt: number;
  asking: boolean;
  /** When it was last certain that the credential holds. */
  goodAt: number;
};

/**
 * The requests that are under way, and whether those who made them still may: who loses a membership, a key or a right
 * loses what they have open within 5 s. A request is let in on an answer that is at most `cacheMs` old (2.5 s), is
 * looked at within 1.5 s, and then its credential every 2 to 3 s.
 * Units: 1 strongly consistent read each 2 s for each distinct credential with a request older than half a second, 1 a
 * second at most while new ones grow that old.
 */
export class RunningRequests<Request extends RunningRequest> implements Iterable<Request> {
  readonly #options: Options;
  readonly #timing: RecheckTiming;
  readonly #running = new Set<Request>();
  readonly #standings = new Map<string, Standing>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.#timing = { ...defaultRecheckTiming, ...options.timing };
  }

  add(request: Request): void {
    this.#running.add(request);
  }

  delete(request: Request): void {
    this.#running.delete(request);
  }

  [Symbol.iterator](): Iterator<Request> {
    return this.#running.values();
  }

  start(): void {
    const look = () => void this.look().catch(this.#options.onError);
    this.#timer ??= setInterval(look, this.#timing.lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Asks for the credentials that are due, once for all their requests. Resolves when all are answered. Never rejects. */
  async look(): Promise<void> {
    const now = this.#options.now();
    const { recheckMs, minAgeMs, staleMs } = this.#timing;
    const held = this.#byCredential();
    for (const key of this.#standings.keys()) if (!held.has(key)) this.#standings.delete(key);
    const checks: Promise<void>[] = [];
    for (const [key, { caller, requests }] of held) {
      const standing = this.#standings.get(key) ?? startingFrom(requests);
      this.#standings.set(key, standing);
      if (now - standing.goodAt > staleMs) {
        for (const request of requests) request.revoke();
        continue;
      }
      const old = requests.some(({ startedAt }) => now - startedAt >= minAgeMs);
      // One that began after the last question stands on an answer that may be older than it.
      const unasked = requests.some(
        ({ startedAt }) => startedAt >= standing.askedAt && now - startedAt >= minAgeMs,
      );
      const due = unasked || (old && now - standing.askedAt >= recheckMs);
      if (due && !standing.asking) checks.push(this.#check(caller, requests, standing));
    }
    await Promise.all(checks);
  }

  async #check(caller: Caller, requests: readonly Request[], standing: Standing): Promise<void> {
    const { refresh, now, onError } = this.#options;
    standing.asking = true;
    standing.askedAt = now();
    const asked = standing.askedAt;
    try {
      const fresh = await within(this.#timing.askTimeoutMs, refresh(caller));
      await Promise.all(this.#still(requests).map((request) => this.#judge(request, fresh)));
      standing.goodAt = asked;
    } catch (error) {
      if (isVerdict(error)) for (const request of this.#still(requests)) request.revoke();
      // It was right a moment ago and nobody says otherwise.
      else onError(error);
    } finally {
      standing.asking = false;
    }
  }

  /** Rejects when it cannot be found out. */
  async #judge(request: Request, fresh: Caller): Promise<void> {
    try {
      await request.reauthorise?.(fresh);
    } catch (error) {
      if (!isVerdict(error)) throw error;
      request.revoke();
    }
  }

  /** Those that have not ended meanwhile; what has begun meanwhile is looked at next time. */
  #still(requests: readonly Request[]): readonly Request[] {
    return requests.filter((request) => this.#running.has(request));
  }

  #byCredential(): Map<string, { caller: Caller; requests: Request[] }> {
    const held = new Map<string, { caller: Caller; requests: Request[] }>();
    for (const request of this.#running) {
      const { caller } = request;
      if (!caller || !request.reauthorise) continue;
      const key = `${caller.tenantId} ${caller.credentialHash ?? caller.principal}`;
      const known = held.get(key);
      if (known) known.requests.push(request);
      else held.set(key, { caller, requests: [request] });
    }
    return held;
  }
}

/** Nothing was asked yet: what they were let in by counts from the first of them. */
function startingFrom(requests: readonly RunningRequest[]): Standing {
  const goodAt = Math.min(...requests.map(({ startedAt }) => startedAt));
  return { askedAt: Number.NEGATIVE_INFINITY, asking: false, goodAt };
}

/** Says that the request may not go on; anything else says that nobody knows. */
const isVerdict = (error: unknown): boolean =>
  error instanceof Problem && error.status >= 400 && error.status < 500 && error.status !== 429;
