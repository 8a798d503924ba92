import { monitorEventLoopDelay } from 'node:perf_hooks';

const resolutionMs = 20;

/** How late the event loop is: the histogram of Node, whose values hold the sampling interval itself. */
export class EventLoop {
  readonly #delay = monitorEventLoopDelay({ resolution: resolutionMs });

  constructor() {
    this.#delay.enable();
  }

  /** Seconds beyond the interval, since the last restart(). */
  read(): { readonly mean: number; readonly p99: number; readonly max: number } {
    const delay = this.#delay;
    // Before the first sample the mean is no number.
    if (delay.count === 0) return { mean: 0, p99: 0, max: 0 };
    return { mean: late(delay.mean), p99: late(delay.percentile(99)), max: late(delay.max) };
  }

  restart(): void {
    this.#delay.reset();
  }

  close(): void {
    this.#delay.disable();
  }
}

const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e9 - resolutionMs / 1e3);
