import type { ResultRow } from './results.ts';

type Target = {
  readonly text: string;
  readonly work: string;
  readonly peer: string;
  readonly metrics: readonly string[];
  /** What the ratio to the Go relay, or the value itself in its unit, must not exceed. */
  readonly bound: { readonly ratio: number } | { readonly value: number };
};

const passThrough = 'Cattery, pass-through';
const access = 'Cattery, access';

/** What the tunnel is to reach beside the Go relay of the same run; figures of one machine alone are no target. */
export const targets: readonly Target[] = [
  {
    text: 'bulk through one stream',
    work: 'W1',
    peer: passThrough,
    metrics: ['server CPU down', 'server CPU up'],
    bound: { ratio: 0.8 },
  },
  {
    text: 'the same with the inner TLS',
    work: 'W1',
    peer: access,
    metrics: ['server CPU down', 'server CPU up'],
    bound: { ratio: 1.2 },
  },
  ...[passThrough, access].map((peer) => ({
    text: 'an echo during a bulk transfer',
    work: 'W3',
    peer,
    metrics: ['echo p99'],
    bound: { ratio: 1 },
  })),
  ...[passThrough, access].map((peer) => ({
    text: 'neighbours of a stalled reader',
    work: 'W4',
    peer,
    metrics: ['p99 moved by'],
    bound: { value: 5 },
  })),
  {
    text: '1 KiB requests through the inner HTTP/2',
    work: 'W5',
    peer: access,
    metrics: ['server CPU, requests, HTTP/1.1', 'server CPU, requests, HTTP/2'],
    bound: { ratio: 1 },
  },
  { text: 'an idle agent', work: 'W6', peer: access, metrics: ['server CPU'], bound: { ratio: 0.1 } },
  { text: 'an idle agent', work: 'W6', peer: access, metrics: ['server RSS'], bound: { ratio: 1 } },
];

export type Verdict = {
  readonly text: string;
  readonly peer: string;
  readonly metric: string;
  /** `× 0.8`, or a value with its unit. */
  readonly bound: string;
  readonly measured: string;
  readonly isMet: boolean;
};

/** One for each metric of a target that was measured. */
export function verdicts(rows: readonly ResultRow[]): Verdict[] {
  return targets.flatMap(({ text, work, peer, metrics, bound }) =>
    metrics.flatMap((metric): Verdict[] => {
      const row = rows.find((other) => other.work === work && other.peer === peer && other.metric === metric);
      if (!row) return [];
      const about = { text, peer, metric };
      if ('value' in bound) {
        const measured = `${row.value} ${row.unit}`;
        return [{ ...about, bound: `${bound.value} ${row.unit}`, measured, isMet: row.value <= bound.value }];
      }
      const ratio = row.ratioToGoRelay;
      const measured = ratio === null ? 'no ratio' : `× ${ratio.toFixed(2)}`;
      return [
        { ...about, bound: `× ${bound.ratio}`, measured, isMet: ratio !== null && ratio <= bound.ratio },
      ];
    }),
  );
}
