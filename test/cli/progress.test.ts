import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Progress, StepProgress } from '../../core/cluster/progress-schema.ts';
import { apiKey, clusterNamed, type FakeDeployment, fakeDeployment, Laptop } from './fixture.ts';

let deployment: FakeDeployment;
let laptop: Laptop;
beforeAll(async () => {
  deployment = await fakeDeployment();
});
afterAll(() => deployment.close());
beforeEach(async () => {
  laptop = await Laptop.of();
  deployment.requests.length = 0;
  Object.assign(laptop.env, { CATTERY_API_URL: deployment.apiUrl, CATTERY_API_KEY: apiKey });
});
afterEach(() => laptop.remove());

const at = (seconds: number) => new Date(Date.UTC(2026, 10, 23, 8, 0, seconds)).toISOString();
const preflight: StepProgress = { step: 'preflight', state: 'done', startedAt: at(0), endedAt: at(1) };
const crds: StepProgress = { step: 'crds', state: 'done', startedAt: at(1), endedAt: at(31) };
const pending = (...steps: string[]): StepProgress[] => steps.map((step) => ({ step, state: 'pending' }));

let cursors = 0;
const progress = (
  state: Progress['state'],
  steps: StepProgress[],
  more: Partial<Progress> = {},
): Progress => ({
  state,
  operation: 'upgrade',
  attempt: 'attempt-1',
  startedAt: at(0),
  lastReportAt: at(31),
  steps,
  versions: { calico: 'v3.32.1' },
  tigerastatus: [],
  cursor: `cursor-${(cursors += 1)}`,
  attempts: [],
  ...more,
});
const none = (): Progress => ({
  state: 'none',
  steps: [],
  versions: {},
  tigerastatus: [],
  cursor: `cursor-${(cursors += 1)}`,
  attempts: [],
});
const waiting: StepProgress = {
  step: 'operator',
  state: 'running',
  startedAt: at(31),
  message: '1 of 2 pods',
};
const inTheMiddle = () => progress('running', [preflight, crds, waiting, ...pending('calico', 'tunnel')]);
const steps = (state: 'done' | 'failed', why: Partial<StepProgress> = {}): StepProgress[] => [
  preflight,
  crds,
  { step: 'operator', state, startedAt: at(31), endedAt: at(151), ...why },
];
const failed = () =>
  progress('failed', [
    ...steps('failed', { reason: 'OPERATOR_TIMEOUT', message: 'not ready', hint: 'Look at its log.' }),
    ...pending('calico', 'tunnel'),
  ]);
const succeeded = () =>
  progress('succeeded', [
    ...steps('done'),
    { step: 'calico', state: 'skipped', startedAt: at(151), endedAt: at(151) },
    { step: 'tunnel', state: 'done', startedAt: at(151), endedAt: at(155) },
  ]);
const asked = () => deployment.requests.map(({ line }) => line).filter((line) => line.includes('/progress'));
const rows = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/));

describe('cattery progress', () => {
  test('prints a row for each step, how long it took and what it says', async () => {
    deployment.progress = [failed()];
    const { out } = await laptop.ok('progress', 'shop');
    const [heading = [], ...table] = rows(out);
    expect(heading[0]).toMatch(/^upgrade of shop: failed, \d+\w ago$/);
    expect(table).toEqual([
      ['STEP', 'STATE', 'TOOK', 'WHAT'],
      ['preflight', 'done', '1s'],
      ['crds', 'done', '30s'],
      ['operator', 'failed', '2m', 'OPERATOR_TIMEOUT: not ready: Look at its log.'],
      ['calico', 'pending'],
      ['tunnel', 'pending'],
    ]);
    expect(asked()).toEqual([`GET /v1/clusters/${clusterNamed('shop', 'a').clusterId}/progress`]);
  });

  test('says what Tigera’s components lack, and shows no control characters of others', async () => {
    const component = { name: 'calico', available: true, progressing: false, degraded: false };
    const broken = {
      ...component,
      name: 'apiserver',
      available: false,
      degraded: true,
      message: 'no\u001b[2J pull',
    };
    deployment.progress = [{ ...inTheMiddle(), tigerastatus: [component, broken] }];
    const { out } = await laptop.ok('progress', 'shop');
    expect(out.trimEnd().split('\n').at(-1)).toBe('apiserver is degraded: no [2J pull');
    expect(out).not.toContain('\u001b');
  });

  test('says so when nothing was reported, and names an unresponsive installer’s time', async () => {
    deployment.progress = [none()];
    expect((await laptop.ok('progress', 'shop')).out).toBe('Nothing has been reported of shop yet.\n');
    deployment.progress = [{ ...inTheMiddle(), state: 'unresponsive', unresponsiveSince: at(331) }];
    expect((await laptop.ok('progress', 'shop')).out).toContain(
      `upgrade of shop: unresponsive since ${at(331)}\n`,
    );
  });

  test('-o json prints what the API has, for programs', async () => {
    const told = inTheMiddle();
    deployment.progress = [told];
    expect(JSON.parse((await laptop.ok('progress', 'shop', '-o', 'json')).out)).toEqual(told);
  });

  test('of a cluster that is not there is 1, and names those that are; wrong usage is 2', async () => {
    const { code, err } = await laptop.cattery('progress', 'nowhere');
    expect([code, err]).toEqual([1, 'There is no cluster nowhere. There are: shop, stock.\n']);
    expect((await laptop.cattery('progress')).code).toBe(2);
    expect((await laptop.cattery('progress', 'shop', '--follow', '-o', 'json')).code).toBe(2);
  });
});

describe('cattery progress --follow', () => {
  test('prints each change once, with the cursor of each answer, and ends with 0 at success', async () => {
    const [first, second, last] = [inTheMiddle(), inTheMiddle(), succeeded()];
    deployment.progress = [first, second, last];
    const { code, out } = await laptop.cattery('progress', 'shop', '--follow');
    expect(code).toBe(0);
    expect(rows(out).map(([step, state]) => [step, state?.split(' ')[0]])).toEqual([
      ['upgrade of shop, attempt attempt-1', undefined],
      ['preflight', 'done'],
      ['crds', 'done'],
      ['operator', 'running'],
      ['operator', 'done'],
      ['calico', 'skipped'],
      ['tunnel', 'done'],
    ]);
    const path = `GET /v1/clusters/${clusterNamed('shop', 'a').clusterId}/progress`;
    expect(asked()).toEqual([path, `${path}?follow=${first.cursor}`, `${path}?follow=${second.cursor}`]);
  });

  test('ends with 1 at a failure, and says at which step, why and what to do', async () => {
    deployment.progress = [inTheMiddle(), failed()];
    expect(await laptop.cattery('progress', 'shop', '--follow')).toMatchObject({
      code: 1,
      err: 'The upgrade of shop failed at step operator. OPERATOR_TIMEOUT: not ready: Look at its log.\n',
    });
  });

  test('ends with 1 when the installer is unresponsive, and says since when', async () => {
    deployment.progress = [
      inTheMiddle(),
      { ...inTheMiddle(), state: 'unresponsive', unresponsiveSince: at(331) },
    ];
    const { code, err } = await laptop.cattery('progress', 'shop', '--follow');
    expect([code, err]).toEqual([
      1,
      `The upgrade of shop is unresponsive at step operator since ${at(331)}. ` +
        'Look whether the installer still runs, and run it again.\n',
    ]);
  });

  test('waits for the first report, and goes on with a newer attempt under a heading of its own', async () => {
    const another = { ...succeeded(), attempt: 'attempt-2' };
    deployment.progress = [none(), inTheMiddle(), another];
    const { code, out, err } = await laptop.cattery('progress', 'shop', '--follow');
    expect([code, err]).toEqual([0, 'Waiting for the first report of shop.\n']);
    expect(out.match(/attempt attempt-\d/g)).toEqual(['attempt attempt-1', 'attempt attempt-2']);
    expect(out.match(/^preflight/gm)).toHaveLength(2);
  });

  test('tries on while the API is not reached, and ends with 5 when that goes on', async () => {
    deployment.progress = [inTheMiddle(), 'UNAVAILABLE', 'TOO_MANY_REQUESTS', 'TIMEOUT', succeeded()];
    const { code, err } = await laptop.cattery('progress', 'shop', '--follow');
    expect([code, err]).toEqual([0, expect.stringMatching(/^[^\n]*UNAVAILABLE[^\n]*Trying on\.\n$/)]);
    expect(laptop.waited).toHaveLength(3);
    deployment.progress = [inTheMiddle(), 'UNAVAILABLE'];
    expect((await laptop.cattery('progress', 'shop', '--follow')).code).toBe(5);
    expect(laptop.waited).toHaveLength(33);
  });

  test('does not ask without a pause when answers come at once and say nothing new', async () => {
    const same = inTheMiddle();
    deployment.progress = [same, same, same, succeeded()];
    expect((await laptop.cattery('progress', 'shop', '--follow')).code).toBe(0);
    expect(laptop.waited).toEqual([2_000, 2_000]);
  });

  test('ends with 0 when the cluster goes while it is uninstalled, with 1 when it goes otherwise', async () => {
    const kept = deployment.clusters.splice(0);
    const shop = clusterNamed('shop', 'a');
    const gone = (operation: 'uninstall' | 'install') => {
      deployment.clusters.splice(0, 2, shop);
      deployment.progress = [
        { ...inTheMiddle(), operation },
        () => {
          deployment.clusters.splice(0);
          return 'NOT_FOUND';
        },
      ];
      return laptop.cattery('progress', 'shop', '--follow');
    };
    try {
      const uninstalled = await gone('uninstall');
      expect([uninstalled.code, uninstalled.out]).toEqual([
        0,
        expect.stringMatching(/\nshop is disconnected\.\n$/),
      ]);
      expect(await gone('install')).toMatchObject({ code: 1, err: expect.stringContaining('NOT_FOUND') });
    } finally {
      deployment.clusters.splice(0, 2, ...kept);
    }
  });
});
