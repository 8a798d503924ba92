import type { Readable, Writable } from 'node:stream';

export type FlowLimits = {
  /** How long a source may give nothing although it may, ms. */
  readonly silentMs: number;
  /** How long a sink may take nothing although something waits for it, ms. */
  readonly stalledMs: number;
};

/** `silent`: it is the source that does nothing; `stalled`: the sink. */
export type Stillness = 'silent' | 'stalled';

/**
 * Looks on while a source is piped to a sink and tells, once, when nothing has moved for too long (and up to a quarter
 * later). Begin after pipe. Returns what ends the watch.
 */
export function watchFlow(
  source: Readable,
  sink: Writable,
  { silentMs, stalledMs }: FlowLimits,
  onStill: (which: Stillness) => void,
): () => void {
  let movedAt = performance.now();
  const moved = () => void (movedAt = performance.now());
  const look = () => {
    // pipe() pauses a source for as long as its sink is full; one that has ended has done its part.
    const which = source.isPaused() || source.readableEnded ? 'stalled' : 'silent';
    if (performance.now() - movedAt < (which === 'silent' ? silentMs : stalledMs)) return;
    stop();
    onStill(which);
  };
  const timer = setInterval(look, Math.ceil(Math.min(silentMs, stalledMs) / 4));
  const stop = () => {
    clearInterval(timer);
    source.off('data', moved);
    sink.off('drain', moved);
  };
  source.on('data', moved);
  sink.on('drain', moved);
  return stop;
}
