import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { unitsAreExact } from '../../engine.ts';
import { ProgressRepository } from '../../../functions/registration/progress-repository.ts';
import { reportProgress } from '../../../functions/registration/report-progress.ts';
import { clusterCaller, report, send } from './progress-reports.ts';
import { facts, type Setting, startSetting, tenantA } from './setting.ts';

let setting: Setting;
let clusterId: string;
let count = 0;
beforeAll(async () => {
  setting = await startSetting();
});
afterAll(() => setting.engine.close());
beforeEach(async () => {
  count += 1;
  clusterId = (await setting.connect(`upgraded-${count}`)).clusterId;
});

const versions = { kubernetes: 'v1.34.1', calico: 'v3.33.0', operator: 'v1.43.0' };
const end = { operation: 'upgrade', step: 'tunnel', state: 'done' };
const take = async (more: Parameters<typeof report>[0]) => {
  const answer = await send(setting, clusterId, report(more));
  if (answer.status !== 200) throw new Error(answer.text);
};
const shownFacts = async () => (await setting.deps.clusters.find(tenantA, clusterId))?.facts;

/** Takes nothing, as a table that fails. */
class FailingRepository extends ProgressRepository {
  override put(): Promise<boolean> {
    return Promise.reject(new Error('no answer'));
  }
}

describe('the versions of a cluster', () => {
  test('are those of its registration until an attempt succeeds, then those that it reported', async () => {
    await take({ operation: 'upgrade', versions });
    await take({ operation: 'upgrade', sequence: 1, state: 'failed' });
    expect(await shownFacts()).toEqual(facts);
    await take({ ...end, sequence: 2 });
    expect(await shownFacts()).toEqual({
      ...facts,
      kubernetesVersion: 'v1.34.1',
      calicoVersion: 'v3.33.0',
    });
  });

  test('that were not reported stay as they are; a single report may be all', async () => {
    await take({ ...end, versions: { calico: 'v3.33.0' } });
    expect(await shownFacts()).toEqual({ ...facts, calicoVersion: 'v3.33.0' });
  });

  test('do not follow an older attempt, nor what is reported after the end', async () => {
    await take({ ...end, attempt: 'attempt-1', step: 'calico' });
    await take({ ...end, attempt: 'attempt-2' });
    await take({ ...end, attempt: 'attempt-1', sequence: 1, versions });
    await take({ ...end, attempt: 'attempt-2', sequence: 1, versions });
    expect(await shownFacts()).toEqual(facts);
  });

  test('follow once the report is sent again, when storing it failed', async () => {
    const { tables, access } = setting.engine;
    const failing = { ...setting.deps, progress: new FailingRepository(access, tables.tenant) };
    const said = report({ ...end, versions });
    await expect(reportProgress(failing, clusterCaller(clusterId), clusterId, said)).rejects.toThrow(
      'no answer',
    );
    await take({ ...end, versions });
    expect(await shownFacts()).toMatchObject({ calicoVersion: 'v3.33.0' });
  });

  test('bring no cluster back that was disconnected meanwhile', async () => {
    const { registered } = setting.deps;
    const cluster = await registered.beginDisconnect(tenantA, clusterId, setting.clock.now);
    if (cluster) await registered.endDisconnect(tenantA, cluster, setting.clock.now);
    const before = await setting.dump();
    await registered.changeVersions(tenantA, clusterId, { kubernetesVersion: 'v2', calicoVersion: 'v4' });
    await registered.changeVersions(tenantA, 'c-guessedguessedguess2', {
      kubernetesVersion: 'v2',
      calicoVersion: 'v4',
    });
    expect(await setting.dump()).toEqual(before);
  });

  (unitsAreExact ? test : test.skip)('cost a write of the cluster when they are others', async () => {
    const units = async (more: Parameters<typeof report>[0]) => {
      const { read, write } = await setting.engine.units(() => take(more));
      return [read, write];
    };
    expect(await units({ ...end, versions })).toEqual([2, 3]);
    expect(await units({ ...end, attempt: 'attempt-2', versions })).toEqual([2, 2]);
  });
});
