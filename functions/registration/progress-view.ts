import {
  type AttemptProgress,
  progressSteps,
  type StepProgress,
} from '../../core/cluster/progress-schema.ts';
import { isoTime } from './cluster-view.ts';
import { type Attempt, silenceMs, stateOf, type StepReport } from './progress-states.ts';

/** What is shown where nothing was reported. */
export const noAttempt: AttemptProgress = { state: 'none', steps: [], versions: {} };

/** An attempt as the API shows it at a time, epoch milliseconds. */
export function attemptView(attempt: Attempt, now: number): AttemptProgress {
  const state = stateOf(attempt, now);
  return {
    state,
    operation: attempt.operation,
    attempt: attempt.attempt,
    startedAt: isoTime(attempt.startedAt),
    lastReportAt: isoTime(attempt.lastReportAt),
    ...(state === 'unresponsive' ? { unresponsiveSince: isoTime(attempt.lastReportAt + silenceMs) } : {}),
    steps: stepViews(attempt),
    versions: Object.fromEntries(Object.entries(attempt.versions).map(([name, { value }]) => [name, value])),
  };
}

/**
 * The steps of the attempt's operation in their order. An installer begins a step when it is done with the one before:
 * of a step that says no end though a later one was reported since, the end is unknown.
 */
function stepViews({ operation, steps }: Attempt): StepProgress[] {
  const names: readonly string[] = progressSteps[operation];
  return names.map((step, index): StepProgress => {
    const record = steps[step];
    const sequence = record?.latest.sequence ?? -1;
    const passed = names.slice(index + 1).some((name) => (steps[name]?.latest.sequence ?? -1) > sequence);
    if (!record) return { step, state: passed ? 'unknown' : 'pending' };
    const { startedAt, latest, failure } = record;
    const running = latest.state === 'running';
    return {
      step,
      state: running && passed ? 'unknown' : latest.state,
      startedAt: isoTime(startedAt),
      ...(running ? {} : { endedAt: isoTime(latest.at) }),
      ...whyOf(latest),
      ...(failure && failure.sequence !== latest.sequence
        ? { lastFailure: { at: isoTime(failure.at), ...whyOf(failure) } }
        : {}),
    };
  });
}

const whyOf = ({ message, reason, hint }: StepReport) => ({
  ...(message === undefined ? {} : { message }),
  ...(reason === undefined ? {} : { reason }),
  ...(hint === undefined ? {} : { hint }),
});
