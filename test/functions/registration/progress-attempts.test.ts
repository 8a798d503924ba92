import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Progress } from '../../../core/cluster/progress-schema.ts';
import { attemptsPerHour, keptAttempts } from '../../../functions/registration/report-progress.ts';
import { report, send, shown } from './progress-reports.ts';
import { type Setting, startSetting, tenantA } from './setting.ts';

let setting: Setting;
let count = 0;
beforeAll(async () => {
  setting = await startSetting();
});
afterAll(() => setting.engine.close());

const newCluster = async () => {
  count += 1;
  return (await setting.connect(`reporting-${count}`)).clusterId;
};
const progressItems = async (clusterId: string) => {
  const { tenant = [] } = await setting.dump();
  return tenant.filter(({ pk, sk }) => String(pk).endsWith('#PROGRESS') && String(sk).startsWith(clusterId));
};
/** Reports that must be taken. */
const take = async (clusterId: string, more: Parameters<typeof report>[0] = {}) => {
  const answer = await send(setting, clusterId, report(more));
  if (answer.status !== 200) throw new Error(answer.text);
  return answer.json();
};

describe('attempts', () => {
  test('a newer one begins with its first report; the one before is history, superseded when it ran', async () => {
    const clusterId = await newCluster();
    await take(clusterId, { attempt: 'attempt-1' });
    setting.clock.now += 1_000;
    await take(clusterId, { attempt: 'attempt-2', step: 'preflight' });
    const progress = await shown(setting, clusterId);
    expect(progress).toMatchObject({ attempt: 'attempt-2', state: 'running' });
    expect(progress.attempts).toMatchObject([{ attempt: 'attempt-1', state: 'superseded' }]);
    expect(progress.attempts[0]?.steps[3]).toMatchObject({ step: 'crds', state: 'running' });
  });

  test('no old failure stays: the current one is as it reports, and the failure is in the history', async () => {
    const clusterId = await newCluster();
    await take(clusterId, { attempt: 'attempt-1', state: 'failed', reason: 'FORBIDDEN', hint: 'Grant it.' });
    expect((await shown(setting, clusterId)).state).toBe('failed');
    await take(clusterId, { attempt: 'attempt-2' });
    expect(JSON.stringify({ ...(await shown(setting, clusterId)), attempts: [] })).not.toMatch(
      /fail|FORBIDDEN/i,
    );
    expect((await shown(setting, clusterId)).attempts).toMatchObject([{ state: 'failed' }]);
  });

  test('a late report of an older one changes that one, and the current one not at all', async () => {
    const clusterId = await newCluster();
    for (const attempt of ['attempt-1', 'attempt-2', 'attempt-3']) await take(clusterId, { attempt });
    const { attempts: _attempts, ...before } = await shown(setting, clusterId);
    const late = { attempt: 'attempt-1', sequence: 1, step: 'tunnel', state: 'failed', reason: 'LATE' };
    expect(await take(clusterId, late)).toEqual({
      attempt: 'attempt-1',
      sequence: 1,
      current: false,
      state: 'failed',
    });
    const { attempts, ...after } = await shown(setting, clusterId);
    expect(after).toEqual(before);
    expect(attempts.map(({ attempt, state }) => [attempt, state])).toEqual([
      ['attempt-2', 'superseded'],
      ['attempt-1', 'failed'],
    ]);
    const dump = await setting.dump();
    await take(clusterId, late);
    expect(await setting.dump()).toEqual(dump);
  });

  test('of which two begin at the same time: one is current, the other history, and neither is lost', async () => {
    const clusterId = await newCluster();
    await take(clusterId, { attempt: 'attempt-0' });
    const names = ['attempt-a', 'attempt-b', 'attempt-c'];
    await Promise.all([
      ...names.map((attempt) => take(clusterId, { attempt })),
      // While the one before still reports.
      ...[1, 2, 3].map((sequence) => take(clusterId, { attempt: 'attempt-0', sequence, step: 'calico' })),
    ]);
    const { attempt = '', attempts } = await shown(setting, clusterId);
    expect([attempt, ...attempts.map((each) => each.attempt)].sort()).toEqual(['attempt-0', ...names]);
    expect(names).toContain(attempt);
    const old = await setting.deps.progress.findOlder(tenantA, clusterId, 'attempt-0');
    expect(old?.attempt.seen).toEqual(new Uint8Array([15]));
  });

  test('are kept, twenty and the current one; what an older one reports is 409 LIMIT_REACHED and begins nothing', async () => {
    const clusterId = await newCluster();
    const names = Array.from({ length: keptAttempts + 3 }, (_, index) => `attempt-${index}`);
    for (const attempt of names) await take(clusterId, { attempt });
    const { attempt, attempts } = await shown(setting, clusterId);
    expect([attempt, ...attempts.map((each) => each.attempt)]).toEqual(
      names.toReversed().slice(0, keptAttempts + 1),
    );
    expect(await progressItems(clusterId)).toHaveLength(keptAttempts + 1);
    const before = await setting.dump();
    for (const old of names.slice(0, 2)) {
      const answer = await send(setting, clusterId, report({ attempt: old, sequence: 1, state: 'failed' }));
      expect([answer.status, answer.json().code]).toEqual([409, 'LIMIT_REACHED']);
    }
    expect(await setting.dump()).toEqual(before);
  });

  test('begin at most sixty times an hour: then 409 LIMIT_REACHED with Retry-After, and again when it is over', async () => {
    const clusterId = await newCluster();
    const began = setting.clock.now;
    for (let index = 0; index < attemptsPerHour; index += 1)
      await take(clusterId, { attempt: `attempt-${index}` });
    setting.clock.now = began + 3_599_000;
    const answer = await send(setting, clusterId, report({ attempt: 'one-too-many' }));
    expect([answer.status, answer.json().code, answer.headers['Retry-After']]).toEqual([
      409,
      'LIMIT_REACHED',
      '1',
    ]);
    // Those that are there report on.
    await take(clusterId, { attempt: `attempt-${attemptsPerHour - 1}`, sequence: 1 });
    setting.clock.now = began + 3_600_000;
    await take(clusterId, { attempt: 'in-the-next-hour' });
  });

  test('go 400 days after their last report', async () => {
    const clusterId = await newCluster();
    await take(clusterId, { attempt: 'attempt-1' });
    setting.clock.now += 86_400_000;
    await take(clusterId, { attempt: 'attempt-2' });
    const expiry = Math.ceil(setting.clock.now / 1000) + 400 * 86_400;
    expect((await progressItems(clusterId)).map(({ expiresAt }) => expiresAt)).toEqual([expiry, expiry]);
  });
});

describe('when the process dies or the table fails', () => {
  const scenario = async (
    nth: number,
    clusterId: string,
  ): Promise<{ progress: Progress; writes: number }> => {
    for (let index = 0; index <= keptAttempts; index += 1)
      await take(clusterId, { attempt: `attempt-${index}` });
    const last = report({ attempt: 'attempt-last', state: 'failed', reason: 'BROKEN' });
    setting.engine.faults.dieAfterWrite(nth);
    const first = await send(setting, clusterId, last);
    const writes = setting.engine.faults.mend();
    expect([nth, first.status]).toEqual([nth, nth > writes ? 200 : 500]);
    const again = await send(setting, clusterId, last);
    expect([nth, again.status, again.json().current]).toEqual([nth, 200, true]);
    return { progress: await shown(setting, clusterId), writes };
  };

  test('after any write of a new attempt, sending again completes it; nothing is lost and nothing counts twice', async () => {
    const whole = await scenario(Infinity, await newCluster());
    // Copy, change over, delete.
    expect(whole.writes).toBe(3);
    const plain = ({ progress: { cursor: _cursor, ...rest } }: typeof whole) =>
      JSON.stringify(rest).replace(/"\d{4}-[^"]+Z"/g, '"…"');
    for (let nth = 1; nth <= whole.writes; nth += 1) {
      expect(plain(await scenario(nth, await newCluster()))).toBe(plain(whole));
    }
  });

  test('a report that reaches no table is 500 INTERNAL, and changes nothing', async () => {
    const clusterId = await newCluster();
    await take(clusterId);
    const before = await setting.dump();
    for (const broken of ['GetItem', 'PutItem']) {
      setting.engine.faults.failWhen((operation) => operation === broken);
      const answer = await send(setting, clusterId, report({ sequence: 1 }));
      setting.engine.faults.mend();
      expect([answer.status, answer.json().code]).toEqual([500, 'INTERNAL']);
    }
    expect(await setting.dump()).toEqual(before);
  });
});
