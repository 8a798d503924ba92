import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { TenantAccess } from '../../../core/tenant/tenant-access.ts';
import type { Dependencies } from '../../../functions/registration/deps.ts';
import {
  type ProgressRecord,
  ProgressRepository,
} from '../../../functions/registration/progress-repository.ts';
import { followersOfTenant } from '../../../core/tenant/follower-repository.ts';
import { followMs, showProgress } from '../../../functions/registration/show-progress.ts';
import { silenceMs } from '../../../functions/registration/progress-states.ts';
import { unitsAreExact } from '../../engine.ts';
import { member } from '../api-call.ts';
import { ask, clusterCaller, report, send, shown } from './progress-reports.ts';
import { type Setting, startSetting, tenantA, tenantB } from './setting.ts';

let setting: Setting;
let clusterId: string;
let count = 0;
beforeAll(async () => {
  setting = await startSetting();
});
afterAll(() => setting.engine.close());
beforeEach(async () => {
  count += 1;
  clusterId = (await setting.connect(`shown-${count}`)).clusterId;
});

const take = async (more: Parameters<typeof report>[0] = {}) => {
  const answer = await send(setting, clusterId, report(more));
  if (answer.status !== 200) throw new Error(answer.text);
};
const follow = (cursor: string, more: Partial<Dependencies> = {}) =>
  showProgress({ ...setting.deps, ...more }, member(tenantA), clusterId, cursor);

/** Waits as the clock goes, and does something the nth time. */
const during = (nth: number, work: () => Promise<unknown>): Pick<Dependencies, 'wait'> => {
  let turns = 0;
  return {
    wait: async (ms) => {
      setting.clock.now += ms;
      turns += 1;
      if (turns === nth) await work();
    },
  };
};

/** Answers what need not be consistent with what was there before. */
class LaggingRepository extends ProgressRepository {
  readonly #stale: ProgressRecord | undefined;
  asked = 0;

  constructor(access: TenantAccess, table: string, stale: ProgressRecord | undefined) {
    super(access, table);
    this.#stale = stale;
  }

  override find(...[tenantId, id, options]: Parameters<ProgressRepository['find']>) {
    if (options?.consistent !== false) return super.find(tenantId, id);
    this.asked += 1;
    return Promise.resolve(this.#stale);
  }
}

describe('following', () => {
  test('answers at once when there is something newer than the cursor', async () => {
    const { cursor } = await shown(setting, clusterId);
    await take();
    const before = setting.clock.now;
    expect((await follow(cursor)).progress).toMatchObject({ state: 'running' });
    expect(setting.clock.now).toBe(before);
  });

  test('waits for the first report, and for the next, and ends as soon as it is there', async () => {
    const first = (await shown(setting, clusterId)).cursor;
    const begun = setting.clock.now;
    const { progress } = await follow(
      first,
      during(3, () => take()),
    );
    expect(progress).toMatchObject({ state: 'running', attempt: 'attempt-1' });
    expect(setting.clock.now - begun).toBe(3_000);
    const next = await follow(
      progress.cursor,
      during(2, () => take({ sequence: 1, state: 'failed' })),
    );
    expect(next.progress.state).toBe('failed');
    expect(setting.clock.now - begun).toBe(5_000);
  });

  test('without anything newer answers after 20 s, with the same cursor', async () => {
    await take();
    const { cursor } = await shown(setting, clusterId);
    const begun = setting.clock.now;
    const { progress } = await follow(cursor);
    expect([progress.cursor, setting.clock.now - begun]).toEqual([cursor, followMs]);
  });

  test('beside five of the tenant that wait already is answered at once, and waits again when they have gone', async () => {
    await take();
    const { cursor } = await shown(setting, clusterId);
    const { followers } = setting.deps;
    const { now } = setting.clock;
    const places = { until: now + 25_000, now };
    for (let index = 0; index < followersOfTenant; index += 1)
      expect(await followers.enter(tenantA, `other-${index}`, places)).toBe(true);
    expect((await follow(cursor)).progress.cursor).toBe(cursor);
    expect(setting.clock.now).toBe(now);
    for (let index = 0; index < followersOfTenant; index += 1)
      await followers.leave(tenantA, `other-${index}`, now);
    await follow(cursor);
    expect(setting.clock.now).toBe(now + followMs);
  });

  test('gives its place back, also when something fails while it waits', async () => {
    await take();
    const { cursor } = await shown(setting, clusterId);
    for (let index = 0; index <= followersOfTenant; index += 1) {
      const failing = during(2, () => Promise.reject(new Error('no answer')));
      await expect(follow(cursor, failing)).rejects.toThrow('no answer');
    }
    const begun = setting.clock.now;
    await follow(cursor);
    expect(setting.clock.now - begun).toBe(followMs);
  });

  test('counts turning unresponsive as something newer, once', async () => {
    await take();
    const { cursor } = await shown(setting, clusterId);
    const reported = setting.clock.now;
    setting.clock.now += silenceMs - 5_000;
    const { progress } = await follow(cursor);
    expect(progress).toMatchObject({
      state: 'unresponsive',
      unresponsiveSince: new Date(reported + silenceMs).toISOString(),
    });
    expect(setting.clock.now).toBe(reported + silenceMs);
    expect((await follow(progress.cursor)).progress.cursor).toBe(progress.cursor);
  });

  test('is not woken by what an older attempt still reports', async () => {
    await take({ attempt: 'attempt-1' });
    await take({ attempt: 'attempt-2' });
    const { cursor } = await shown(setting, clusterId);
    const late = during(2, () => take({ attempt: 'attempt-1', sequence: 1, state: 'failed' }));
    const begun = setting.clock.now;
    const { progress } = await follow(cursor, late);
    expect(setting.clock.now - begun).toBe(followMs);
    expect(progress.attempts).toMatchObject([{ attempt: 'attempt-1', state: 'failed' }]);
  });

  test('takes no replica’s older answer for news', async () => {
    await take();
    const stale = await setting.deps.progress.find(tenantA, clusterId);
    await take({ sequence: 1 });
    const { cursor } = await shown(setting, clusterId);
    const lagging = new LaggingRepository(setting.engine.access, setting.engine.tables.tenant, stale);
    const answered = await follow(cursor, { progress: lagging });
    expect([answered.progress.cursor, lagging.asked]).toEqual([cursor, followMs / 1_000]);
  });

  test('ends in 404 NOT_FOUND when the cluster is disconnected meanwhile', async () => {
    await take();
    const { cursor } = await shown(setting, clusterId);
    const resource = '/v1/clusters/{clusterId}';
    const gone = during(2, () =>
      setting.call({
        method: 'DELETE',
        path: resource,
        resource,
        params: { clusterId },
        caller: member(tenantA),
      }),
    );
    await expect(follow(cursor, gone)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('takes no other cluster’s cursor, no other tenant’s and none that is made up: 400 INVALID_CURSOR', async () => {
    const other = await setting.connect(`other-${count}`);
    const theirs = await setting.connect(`theirs-${count}`, tenantB);
    const cursors = [
      (await shown(setting, other.clusterId)).cursor,
      (await shown(setting, theirs.clusterId, { caller: member(tenantB) })).cursor,
      'x',
      '',
    ];
    for (const cursor of cursors) {
      const answer = await ask(setting, clusterId, { query: { follow: cursor } });
      expect([cursor, answer.status, answer.json().code]).toEqual([cursor, 400, 'INVALID_CURSOR']);
    }
  });
});

describe('who may look', () => {
  test.each(['member', 'viewer', 'editor', 'admin', 'owner'] as const)('a %s of the tenant', async (role) => {
    expect((await ask(setting, clusterId, { caller: member(tenantA, role) })).status).toBe(200);
  });

  test('the cluster itself, and no other cluster of the tenant; another tenant neither: the same 404', async () => {
    await take();
    expect((await ask(setting, clusterId, { caller: clusterCaller(clusterId) })).status).toBe(200);
    const sibling = (await setting.connect(`sibling-${count}`)).clusterId;
    const answers = await Promise.all([
      ask(setting, clusterId, { caller: clusterCaller(sibling) }),
      ask(setting, clusterId, { caller: member(tenantB) }),
      ask(setting, 'c-guessedguessedguess2', { caller: clusterCaller(sibling) }),
      ask(setting, 'not-an-id'),
    ]);
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect([answers[0].status, answers[0].json().code]).toEqual([404, 'NOT_FOUND']);
  });

  test('no registration token: 403, and nobody without a credential: 401', async () => {
    const { caller } = await setting.newToken();
    expect((await ask(setting, clusterId, { caller })).status).toBe(403);
    expect((await ask(setting, clusterId, { caller: undefined })).status).toBe(401);
  });
});

test('a table that fails while it waits is 500 INTERNAL', async () => {
  const { cursor } = await shown(setting, clusterId);
  setting.engine.faults.failWhen(
    (operation, input) => operation === 'GetItem' && input.ConsistentRead === false,
  );
  const answer = await ask(setting, clusterId, { query: { follow: cursor } });
  setting.engine.faults.mend();
  expect([answer.status, answer.json().code]).toEqual([500, 'INTERNAL']);
});

(unitsAreExact ? describe : describe.skip)('capacity units', () => {
  test('of looking and of following are what their documentation says', async () => {
    await take({ attempt: 'attempt-1' });
    await take({ attempt: 'attempt-2' });
    const reads = async (work: () => Promise<unknown>) => (await setting.engine.units(work)).read;
    let cursor = '';
    expect(
      await reads(async () => {
        ({ cursor } = await shown(setting, clusterId));
      }),
    ).toBe(3);
    const { read, write } = await setting.engine.units(() => follow(cursor));
    expect([read, write]).toEqual([16, 2]);
  });
});
