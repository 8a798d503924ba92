import { violation, YamuxError } from './error.ts';
import { encodeHeader, Flag, FrameType } from './frame.ts';

/** An honest peer waits for its answer before it asks again; hashicorp's allows concurrent callers. */
const MAX_HELD_PONGS = 64;

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
    this.#held.push({ opaque, due: this.#options.now() + this.#options.pongDelayMs });
    this.#heldTimer ??= this.#watch(this.#options.pongDelayMs);
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
