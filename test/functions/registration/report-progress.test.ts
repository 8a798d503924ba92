import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { clusterKey } from '../../../core/cluster/cluster-repository.ts';
import { progressSteps } from '../../../core/cluster/progress-schema.ts';
import { ProgressRepository } from '../../../functions/registration/progress-repository.ts';
import { reportProgress } from '../../../functions/registration/report-progress.ts';
import { UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { unitsAreExact } from '../../engine.ts';
import { member } from '../api-call.ts';
import { ask, clusterCaller, report, send, shown } from './progress-reports.ts';
import { type Setting, startSetting, tenantA, tenantB } from './setting.ts';

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

/** Somebody else was always faster. */
class OvertakenRepository extends ProgressRepository {
  tries = 0;

  override put(): Promise<boolean> {
    this.tries += 1;
    return Promise.resolve(false);
  }
}

describe('a report', () => {
  test('is taken with 200, begins its attempt and is shown', async () => {
    const clusterId = await newCluster();
    expect(await shown(setting, clusterId)).toEqual({
      state: 'none',
      steps: [],
      versions: {},
      tigerastatus: [],
      cursor: expect.any(String),
      attempts: [],
    });
    const component = { name: 'calico', available: false, progressing: true, degraded: false };
    const taken = await take(clusterId, { versions: { calico: 'v3.32.1' }, tigerastatus: [component] });
    expect(taken).toEqual({ attempt: 'attempt-1', sequence: 0, current: true, state: 'running' });
    expect(await shown(setting, clusterId)).toMatchObject({
      state: 'running',
      operation: 'install',
      attempt: 'attempt-1',
      startedAt: new Date(setting.clock.now).toISOString(),
      lastReportAt: new Date(setting.clock.now).toISOString(),
      versions: { calico: 'v3.32.1' },
      tigerastatus: [component],
      attempts: [],
    });
  });

  test('sent again, by its attempt and sequence, changes nothing at all, whatever else it says', async () => {
    const clusterId = await newCluster();
    await take(clusterId);
    await take(clusterId, { sequence: 1, step: 'operator', state: 'failed', reason: 'TIMEOUT' });
    const before = await setting.dump();
    setting.clock.now += 60_000;
    const again = await take(clusterId, {
      sequence: 1,
      step: 'operator',
      state: 'failed',
      reason: 'TIMEOUT',
    });
    expect(again).toEqual({ attempt: 'attempt-1', sequence: 1, current: true, state: 'failed' });
    await take(clusterId, { sequence: 1, step: 'tunnel', state: 'done' });
    await take(clusterId, { sequence: 0, state: 'done' });
    expect(await setting.dump()).toEqual(before);
  });

  test('that comes at the same time as eleven others is lost as little as they are', async () => {
    const clusterId = await newCluster();
    const steps = progressSteps.install;
    const reports = Array.from({ length: 12 }, (_, sequence) =>
      report({ sequence, step: steps[sequence % steps.length], message: `report ${sequence}` }),
    );
    const answers = await Promise.all(reports.toReversed().map((each) => send(setting, clusterId, each)));
    expect(answers.map(({ status }) => status)).toEqual(reports.map(() => 200));
    const { current } = (await setting.deps.progress.find(tenantA, clusterId)) ?? {};
    expect(current?.seen).toEqual(new Uint8Array([255, 15]));
    const { steps: views } = await shown(setting, clusterId);
    expect(views.map(({ message }) => message)).toEqual([8, 9, 10, 11, 4, 5, 6, 7].map((n) => `report ${n}`));
  });

  test('that others get ahead of again and again is 409 CONFLICT after 25 tries', async () => {
    const clusterId = await newCluster();
    const { tables, access } = setting.engine;
    const overtaken = new OvertakenRepository(access, tables.tenant);
    const deps = { ...setting.deps, progress: overtaken };
    await expect(reportProgress(deps, clusterCaller(clusterId), clusterId, report())).rejects.toMatchObject({
      code: 'CONFLICT',
      status: 409,
    });
    expect(overtaken.tries).toBe(25);
  });

  test('of an unknown step, another operation’s step, or with what is too long or unknown is 400', async () => {
    const clusterId = await newCluster();
    const component = { name: 'calico', available: true, progressing: false, degraded: false };
    const unfit = [
      {},
      report({ step: 'retire' }),
      report({ operation: 'upgrade', step: 'registration' }),
      report({ operation: 'downgrade' }),
      report({ state: 'pending' }),
      report({ sequence: -1 }),
      report({ sequence: 1.5 }),
      report({ attempt: 'short' }),
      report({ attempt: 'Attempt-1' }),
      report({ attempt: 'a'.repeat(41) }),
      report({ message: 'x'.repeat(513) }),
      report({ hint: 'x'.repeat(513) }),
      report({ reason: 'not-a-reason' }),
      report({ reason: 'R'.repeat(65) }),
      report({ versions: { calico: 'v3.32.1\n' } }),
      report({ versions: { browser: '1' } }),
      report({ tigerastatus: Array.from({ length: 33 }, () => component) }),
      report({ tigerastatus: [{ ...component, message: 'x'.repeat(513) }] }),
      { ...report(), tenantId: tenantB },
    ];
    for (const body of unfit) {
      const answer = await send(setting, clusterId, body);
      expect([body, answer.status, answer.json().code]).toEqual([body, 400, 'INVALID_REQUEST']);
    }
    expect(await progressItems(clusterId)).toEqual([]);
    await take(clusterId, {
      message: 'x'.repeat(512),
      tigerastatus: Array.from({ length: 32 }, () => component),
    });
  });

  test('of more than 64 KiB is 413 PAYLOAD_TOO_LARGE', async () => {
    const clusterId = await newCluster();
    const text = JSON.stringify(report());
    const answer = await send(setting, clusterId, text + ' '.repeat(65_537 - text.length));
    expect([answer.status, answer.json().code]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
    expect((await send(setting, clusterId, text + ' '.repeat(65_536 - text.length))).status).toBe(200);
  });

  test('is kept without the secrets in its texts, in the table too', async () => {
    const clusterId = await newCluster();
    const secret = 'ccr_abcdefghijklmnop234567';
    await take(clusterId, {
      state: 'failed',
      message: `got ${secret}`,
      hint: `export TOKEN=${secret}`,
      versions: { installer: secret },
      tigerastatus: [
        { name: 'calico', available: true, progressing: false, degraded: false, message: `Bearer ${secret}` },
      ],
    });
    const stored = JSON.stringify(await progressItems(clusterId));
    expect(stored).toContain('[removed]');
    expect(stored + JSON.stringify(await shown(setting, clusterId))).not.toContain('abcdefgh');
    expect(setting.told.lines.map((line) => JSON.stringify(line)).join('\n')).not.toContain('abcdefgh');
  });

  test('with the operation of another in the same attempt is 400 INVALID_REQUEST', async () => {
    const clusterId = await newCluster();
    await take(clusterId);
    const answer = await send(setting, clusterId, report({ operation: 'upgrade', sequence: 1 }));
    expect([answer.status, answer.json().errors]).toEqual([
      400,
      [{ path: '/operation', message: 'This attempt is an install' }],
    ]);
  });

  test('beyond a thousand of its attempt is 409 LIMIT_REACHED', async () => {
    const clusterId = await newCluster();
    await take(clusterId, { sequence: 999 });
    const answer = await send(setting, clusterId, report({ sequence: 1_000 }));
    expect([answer.status, answer.json().code]).toEqual([409, 'LIMIT_REACHED']);
  });
});

describe('a cluster’s own token', () => {
  test('reports for that cluster only: any other is the same 404, and unchanged', async () => {
    const [mine, sibling] = [await newCluster(), await newCluster()];
    const other = (await setting.connect('elsewhere', tenantB)).clusterId;
    const before = await setting.dump();
    const answers = await Promise.all(
      [sibling, other, 'c-guessedguessedguess2', 'x', `${mine}#attempt-1`].map((clusterId) =>
        send(setting, clusterId, report(), { caller: clusterCaller(mine) }),
      ),
    );
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect([answers[0]?.status, answers[0]?.json().code]).toEqual([404, 'NOT_FOUND']);
    expect(await setting.dump()).toEqual(before);
    expect((await send(setting, mine, report())).status).toBe(200);
  });

  test('is what reporting needs: an owner and a registration token are refused with 403', async () => {
    const clusterId = await newCluster();
    const { caller } = await setting.newToken();
    for (const each of [member(tenantA), caller]) {
      const answer = await send(setting, clusterId, report(), { caller: each });
      expect([answer.status, answer.json().code]).toEqual([403, 'ACCESS_DENIED']);
    }
    expect((await send(setting, clusterId, report(), { caller: undefined })).status).toBe(401);
  });

  test('of a cluster that is disconnected, or about to be, reports nothing: 404; its history stays, unreachable', async () => {
    const clusterId = await newCluster();
    await take(clusterId);
    await setting.deps.registered.beginDisconnect(tenantA, clusterId, setting.clock.now);
    expect((await send(setting, clusterId, report({ sequence: 1 }))).status).toBe(404);
    const resource = '/v1/clusters/{clusterId}';
    const gone = await setting.call({
      method: 'DELETE',
      path: resource,
      resource,
      params: { clusterId },
      caller: member(tenantA),
    });
    expect(gone.status).toBe(204);
    expect((await send(setting, clusterId, report({ sequence: 1 }))).status).toBe(404);
    const [asked, guessed] = [await ask(setting, clusterId), await ask(setting, 'c-guessedguessedguess2')];
    expect([asked.status, asked.text]).toEqual([404, guessed.text]);
    expect(await progressItems(clusterId)).toHaveLength(1);
  });
});

test('an answer says when the cluster’s certificate ends, from 60 days before', async () => {
  const clusterId = await newCluster();
  const answers = async () => [await send(setting, clusterId, report()), await ask(setting, clusterId)];
  for (const { headers } of await answers())
    expect(headers).not.toHaveProperty('Cattery-Certificate-Expires');
  const soon = setting.clock.now + 59 * 86_400_000;
  await setting.engine.dynamo.send(
    new UpdateCommand({
      TableName: setting.engine.tables.tenant,
      Key: clusterKey(tenantA, clusterId),
      UpdateExpression: 'SET notAfter = :soon',
      ExpressionAttributeValues: { ':soon': soon },
    }),
  );
  for (const { headers } of await answers()) {
    expect(headers['Cattery-Certificate-Expires']).toBe(new Date(soon).toISOString());
  }
});

(unitsAreExact ? describe : describe.skip)('capacity units', () => {
  test('of a report and of showing are what their documentation says', async () => {
    const clusterId = await newCluster();
    const units = async (work: () => Promise<unknown>) => {
      const { read, write } = await setting.engine.units(work);
      return [read, write];
    };
    const typical = { message: 'waiting for the deployment', versions: { calico: 'v3.32.1' } };
    expect(await units(() => take(clusterId, typical))).toEqual([2, 1]);
    expect(await units(() => take(clusterId, { ...typical, sequence: 1 }))).toEqual([2, 1]);
    expect(await units(() => take(clusterId, { ...typical, sequence: 1 }))).toEqual([2, 0]);
    // The one before is copied.
    expect(await units(() => take(clusterId, { attempt: 'attempt-2' }))).toEqual([2, 2]);
    expect(await units(() => take(clusterId, { ...typical, sequence: 2 }))).toEqual([3, 1]);
    expect(await units(() => shown(setting, clusterId))).toEqual([3, 0]);
    // A whole install as it is reported: every step once begun, once waited for, once done.
    let sequence = 0;
    let written = 0;
    for (const step of progressSteps.install) {
      for (const state of ['running', 'running', 'done'] as const) {
        const message = `${step}: ${state}, and something about it that takes a line of the terminal`;
        const said = { attempt: 'attempt-2', sequence: (sequence += 1), step, state, message };
        const tigerastatus = ['apiserver', 'calico', 'goldmane', 'whisker', 'ippools'].map((name) => ({
          name,
          available: true,
          progressing: false,
          degraded: false,
          message: 'All objects available',
        }));
        const [read = 0, write = 0] = await units(() => take(clusterId, { ...said, tigerastatus }));
        expect(read).toBe(2);
        expect(write).toBeLessThanOrEqual(3);
        written += write;
      }
    }
    expect(written).toBeLessThanOrEqual(24 * 3);
  });
});
