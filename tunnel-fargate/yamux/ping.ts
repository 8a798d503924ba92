import { violation, YamuxError } from './error.ts';
import { encodeHeader, Flag, FrameType } from './frame.ts';

/** An honest peer waits for its answer before it asks again; hashicorp's allows concurrent callers. */
const MAX_HELD_PONGS = 64;

/**
 * Held-back answers leave at multiples of this, ms. One clock serves all sessions, so theirs leave together, and 100 ms
 * later their peers' next pings come together: an idle process wakes for many at a time (half the CPU; benchmarks.md W6).
 */
const PONG_STEP_MS = 100;

export type PingOptions = {
  /** Our own pings, ms; undefined: none but those of ping(). */
  intervalMs: number | undefined;
  timeoutMs: number;
  /** How long the peer's pings wait for their answer, ms: it sends its next one only then (tunnel.md 1). */
  pongDelayMs: number;
  now: () => number;
  send: (frame: Buffer) => void;
  onTimeout: (error: YamuxError) => void;
};

type Asked = {
  at: number;
  timer: ReturnType<typeof setTimeout>;
  settle: (outcome: number | YamuxError) => void;
};

/** Both sides of the ping: our questions with their deadlines, the peer's with their held-back answers. */
export class Pings {
  readonly #options: PingOptions;
  readonly #asked = new Map<number, Asked>();
  readonly #held: { opaque: number; due: number }[] = [];
  readonly #interval: ReturnType<typeof setInterval> | undefined;
  #heldTimer: ReturnType<typeof setTimeout> | undefined;
  #nextOpaque = 0;
  #rttMs: number | undefined;
  #shortestRttMs: number | undefined;

  constructor(options: PingOptions) {
    this.#options = options;
    if (options.intervalMs === undefined) return;
    this.#interval = setInterval(() => {
      if (this.#asked.size === 0) this.ask(() => undefined);
    }, options.intervalMs).unref();
  }

  /** The last measured round trip, ms. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** The shortest round trip of this session, ms: what the path takes when no queue of ours is on it. */
  get shortestRttMs(): number | undefined {
    return this.#shortestRttMs;
  }

  /** Sees to it that a round trip gets known: one ping in the life of a session, if no other is sent anyway. */
  measure(): void {
    if (this.#rttMs === undefined && this.#asked.size === 0) this.ask(() => undefined);
  }

  /** Sends a ping; settle gets the round trip in ms, or why there is none. */
  ask(settle: (outcome: number | YamuxError) => void): void {
    const opaque = this.#nextOpaque;
    this.#nextOpaque = (this.#nextOpaque + 1) >>> 0;
    const timer = setTimeout(() => {
      this.#options.onTimeout(
        new YamuxError('KEEPALIVE_TIMEOUT', `no answer to a ping within ${this.#options.timeoutMs} ms`),
      );
    }, this.#options.timeoutMs).unref();
    this.#asked.set(opaque, { at: this.#options.now(), timer, settle });
    this.#options.send(encodeHeader(FrameType.ping, Flag.syn, 0, opaque));
  }

  /** A ping frame of the peer. Throws PING_FLOOD when too many of its questions wait for their answers. */
  receive(flags: number, opaque: number): void {
    if ((flags & Flag.syn) !== 0) this.#answerLater(opaque);
    else if ((flags & Flag.ack) !== 0) this.#answered(opaque);
  }

  stop(reason: YamuxError): void {
    clearInterval(this.#interval);
    clearTimeout(this.#heldTimer);
    this.#held.length = 0;
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    for (const { timer, settle } of asked) {
      clearTimeout(timer);
      settle(reason);
    }
  }

  #answered(opaque: number): void {
    const asked = this.#asked.get(opaque);
    if (asked === undefined) return;
    this.#asked.delete(opaque);
    clearTimeout(asked.timer);
    this.#rttMs = this.#options.now() - asked.at;
    this.#shortestRttMs = Math.min(this.#rttMs, this.#shortestRttMs ?? this.#rttMs);
    asked.settle(this.#rttMs);
  }

  #answerLater(opaque: number): void {
    if (this.#options.pongDelayMs === 0) {
      this.#answer(opaque);
      return;
    }
    if (this.#held.length === MAX_HELD_PONGS) {
      throw violation('PING_FLOOD', `more than ${MAX_HELD_PONGS} pings without waiting for an answer`);
    }
    const now = this.#options.now();
    const due = Math.ceil((now + this.#options.pongDelayMs) / PONG_STEP_MS) * PONG_STEP_MS;
    this.#held.push({ opaque, due });
    this.#heldTimer ??= this.#watch(due - now);
  }

  #watch(delayMs: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => {
      this.#heldTimer = undefined;
      const now = this.#options.now();
      // Timers may fire a fraction of a millisecond early.
      while (this.#held[0] !== undefined && this.#held[0].due - now < 1) {
        this.#answer(this.#held[0].opaque);
        this.#held.shift();
      }
      if (this.#held[0] !== undefined) this.#heldTimer = this.#watch(this.#held[0].due - now);
    }, delayMs).unref();
  }

  #answer(opaque: number): void {
    this.#options.send(encodeHeader(FrameType.ping, Flag.ack, 0, opaque));
  }
}
