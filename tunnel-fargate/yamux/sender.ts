import type { Duplex } from 'node:stream';
import type { Channel } from './channel.ts';

/** Above this many waiting control frames the session stops reading: a peer that asks but does not listen must wait. */
const CROWDED = 1024;

export type SenderOptions = {
  /** The transport took nothing for this long, ms: onStalled, once. */
  writeTimeoutMs: number;
  now: () => number;
  onStalled: () => void;
  /** The control frames were crowded and have left. */
  onRelieved: () => void;
};

/**
 * Everything the session sends, once per tick and under one cork: control frames, then window updates, then data in
 * turns of one frame per stream. While the transport wants to drain nothing is added to it, so that what is urgent
 * waits behind one frame and not behind a queue.
 */
export class Sender {
  readonly #transport: Duplex;
  readonly #options: SenderOptions;
  #control: Buffer[] = [];
  readonly #signals = new Set<Channel>();
  /** Streams that were idle: one turn before all others, then they queue like those (as fq_codel's new flows). */
  readonly #fresh = new Set<Channel>();
  /** Streams that wait for their next turn, or to be found idle. Insertion order is turn order. */
  readonly #turns = new Set<Channel>();
  #scheduled: ReturnType<typeof setImmediate> | undefined;
  #flushing = false;
  #blockedSince: number | undefined;
  #stallTimer: ReturnType<typeof setTimeout> | undefined;
  #stopped = false;
  readonly #onDrain = () => this.#drained();
  readonly #write = (bytes: Buffer) => void this.#transport.write(bytes);

  constructor(transport: Duplex, options: SenderOptions) {
    this.#transport = transport;
    this.#options = options;
    transport.on('drain', this.#onDrain);
    if (transport.writableNeedDrain) this.#block();
  }

  get isCrowded(): boolean {
    return this.#control.length > CROWDED;
  }

  control(frame: Buffer): void {
    this.#control.push(frame);
    this.#schedule();
  }

  signal(channel: Channel): void {
    this.#signals.add(channel);
    this.#schedule();
  }

  send(channel: Channel): void {
    if (!this.#turns.has(channel)) this.#fresh.add(channel);
    this.#schedule();
  }

  /** Sends what can be sent at once. Callbacks of writes run inside and may call back into the session. */
  flush(): void {
    if (this.#stopped || this.#flushing || this.#blockedSince !== undefined) return;
    clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    this.#flushing = true;
    this.#transport.cork();
    try {
      this.#sendControl();
      this.#sendSignals();
      this.#sendTurns();
    } finally {
      this.#flushing = false;
      this.#transport.uncork();
      if (this.#transport.writableNeedDrain) this.#block();
      else if (this.#hasWork()) this.#schedule();
    }
  }

  /** Forgets all that waits. */
  stop(): void {
    this.#stopped = true;
    this.#transport.off('drain', this.#onDrain);
    clearImmediate(this.#scheduled);
    clearTimeout(this.#stallTimer);
    this.#control = [];
    this.#signals.clear();
    this.#fresh.clear();
    this.#turns.clear();
  }

  #sendControl(): void {
    const crowded = this.isCrowded;
    const frames = this.#control;
    this.#control = [];
    for (const frame of frames) this.#write(frame);
    if (crowded) this.#options.onRelieved();
  }

  #sendSignals(): void {
    for (const channel of this.#signals) {
      const frame = channel.takeSignal();
      if (frame !== undefined) this.#write(frame);
    }
    this.#signals.clear();
  }

  #sendTurns(): void {
    while (!this.#transport.writableNeedDrain) {
      // A stream opened by a callback of this very loop: its SYN goes first.
      if (this.#signals.size > 0) this.#sendSignals();
      const [channel] = this.#fresh.size > 0 ? this.#fresh : this.#turns;
      if (channel === undefined) return;
      const wasFresh = this.#fresh.delete(channel);
      // To the end of the queue, before its turn: what its callbacks write must not make it fresh again. It leaves the
      // queue when a whole round later it is still idle, so one that writes little but often does not starve the others.
      this.#turns.delete(channel);
      this.#turns.add(channel);
      if (!channel.takeTurn(this.#write) && !wasFresh) this.#turns.delete(channel);
    }
  }

  #hasWork(): boolean {
    return this.#control.length > 0 || this.#signals.size > 0 || this.#fresh.size > 0 || this.#turns.size > 0;
  }

  /** After the I/O of this turn of the event loop, so that what many sockets brought leaves in one write. */
  #schedule(): void {
    if (this.#stopped || this.#flushing || this.#blockedSince !== undefined) return;
    this.#scheduled ??= setImmediate(() => this.flush());
  }

  #drained(): void {
    this.#blockedSince = undefined;
    this.flush();
  }

  #block(): void {
    if (this.#stopped) return;
    this.#blockedSince = this.#options.now();
    this.#stallTimer ??= this.#watch(this.#options.writeTimeoutMs);
  }

  /** One timer outlives many drains: setting one for each would cost more than the writes. */
  #watch(delayMs: number): ReturnType<typeof setTimeout> {
    const timer = setTimeout(() => {
      this.#stallTimer = undefined;
      if (this.#blockedSince === undefined) return;
      const left = this.#blockedSince + this.#options.writeTimeoutMs - this.#options.now();
      if (left < 1) this.#options.onStalled();
      else this.#stallTimer = this.#watch(left);
    }, delayMs);
    return timer.unref();
  }
}
