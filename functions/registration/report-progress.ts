import type { ClusterFacts } from '../../core/cluster/cluster-schema.ts';
import type { ComponentStatus, ProgressReport, ProgressTaken } from '../../core/cluster/progress-schema.ts';
import { onlyItsOwn } from '../../core/cluster/own-cluster.ts';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import type { Caller } from '../../core/credential/caller.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Dependencies } from './deps.ts';
import { afterTheHour, oneMore } from './hour-count.ts';
import { withoutSecrets } from './masked-text.ts';
import type { ProgressRecord } from './progress-repository.ts';
import { type Attempt, maxReports, newAttempt, retire, stateOf, takeReport } from './progress-states.ts';

/** Older attempts of a cluster that are kept. */
export const keptAttempts = 20;
/** Older attempts whose names are remembered: a report of one of these begins nothing. */
const rememberedAttempts = 60;
/** Attempts of a cluster that may begin within an hour. */
export const attemptsPerHour = 60;

/** Bytes of a report; the longest that fits the schema in ASCII has half of it. */
export const maxReportBytes = 65_536;

/** How often a report gives way to others at the same time before it is refused. */
const tries = 25;

type Needs = Pick<Dependencies, 'registered' | 'progress' | 'now' | 'wait' | 'random' | 'logger'>;
type Standing = { readonly attempt: Attempt; readonly current: boolean };

/**
 * Takes a report of a cluster's installer. The first report of an attempt begins it, and the one before is retired; what
 * an older attempt still reports changes that one only. A report that has come before changes nothing, so whoever got no
 * answer sends it again. Reports at the same time all count: each is written over the version that it has read.
 * Throws NOT_FOUND for every cluster but the caller's own, and that one disconnected; LIMIT_REACHED beyond 1,000
 * reports of an attempt, 60 attempts begun within an hour, or for an attempt too old to be kept; INVALID_REQUEST when an
 * attempt changes its operation.
 * Units: 2 reads and 1 write per KB of the attempt (1 to 4); 1 read more for an older attempt's; the first report of
 * another attempt 1 write per KB of the one before more, and per KB of the oldest once 20 are kept; an attempt's success
 * with other versions than the cluster's 1 write per KB of the cluster (2 to 3) more.
 */
export async function reportProgress(
  deps: Needs,
  caller: Caller,
  clusterId: string,
  report: ProgressReport,
): Promise<{ taken: ProgressTaken; cluster: ClusterRecord }> {
  onlyItsOwn(caller, clusterId);
  const { tenantId } = caller;
  const standing = await deps.registered.standing(tenantId, clusterId);
  if (standing.kind !== 'live') throw new Problem('NOT_FOUND');
  if (report.sequence >= maxReports) {
    throw new Problem('LIMIT_REACHED', `An attempt has at most ${maxReports} reports.`);
  }
  const masked = withoutAnySecrets(report);
  for (let turn = 0; turn < tries; turn += 1) {
    const taken = await takeOnce(deps, { tenantId, clusterId, facts: standing.record.facts }, masked);
    if (taken) {
      const { attempt, current } = taken;
      const { sequence } = report;
      const state = stateOf(attempt, deps.now());
      return {
        taken: { attempt: attempt.attempt, sequence, current, state },
        cluster: standing.record,
      };
    }
    await deps.wait(5 + (deps.random(1)[0] ?? 0) / 4);
  }
  throw new Problem('CONFLICT', 'Too many reports of this cluster at the same time: send it again.');
}

type Where = { readonly tenantId: string; readonly clusterId: string; readonly facts: ClusterFacts };

/** Undefined when another report came in between. */
async function takeOnce(deps: Needs, where: Where, report: ProgressReport): Promise<Standing | undefined> {
  const record = await deps.progress.find(where.tenantId, where.clusterId);
  if (record?.older.includes(report.attempt)) return takeLate(deps, where, record, report);
  if (record?.current.attempt !== report.attempt) return begin(deps, where, record, report);
  return takeCurrent(deps, where, record, report);
}

async function takeCurrent(
  { progress, registered, now, logger }: Needs,
  where: Where,
  record: ProgressRecord,
  report: ProgressReport,
): Promise<Standing | undefined> {
  const { tenantId, clusterId } = where;
  const { current, version } = record;
  const attempt = taken(current, report, now());
  if (attempt === current) return { attempt, current: true };
  if (current.state !== 'succeeded') await takeVersions(registered, where, attempt);
  if (
    !(await progress.put(tenantId, clusterId, { ...record, version: version + 1, current: attempt }, now()))
  )
    return undefined;
  if (attempt.state !== current.state) tell(logger, where, attempt);
  return { attempt, current: true };
}

async function takeLate(
  { progress, now }: Needs,
  { tenantId, clusterId }: Where,
  { older }: ProgressRecord,
  report: ProgressReport,
): Promise<Standing | undefined> {
  const tooOld = () =>
    new Problem(
      'LIMIT_REACHED',
      `Of older attempts, the last ${keptAttempts} are kept: this is none of them.`,
    );
  if (older.indexOf(report.attempt) >= keptAttempts) throw tooOld();
  const found = await progress.findOlder(tenantId, clusterId, report.attempt);
  // It went 400 days after its last report.
  if (!found) throw tooOld();
  const attempt = taken(found.attempt, report, now());
  if (attempt === found.attempt) return { attempt, current: false };
  const stored = await progress.putOlder(tenantId, clusterId, { version: found.version + 1, attempt }, now());
  return stored ? { attempt, current: false } : undefined;
}

/**
 * In this order: the attempt before is copied, then the cluster's item changes over to the new one, then the oldest copy
 * goes. Stopped after the first write, nothing has changed but a copy that the next one replaces; after the second, a
 * copy is left that nobody is shown and that goes with its time.
 */
async function begin(
  { progress, registered, now, logger }: Needs,
  where: Where,
  before: ProgressRecord | undefined,
  report: ProgressReport,
): Promise<Standing | undefined> {
  const { tenantId, clusterId } = where;
  const at = now();
  const hour = oneMore(before?.hour, at);
  if (hour.begun > attemptsPerHour) {
    throw new Problem('LIMIT_REACHED', `At most ${attemptsPerHour} attempts begin within an hour.`, {
      headers: afterTheHour(hour, at),
    });
  }
  const attempt = taken(newAttempt(report, at), report, at);
  if (before) {
    const { version, current } = before;
    await progress.copyOlder(tenantId, clusterId, { version, attempt: retire(current) }, at);
  }
  await takeVersions(registered, where, attempt);
  const older = before ? [before.current.attempt, ...before.older] : [];
  const record = {
    version: (before?.version ?? 0) + 1,
    current: attempt,
    older: older.slice(0, rememberedAttempts),
    hour,
  };
  if (!(await progress.put(tenantId, clusterId, record, at))) return undefined;
  const oldest = older[keptAttempts];
  if (oldest !== undefined) await progress.removeOlder(tenantId, clusterId, oldest);
  tell(logger, where, attempt);
  return { attempt, current: true };
}

/**
 * What the cluster is shown with, and answers `kubectl version` with, follows an attempt that succeeds. Before the report
 * is stored: whoever got no answer sends it again, and it is done again.
 */
async function takeVersions(
  registered: Needs['registered'],
  { tenantId, clusterId, facts }: Where,
  { state, operation, versions: { kubernetes, calico } }: Attempt,
): Promise<void> {
  if (state !== 'succeeded' || operation === 'uninstall') return;
  const kubernetesVersion = kubernetes?.value ?? facts.kubernetesVersion;
  const calicoVersion = calico?.value ?? facts.calicoVersion;
  if (kubernetesVersion === facts.kubernetesVersion && calicoVersion === facts.calicoVersion) return;
  await registered.changeVersions(tenantId, clusterId, { kubernetesVersion, calicoVersion });
}

function taken(attempt: Attempt, report: ProgressReport, now: number): Attempt {
  if (report.operation !== attempt.operation) {
    throw new Problem('INVALID_REQUEST', undefined, {
      errors: [{ path: '/operation', message: `This attempt is an ${attempt.operation}` }],
    });
  }
  return takeReport(attempt, report, now);
}

const tell = (
  logger: Needs['logger'],
  { tenantId, clusterId }: Where,
  { attempt, operation, state }: Attempt,
): void => logger.info('progress', { tenantId, clusterId, operation, attempt, state });

/** Every free text of a report goes through here. */
function withoutAnySecrets(report: ProgressReport): ProgressReport {
  const { message, hint, versions, tigerastatus } = report;
  return {
    ...report,
    ...(message === undefined ? {} : { message: withoutSecrets(message) }),
    ...(hint === undefined ? {} : { hint: withoutSecrets(hint) }),
    ...(versions === undefined ? {} : { versions: mapped(versions, withoutSecrets) }),
    ...(tigerastatus === undefined ? {} : { tigerastatus: tigerastatus.map(withoutSecretsIn) }),
  };
}

const withoutSecretsIn = (status: ComponentStatus): ComponentStatus =>
  status.message === undefined ? status : { ...status, message: withoutSecrets(status.message) };

const mapped = <T extends Record<string, string | undefined>>(
  values: T,
  change: (text: string) => string,
): T =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, value === undefined ? value : change(value)]),
  ) as T;
