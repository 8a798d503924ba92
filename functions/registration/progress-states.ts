import {
  type AttemptState,
  type ComponentStatus,
  type InstalledVersions,
  type ProgressOperation,
  type ProgressReport,
  progressSteps,
} from '../../core/cluster/progress-schema.ts';

/**
 * What can befall an attempt. `step`: a report that ends nothing · `end`: its last step is done or skipped · `failure`:
 * a step failed · `silence`: no report for 5 minutes · `newer`: another attempt began.
 */
export const attemptEvents = ['step', 'end', 'failure', 'silence', 'newer'] as const;
export type AttemptEvent = (typeof attemptEvents)[number];

/**
 * The states of an attempt and what leads from one to another; an event that is not listed leaves the state as it is.
 * This table alone decides: `takeReport`, `retire` and `stateOf` look it up, docs/progress.md draws it.
 * A failure is not the end, for an installer may try a step again. A success is.
 */
export const attemptTransitions = {
  none: { step: 'running', end: 'succeeded', failure: 'failed' },
  running: {
    step: 'running',
    end: 'succeeded',
    failure: 'failed',
    silence: 'unresponsive',
    newer: 'superseded',
  },
  unresponsive: { step: 'running', end: 'succeeded', failure: 'failed', newer: 'superseded' },
  failed: { step: 'running', end: 'succeeded', failure: 'failed' },
  superseded: { end: 'succeeded', failure: 'failed' },
  succeeded: {},
} as const satisfies Record<AttemptState, Partial<Record<AttemptEvent, AttemptState>>>;

/** How long an installer that works may be silent, ms; it reports every 30 s while it waits. */
export const silenceMs = 5 * 60_000;

/** Reports of one attempt: at two a minute, eight hours. */
export const maxReports = 1_000;

/** What is kept of one report. `at`: when it came, epoch milliseconds. */
export type StepReport = {
  readonly sequence: number;
  readonly at: number;
  readonly state: ProgressReport['state'];
  readonly message?: string;
  readonly reason?: string;
  readonly hint?: string;
};

/** Of all reports of a step: when the first came, the latest by sequence, and the latest that said `failed`. */
type StepRecord = {
  readonly startedAt: number;
  readonly latest: StepReport;
  readonly failure?: StepReport;
};

type Sequenced<T> = { readonly sequence: number; readonly value: T };

/**
 * An attempt as all its reports make it. Whatever the order in which they come, and however often each, it is the same:
 * a report takes the place of those with a lower sequence only.
 */
export type Attempt = {
  readonly attempt: string;
  readonly operation: ProgressOperation;
  /** By its reports; `stateOf` knows of the silence since. */
  readonly state: AttemptState;
  /** Whether another attempt has begun since. */
  readonly retired: boolean;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  readonly lastReportAt: number;
  /** The highest sequence so far. */
  readonly sequence: number;
  /** One bit for each sequence that has come. */
  readonly seen: Uint8Array;
  readonly steps: Readonly<Record<string, StepRecord>>;
  readonly versions: { readonly [Name in keyof InstalledVersions]?: Sequenced<string> };
  readonly tigerastatus?: Sequenced<readonly ComponentStatus[]>;
};

const next = (state: AttemptState, event: AttemptEvent): AttemptState => {
  const row: Partial<Record<AttemptEvent, AttemptState>> = attemptTransitions[state];
  return row[event] ?? state;
};

function eventOf({ operation, step, state }: ProgressReport): AttemptEvent {
  if (state === 'failed') return 'failure';
  const last: string | undefined = progressSteps[operation].at(-1);
  return step === last && state !== 'running' ? 'end' : 'step';
}

/** An attempt before its first report. `now`: epoch milliseconds. */
export const newAttempt = ({ attempt, operation }: ProgressReport, now: number): Attempt => ({
  attempt,
  operation,
  state: 'none',
  retired: false,
  startedAt: now,
  lastReportAt: now,
  sequence: -1,
  seen: new Uint8Array(),
  steps: {},
  versions: {},
});

/** The attempt's state at a time, epoch milliseconds: as reported, and what became of it when nothing was. */
export const stateOf = ({ state, lastReportAt }: Attempt, now: number): AttemptState =>
  now - lastReportAt >= silenceMs ? next(state, 'silence') : state;

/** The attempt once another one has begun. */
export const retire = (attempt: Attempt): Attempt => ({
  ...attempt,
  state: next(attempt.state, 'newer'),
  retired: true,
});

/** Whether a report with this sequence has come. */
const hasSeen = ({ seen }: Attempt, sequence: number): boolean =>
  ((seen[sequence >> 3] ?? 0) & (1 << (sequence & 7))) !== 0;

/** The attempt with one more report of its own, which came at `now` (epoch ms); the very same when it has come before. */
export function takeReport(attempt: Attempt, report: ProgressReport, now: number): Attempt {
  const { sequence, step, state, message, reason, hint, versions = {}, tigerastatus } = report;
  if (hasSeen(attempt, sequence)) return attempt;
  const said: StepReport = {
    sequence,
    at: now,
    state,
    ...(message === undefined ? {} : { message }),
    ...(reason === undefined ? {} : { reason }),
    ...(hint === undefined ? {} : { hint }),
  };
  const before = attempt.steps[step];
  const failure = state === 'failed' ? later(before?.failure, said) : before?.failure;
  return {
    ...attempt,
    state: stateAfter(attempt, report, now),
    startedAt: Math.min(attempt.startedAt, now),
    lastReportAt: Math.max(attempt.lastReportAt, now),
    sequence: Math.max(attempt.sequence, sequence),
    seen: withBit(attempt.seen, sequence),
    steps: {
      ...attempt.steps,
      [step]: {
        startedAt: Math.min(before?.startedAt ?? now, now),
        latest: later(before?.latest, said),
        ...(failure ? { failure } : {}),
      },
    },
    versions: Object.entries(versions).reduce<Attempt['versions']>(
      (known, [name, value]) => ({
        ...known,
        [name]: later(known[name as keyof InstalledVersions], { sequence, value }),
      }),
      attempt.versions,
    ),
    ...(tigerastatus ? { tigerastatus: later(attempt.tigerastatus, { sequence, value: tigerastatus }) } : {}),
  };
}

/** A report that was overtaken by a later one says nothing about the state, but that the end was reached. */
function stateAfter(attempt: Attempt, report: ProgressReport, now: number): AttemptState {
  const event = eventOf(report);
  if (report.sequence < attempt.sequence && event !== 'end') return attempt.state;
  const after = next(stateOf(attempt, now), event);
  return attempt.retired ? next(after, 'newer') : after;
}

const later = <T extends { readonly sequence: number }>(known: T | undefined, said: T): T =>
  known && known.sequence > said.sequence ? known : said;

function withBit(bits: Uint8Array, index: number): Uint8Array {
  const wider = new Uint8Array(Math.max(bits.length, (index >> 3) + 1));
  wider.set(bits);
  wider[index >> 3] = (wider[index >> 3] ?? 0) | (1 << (index & 7));
  return wider;
}
