import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import * as fc from 'fast-check';
import {
  attemptStates,
  progressOperations,
  type ProgressReport,
  progressReport,
  progressSteps,
} from '../../../core/cluster/progress-schema.ts';
import {
  type Attempt,
  attemptEvents,
  attemptTransitions,
  newAttempt,
  retire,
  silenceMs,
  stateOf,
  takeReport,
} from '../../../functions/registration/progress-states.ts';
import { attemptView } from '../../../functions/registration/progress-view.ts';
import { report } from './progress-reports.ts';
import { start } from './setting.ts';

const iso = (time: number) => new Date(time).toISOString();

/** The attempt after these reports, one a second. */
const after = (...reports: readonly Partial<ProgressReport>[]): Attempt =>
  reports.reduce<Attempt>(
    (attempt, each, index) =>
      takeReport(attempt, report({ sequence: index, ...each }), start + index * 1_000),
    newAttempt(report(reports[0]), start),
  );

const running = { step: 'operator', state: 'running' } as const;
const failed = { step: 'operator', state: 'failed' } as const;
const ended = { step: 'tunnel', state: 'done' } as const;

describe('the table of states', () => {
  const rows = attemptStates.flatMap((state) =>
    attemptEvents.flatMap((event) => {
      const to = (attemptTransitions[state] as Partial<Record<string, string>>)[event];
      return to === undefined ? [] : [`${state} --> ${to}: ${event}`];
    }),
  );

  test('is what docs/progress.md draws, arrow by arrow', () => {
    const text = readFileSync(path.join(import.meta.dirname, '../../../docs/progress.md'), 'utf8');
    const [, drawing = ''] = /```mermaid\nstateDiagram-v2\n([^`]*)```/.exec(text) ?? [];
    const arrows = drawing
      .trim()
      .split('\n')
      .map((line) => line.trim());
    expect(arrows.sort()).toEqual(rows.sort());
  });

  test('and the steps of every operation stand there in their order', () => {
    const text = readFileSync(path.join(import.meta.dirname, '../../../docs/progress.md'), 'utf8');
    for (const operation of progressOperations) {
      const steps = progressSteps[operation].map((step) => `\`${step}\``).join(' ');
      expect(text).toContain(`| \`${operation}\` | ${steps} |`);
    }
  });

  test('reaches every state but the first, and leaves every one but the last', () => {
    const reached = new Set(rows.map((row) => /--> (\w+)/.exec(row)?.[1]));
    expect([...reached].sort()).toEqual(attemptStates.filter((state) => state !== 'none').sort());
    const left = attemptStates.filter((state) => Object.keys(attemptTransitions[state]).length > 0);
    expect(attemptStates.filter((state) => !left.includes(state))).toEqual(['succeeded']);
  });

  // Each arrow walked by reports, time and another attempt; what is not listed leaves the state.
  const ways: Readonly<Record<string, () => Attempt>> = {
    none: () => newAttempt(report(), start),
    running: () => after(running),
    unresponsive: () => after(running),
    failed: () => after(failed),
    superseded: () => retire(after(running)),
    succeeded: () => after(ended),
  };
  const seconds: Readonly<Record<string, number>> = { unresponsive: silenceMs / 1000 };
  test.each(attemptStates.flatMap((state) => attemptEvents.map((event) => [state, event] as const)))(
    'is followed: %s, %s',
    (state, event) => {
      const attempt = ways[state]?.() ?? newAttempt(report(), start);
      const now = start + (seconds[state] ?? 1) * 1_000;
      expect(stateOf(attempt, now)).toBe(state);
      const said = { step: running, end: ended, failure: failed, silence: undefined, newer: undefined }[
        event
      ];
      const wanted = (attemptTransitions[state] as Partial<Record<string, string>>)[event] ?? state;
      if (said) {
        expect(stateOf(takeReport(attempt, report({ ...said, sequence: 9 }), now), now)).toBe(wanted);
      } else if (event === 'newer') {
        // Retiring looks at what was reported: it is current no more, however long it was silent.
        expect(stateOf(retire(attempt), now)).toBe(wanted);
      } else {
        expect(stateOf(attempt, now + silenceMs)).toBe(wanted);
      }
    },
  );
});

describe('an attempt', () => {
  test('is unresponsive at 5 minutes of silence, not a millisecond before, since when a report was due', () => {
    const attempt = after({ step: 'preflight' }, running);
    const last = start + 1_000;
    expect(attemptView(attempt, last + silenceMs - 1)).not.toHaveProperty('unresponsiveSince');
    expect(stateOf(attempt, last + silenceMs - 1)).toBe('running');
    expect(attemptView(attempt, last + 3 * silenceMs)).toMatchObject({
      state: 'unresponsive',
      unresponsiveSince: iso(last + 5 * 60_000),
      lastReportAt: iso(last),
    });
  });

  test.each(progressOperations)(
    'to %s has succeeded with its last step done or skipped, not before',
    (operation) => {
      const steps: readonly string[] = progressSteps[operation];
      for (const state of ['done', 'skipped'] as const) {
        const reports = steps.map((step) => progressReport.parse(report({ operation, step, state })));
        const before = after(...reports.slice(0, -1).map((each, sequence) => ({ ...each, sequence })));
        expect(before.state).toBe('running');
        const all = after(...reports.map((each, sequence) => ({ ...each, sequence })));
        expect(all.state).toBe('succeeded');
        expect(attemptView(all, start).steps.map((each) => each.state)).toEqual(steps.map(() => state));
      }
    },
  );

  test('shows each step with its times, what it says and what is to come', () => {
    const attempt = after(
      { step: 'crds', state: 'running' },
      { step: 'crds', state: 'done', message: '28 definitions' },
      { step: 'operator', state: 'running', message: 'waiting' },
      { step: 'operator', state: 'failed', reason: 'TIMEOUT', hint: 'Look at its log.' },
    );
    const { steps, ...rest } = attemptView(attempt, start + 4_000);
    expect(rest).toEqual({
      state: 'failed',
      operation: 'install',
      attempt: 'attempt-1',
      startedAt: iso(start),
      lastReportAt: iso(start + 3_000),
      versions: {},
    });
    expect(steps).toEqual([
      { step: 'preflight', state: 'unknown' },
      { step: 'key', state: 'unknown' },
      { step: 'registration', state: 'unknown' },
      {
        step: 'crds',
        state: 'done',
        startedAt: iso(start),
        endedAt: iso(start + 1_000),
        message: '28 definitions',
      },
      {
        step: 'operator',
        state: 'failed',
        startedAt: iso(start + 2_000),
        endedAt: iso(start + 3_000),
        reason: 'TIMEOUT',
        hint: 'Look at its log.',
      },
      { step: 'calico', state: 'pending' },
      { step: 'connection', state: 'pending' },
      { step: 'tunnel', state: 'pending' },
    ]);
  });

  test('that goes back to an earlier step shows it running, and what failed before as its last failure', () => {
    const attempt = after(
      { step: 'crds', state: 'failed', reason: 'REFUSED', message: 'no' },
      { step: 'operator', state: 'running' },
      { step: 'crds', state: 'running', message: 'again' },
    );
    expect(attemptView(attempt, start).steps.slice(3, 5)).toEqual([
      {
        step: 'crds',
        state: 'running',
        startedAt: iso(start),
        message: 'again',
        lastFailure: { at: iso(start), reason: 'REFUSED', message: 'no' },
      },
      { step: 'operator', state: 'running', startedAt: iso(start + 1_000) },
    ]);
  });

  test('whose end of a step was lost says unknown, not done, once a later one is reported', () => {
    const attempt = after({ step: 'crds', state: 'running' }, running);
    expect(attemptView(attempt, start).steps[3]).toMatchObject({ step: 'crds', state: 'unknown' });
  });

  test('keeps each version, and the components, as last reported', () => {
    const component = (degraded: boolean) => ({
      name: 'calico',
      available: true,
      progressing: false,
      degraded,
    });
    const attempt = after(
      { versions: { calico: 'v3.31.7', kubernetes: 'v1.33.2' }, tigerastatus: [component(true)] },
      { versions: { calico: 'v3.32.1' } },
      { tigerastatus: [component(false)] },
      {},
    );
    expect(attemptView(attempt, start).versions).toEqual({ calico: 'v3.32.1', kubernetes: 'v1.33.2' });
    expect(attempt.tigerastatus?.value).toEqual([component(false)]);
  });

  test('is the very same after a report whose sequence has come before, whatever else it says', () => {
    const attempt = after({ step: 'crds' }, running);
    const another = report({ sequence: 1, step: 'tunnel', state: 'done', versions: { calico: 'v3.32.1' } });
    expect(takeReport(attempt, another, start + 60_000)).toBe(attempt);
  });

  test('is the same whatever the order of its reports, and however often each comes', () => {
    const reports = fc.uniqueArray(
      fc
        .record({
          sequence: fc.nat(999),
          step: fc.constantFrom(...progressSteps.install),
          state: fc.constantFrom('running', 'done', 'skipped', 'failed'),
          versions: fc.option(fc.record({ calico: fc.constantFrom('v3.30.7', 'v3.31.7', 'v3.32.1') })),
          reason: fc.option(fc.constantFrom('TIMEOUT', 'REFUSED')),
        })
        .map(({ versions, reason, ...each }) =>
          report({ ...each, ...(versions ? { versions } : {}), ...(reason ? { reason } : {}) }),
        ),
      { minLength: 1, maxLength: 12, selector: ({ sequence }) => sequence },
    );
    const cases = reports.chain((inOrder) =>
      fc.record({
        inOrder: fc.constant(inOrder),
        shuffled: fc
          .shuffledSubarray(inOrder, { minLength: inOrder.length })
          .chain((all) => fc.array(fc.constantFrom(...all)).map((again) => [...all, ...again])),
        retiredAfter: fc.nat(inOrder.length),
      }),
    );
    const made = (all: readonly ProgressReport[], retiredAfter: number) =>
      all.reduce<Attempt>(
        (attempt, each, index) => takeReport(index === retiredAfter ? retire(attempt) : attempt, each, start),
        newAttempt(report(), start),
      );
    fc.assert(
      fc.property(cases, ({ inOrder, shuffled, retiredAfter }) => {
        const bySequence = inOrder.toSorted((a, b) => a.sequence - b.sequence);
        expect(made(shuffled, -1)).toEqual(made(bySequence, -1));
        const late = retire(made(shuffled, -1));
        // Whenever it was retired: the state is the same.
        const earlier = made(shuffled, retiredAfter);
        expect(earlier.retired ? earlier.state : late.state).toBe(late.state);
      }),
      { seed: 20261123, numRuns: 500 },
    );
  });
});
