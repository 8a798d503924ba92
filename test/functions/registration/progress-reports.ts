import type { Caller } from '../../../core/credential/caller.ts';
import type { Progress, ProgressReport } from '../../../core/cluster/progress-schema.ts';
import type { Answered, Call } from '../api-call.ts';
import { member } from '../api-call.ts';
import { type Setting, tenantA } from './setting.ts';

/** A report of an install's `crds`, but for what is said otherwise. */
export const report = (more: Partial<Record<keyof ProgressReport, unknown>> = {}): ProgressReport =>
  ({
    operation: 'install',
    attempt: 'attempt-1',
    sequence: 0,
    step: 'crds',
    state: 'running',
    ...more,
  }) as ProgressReport;

/** The caller that a cluster's own token makes. */
export const clusterCaller = (clusterId: string, tenantId = tenantA): Caller => ({
  kind: 'cluster',
  tenantId,
  principal: `cluster:${clusterId}`,
  scopes: new Set(['cluster:report']),
  clusterId,
});

const resource = '/v1/clusters/{clusterId}/progress';

export const send = (
  setting: Setting,
  clusterId: string,
  body: unknown,
  more: Partial<Call> = {},
): Promise<Answered> =>
  setting.call({
    method: 'POST',
    path: resource,
    resource,
    params: { clusterId },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    caller: clusterCaller(clusterId),
    ...more,
  });

export const ask = (setting: Setting, clusterId: string, more: Partial<Call> = {}): Promise<Answered> =>
  setting.call({
    path: resource,
    resource,
    params: { clusterId },
    caller: member(tenantA, 'viewer'),
    ...more,
  });

/** What the API shows; throws unless it is 200. */
export async function shown(
  setting: Setting,
  clusterId: string,
  more: Partial<Call> = {},
): Promise<Progress> {
  const answer = await ask(setting, clusterId, more);
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.json() as Progress;
}
