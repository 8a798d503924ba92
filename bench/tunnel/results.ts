import * as z from 'zod';
import { median, pairedRatio, significant } from './statistics.ts';
import type { Measurement } from './works.ts';

/** What bench/results/ keeps of a run. */
export const resultFile = z.strictObject({
  /** When it ended, ISO 8601. */
  date: z.iso.datetime(),
  machine: z.string().min(1),
  rows: z.array(
    z.strictObject({
      /** `W1` …, as docs/tunnel.md counts them. */
      work: z.string().regex(/^W\d+$/),
      peer: z.string(),
      metric: z.string(),
      unit: z.string(),
      /** Median of the rounds. */
      value: z.number(),
      /** Median of the rounds' ratios to the Go relay that the peer is compared with; null: none was measured. */
      ratioToGoRelay: z.number().nullable(),
    }),
  ),
});
export type ResultFile = z.infer<typeof resultFile>;
export type ResultRow = ResultFile['rows'][number];

/** What one peer measured in each round. */
export type Rounds = {
  readonly peer: string;
  /** The name of the Go relay to compare with. */
  readonly to: string;
  readonly rounds: readonly (readonly Measurement[])[];
};

/** One row for each peer and metric. Throws when a round has not measured what the first one has. */
export function rowsOf(work: string, measured: readonly Rounds[]): ResultRow[] {
  const valuesOf = (name: string, metric: string): number[] | undefined => {
    const rounds = measured.find(({ peer }) => peer === name)?.rounds;
    const values = rounds?.map((round) => round.find((other) => other.metric === metric)?.value ?? NaN);
    return values?.some(Number.isNaN) ? undefined : values;
  };
  return measured.flatMap(({ peer, to, rounds }) =>
    (rounds[0] ?? []).map(({ metric, unit, isCompared }): ResultRow => {
      const values = valuesOf(peer, metric);
      if (!values) throw new Error(`${peer}: not every round of ${work} measured ${metric}`);
      const others = isCompared ? valuesOf(to, metric) : undefined;
      const ratio = others && pairedRatio(values, others);
      return {
        work,
        peer,
        metric,
        unit,
        value: significant(median(values)),
        ratioToGoRelay: ratio === undefined ? null : significant(ratio),
      };
    }),
  );
}
