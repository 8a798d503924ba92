import {
  type AttemptProgress,
  type Progress,
  progress as progressSchema,
  type StepProgress,
} from '../core/cluster/progress-schema.ts';
import type { ApiClient } from './api-client.ts';
import { chooseClusters, listClusters, type ListedCluster } from './clusters.ts';
import { Failure, printable } from './failure.ts';
import type { Surroundings } from './surroundings.ts';
import { span, table } from './table.ts';

/** Between two tries when the API is not reached, and after an answer that came too soon, ms. */
const pauseMs = 2_000;
/** Tries in a row that may fail: over a minute of them, for a request by itself waits. */
const patience = 30;

type Needs = Pick<Surroundings, 'out' | 'err' | 'now' | 'wait'>;

/** What a cluster's installers have reported, and which cluster it is. Throws a Failure when there is none of that name. */
export async function showProgress(
  api: ApiClient,
  name: string,
): Promise<{ cluster: ListedCluster; progress: Progress }> {
  const [cluster] = chooseClusters(await listClusters(api), [name]);
  if (!cluster) throw new Failure('failed', printable(`There is no cluster ${name}.`));
  return { cluster, progress: await api.get(progressSchema, pathOf(cluster)) };
}

/** The current attempt with a row for each step. `now`: epoch milliseconds. */
export function progressText(name: string, progress: Progress, now: number): string {
  if (progress.state === 'none') return printable(`Nothing has been reported of ${name} yet.`) + '\n';
  const rows = progress.steps.map((step) => [step.step, step.state, tookOf(step, now), whyOf(step)]);
  return [
    `${headOf(name, progress, now)}\n`,
    table(['STEP', 'STATE', 'TOOK', 'WHAT'], rows),
    ...progress.tigerastatus
      .filter(({ available, degraded }) => !available || degraded)
      .map(({ name: component, progressing, degraded, message }) => {
        const state = degraded ? 'degraded' : progressing ? 'progressing' : 'not available';
        return printable(`${component} is ${state}${message ? `: ${message}` : ''}`) + '\n';
      }),
  ].join('');
}

/**
 * Follows to the end: a line for each change, as plain text wherever it goes. Throws a Failure when the attempt failed
 * or is unresponsive. A cluster that disappears while it is uninstalled has reached that end.
 */
export async function followProgress(
  { out, err, now, wait }: Needs,
  api: ApiClient,
  { cluster, progress: first }: { readonly cluster: ListedCluster; readonly progress: Progress },
): Promise<void> {
  const name = cluster.clusterName;
  let progress = first;
  let before: Progress | undefined;
  let failures = 0;
  for (;;) {
    for (const line of changes(name, before, progress, now())) out(`${line}\n`);
    if (progress.state === 'succeeded') return;
    if (progress.state === 'failed' || progress.state === 'unresponsive') throw notWell(name, progress);
    if (progress.state === 'none' && !before) err(`Waiting for the first report of ${printable(name)}.\n`);
    before = progress;
    const asked = now();
    try {
      const query = new URLSearchParams({ follow: progress.cursor });
      progress = await api.get(progressSchema, `${pathOf(cluster)}?${query.toString()}`);
      failures = 0;
      // A quiet answer comes after 20 s. One that comes at once would come as often as it is asked for.
      if (progress.cursor === before.cursor && now() - asked < pauseMs) await wait(pauseMs);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      if (error.kind === 'unreachable' && (failures += 1) <= patience) {
        if (failures === 1) err(`${error.message} Trying on.\n`);
        await wait(pauseMs);
      } else if (progress.operation === 'uninstall' && (await isGone(api, cluster))) {
        out(`${printable(name)} is disconnected.\n`);
        return;
      } else throw error;
    }
  }
}

const pathOf = ({ clusterId }: ListedCluster): string =>
  `/v1/clusters/${encodeURIComponent(clusterId)}/progress`;

async function isGone(api: ApiClient, { clusterId }: ListedCluster): Promise<boolean> {
  return (await listClusters(api)).every((each) => each.clusterId !== clusterId);
}

const headOf = (name: string, { operation, state, ...times }: AttemptProgress, now: number): string => {
  const at = state === 'unresponsive' ? times.unresponsiveSince : times.lastReportAt;
  const since = at === undefined ? '' : `, ${span(now - Date.parse(at))} ago`;
  const words = {
    unresponsive: `unresponsive since ${times.unresponsiveSince ?? 'now'}`,
    running: `running, last report${since}`,
  };
  const told = state === 'unresponsive' || state === 'running' ? words[state] : `${state}${since}`;
  return printable(`${operation ?? 'nothing'} of ${name}: ${told}`);
};

/** How long a step took, or has taken so far. */
function tookOf({ startedAt, endedAt, state }: StepProgress, now: number): string {
  if (startedAt === undefined || (endedAt === undefined && state !== 'running')) return '';
  return span((endedAt === undefined ? now : Date.parse(endedAt)) - Date.parse(startedAt));
}

const whyOf = ({ reason, message, hint, lastFailure }: StepProgress): string => {
  const said = [reason, message, hint].filter(Boolean).join(': ');
  const [failed] = [lastFailure?.reason ?? lastFailure?.message].filter(Boolean);
  return failed ? `${said} (failed before: ${failed})` : said;
};

/** One line for each step that is another than it was, under a heading when an attempt begins. */
function changes(name: string, before: Progress | undefined, progress: Progress, now: number): string[] {
  if (progress.state === 'none') return [];
  const begun = before?.attempt !== progress.attempt;
  const known = new Map(begun ? [] : before?.steps.map((step) => [step.step, JSON.stringify(step)]));
  const changed = progress.steps.filter(
    (step) => step.state !== 'pending' && JSON.stringify(step) !== known.get(step.step),
  );
  const lines = changed.map((step) =>
    printable(
      [step.step.padEnd(12), step.state.padEnd(8), tookOf(step, now).padStart(4), whyOf(step)]
        .join(' ')
        .trimEnd(),
    ),
  );
  const head = begun
    ? [printable(`${progress.operation ?? ''} of ${name}, attempt ${progress.attempt ?? ''}`)]
    : [];
  return [...head, ...lines];
}

function notWell(name: string, { operation, state, steps, unresponsiveSince }: Progress): Failure {
  const step = steps.findLast((each) => each.state === (state === 'failed' ? 'failed' : 'running'));
  const at = step ? ` at step ${step.step}` : '';
  const sentence =
    state === 'failed'
      ? [`The ${operation ?? ''} of ${name} failed${at}.`, ...(step ? [whyOf(step)] : [])]
      : [
          `The ${operation ?? ''} of ${name} is unresponsive${at} since ${unresponsiveSince ?? ''}.`,
          'Look whether the installer still runs, and run it again.',
        ];
  return new Failure('failed', printable(sentence.filter(Boolean).join(' ')));
}
