import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { member } from '../api-call.ts';
import { day, inDays, now, ruleSetting } from './rule-setting.ts';

const request = {
  vulnerability: 'CVE-2019-14697',
  package: 'pkg:apk/alpine/musl',
  scope: { repository: 'registry.example/shop/**' },
  justification: 'no floating point from outside',
  expiresAt: inDays(30),
};

describe('exceptions', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());
  const setting = () => ruleSetting(engine, randomBytes);

  test('are made with 201 and Location, shown with author and days left, listed, and gone after 204', async () => {
    const { add, find, list, remove } = setting();
    const made = await add(request);
    const exceptionId = made.json().exceptionId as string;
    expect([made.status, made.headers.Location]).toEqual([201, `image-exceptions/${exceptionId}`]);
    expect(made.json()).toEqual({
      exceptionId: expect.stringMatching(/^[a-z2-7]{16}$/),
      ...request,
      author: 'user:test',
      createdAt: new Date(now).toISOString(),
      state: 'active',
      daysLeft: 30,
    });
    expect((await find(exceptionId)).json()).toEqual(made.json());
    expect((await list()).json()).toEqual({ items: [made.json()] });
    expect((await remove(exceptionId)).status).toBe(204);
    expect((await list()).json()).toEqual({ items: [] });
    for (const gone of [await find(exceptionId), await remove(exceptionId)]) {
      expect([gone.status, gone.json().code]).toEqual([404, 'NOT_FOUND']);
    }
  });

  test('hold from the next judgement on, and not once they are taken away', async () => {
    const { add, remove, rules, tenantId } = setting();
    const held = async () =>
      (await rules.ready(tenantId)).stored.exceptions.map((each) => each.vulnerability);
    const { exceptionId } = (await add(request)).json() as { exceptionId: string };
    expect(await held()).toEqual(['CVE-2019-14697']);
    await remove(exceptionId);
    expect(await held()).toEqual([]);
  });

  test('that say the same as a live one are that one, with 200; a request can so be repeated', async () => {
    const { add, list, clock } = setting();
    const made = await add(request);
    const again = await add({
      ...request,
      vulnerability: 'cve-2019-14697',
      expiresAt: '2026-12-23T14:00:00+02:00',
    });
    expect([again.status, again.json(), again.headers.Location]).toEqual([
      200,
      made.json(),
      made.headers.Location,
    ]);
    // Another justification, or end, or scope, is another exception.
    for (const other of [{ justification: 'x' }, { expiresAt: inDays(31) }, { scope: 'any' }]) {
      expect((await add({ ...request, ...other })).status).toBe(201);
    }
    expect((await list()).json().items).toHaveLength(4);
    clock.now += 30 * day;
    expect((await add({ ...request, expiresAt: inDays(60) })).status).toBe(201);
  });

  test.each([
    ['neither vulnerability nor package', { vulnerability: undefined, package: undefined }, '/vulnerability'],
    ['no justification', { justification: ' ' }, '/justification'],
    ['no end', { expiresAt: undefined }, '/expiresAt'],
    ['an end in the past', { expiresAt: inDays(-1) }, '/expiresAt'],
    ['an end that is now', { expiresAt: inDays(0) }, '/expiresAt'],
    ['an end in 367 days', { expiresAt: inDays(367) }, '/expiresAt'],
    ['an end without a zone', { expiresAt: '2026-12-01T00:00:00' }, '/expiresAt'],
    ['a version in its package', { package: 'pkg:apk/alpine/musl@1.1.20' }, '/package'],
    ['a scope that is none', { scope: {} }, '/scope'],
    ['an author', { author: 'user:boss' }, '/'],
  ])('with %s are refused with 400 INVALID_REQUEST, and nothing is stored', async (_what, change, path) => {
    const { add, list } = setting();
    const refused = await add({ ...request, ...change });
    expect([refused.status, refused.json().code]).toEqual([400, 'INVALID_REQUEST']);
    expect(refused.json().errors).toContainEqual({ path, message: expect.any(String) });
    expect((await list()).json().items).toEqual([]);
  });

  test('up to 366 days are taken', async () => {
    expect((await setting().add({ ...request, expiresAt: inDays(366) })).json().daysLeft).toBe(366);
  });

  test('expire: the list says so at that very moment, for 90 days', async () => {
    const { add, list, find, clock, rules, tenantId } = setting();
    const { exceptionId } = (await add(request)).json() as { exceptionId: string };
    const states = async () =>
      Promise.all(
        ['active', 'expired', 'all'].map(
          async (state) => ((await list({ state })).json().items as []).length,
        ),
      );
    clock.now = now + 30 * day - 1;
    expect(await states()).toEqual([1, 0, 1]);
    expect((await find(exceptionId)).json()).toMatchObject({ state: 'active', daysLeft: 0 });
    clock.now += 1;
    expect(await states()).toEqual([0, 1, 1]);
    expect((await find(exceptionId)).json()).toMatchObject({ state: 'expired', daysLeft: 0 });
    clock.now += 90 * day - 1;
    const later = new Date(clock.now + day).toISOString();
    await add({ ...request, expiresAt: later });
    expect(await states()).toEqual([1, 1, 2]);
    clock.now += 1;
    expect(await states()).toEqual([1, 0, 1]);
    expect((await find(exceptionId)).status).toBe(404);
    expect((await rules.find(tenantId)).exceptions).toHaveLength(2);
    await add({ ...request, justification: 'y', expiresAt: later });
    expect((await rules.find(tenantId)).exceptions).toHaveLength(2);
  });

  test('are listed page by page, the latest first, by vulnerability in any case', async () => {
    const { add, list, clock, tenantId } = setting();
    for (let at = 0; at < 5; at += 1) {
      clock.now += 1_000;
      await add({
        ...request,
        vulnerability: at % 2 === 0 ? 'CVE-2026-1' : 'GHSA-aaaa-bbbb-cccc',
        justification: String(at),
      });
    }
    const said = (answer: { json: () => Record<string, unknown> }) =>
      (answer.json().items as { justification: string }[]).map(({ justification }) => justification);
    const first = await list({ limit: '2' });
    const second = await list({ limit: '2', cursor: String(first.json().nextCursor) });
    const third = await list({ limit: '2', cursor: String(second.json().nextCursor) });
    expect([first, second, third].map(said)).toEqual([['4', '3'], ['2', '1'], ['0']]);
    expect(third.json().nextCursor).toBeUndefined();
    expect(said(await list({ vulnerability: 'ghsa-AAAA-bbbb-cccc' }))).toEqual(['3', '1']);
    expect(said(await list({ limit: '1', vulnerability: 'CVE-2026-1' }))).toEqual(['4']);
    const foreign = await list({ cursor: String(first.json().nextCursor) }, member(newTenantId()));
    expect([foreign.status, foreign.json().code]).toEqual([400, 'INVALID_CURSOR']);
    expect((await list({}, member(tenantId, 'viewer'))).status).toBe(200);
  });

  test('are logged with who did it, and without their justification', async () => {
    const { add, remove, told, tenantId } = setting();
    const { exceptionId } = (await add(request)).json() as { exceptionId: string };
    await add(request);
    await remove(exceptionId);
    const extra = { tenantId, principal: 'user:test', exceptionId };
    expect(told).toEqual([
      { message: 'image exception added', extra },
      { message: 'image exception removed', extra },
    ]);
  });

  test('are read by viewers, and changed by who has image-policy:write: else 403 ACCESS_DENIED', async () => {
    const { add, find, remove, importCsv, tenantId } = setting();
    const { exceptionId } = (await add(request)).json() as { exceptionId: string };
    const editor = member(tenantId, 'editor');
    expect((await find(exceptionId, editor)).status).toBe(200);
    for (const refused of [
      await add(request, editor),
      await remove(exceptionId, editor),
      await importCsv('vulnerability\n', {}, { 'Content-Type': 'text/csv' }, editor),
    ]) {
      expect([refused.status, refused.json().code]).toEqual([403, 'ACCESS_DENIED']);
    }
    expect((await find(exceptionId, member(newTenantId()))).status).toBe(404);
    expect((await remove(exceptionId, member(newTenantId()))).status).toBe(404);
    expect((await find(exceptionId)).status).toBe(200);
  });

  test.each(['GetItem', 'PutItem'])(
    'answer 503 UNAVAILABLE while %s fails, and the same again completes',
    async (operation) => {
      const { add, list, told } = setting();
      engine.faults.failWhen((each) => each === operation);
      const failed = await add(request);
      expect([failed.status, failed.json().code, failed.headers['Retry-After']]).toEqual([
        503,
        'UNAVAILABLE',
        '2',
      ]);
      expect(told).toEqual([]);
      engine.faults.mend();
      expect((await list()).json().items).toEqual([]);
      expect((await add(request)).status).toBe(201);
    },
  );

  test('made at once are all kept', async () => {
    const { add, list } = setting();
    const answers = await Promise.all(
      ['1', '2', '3'].map((justification) => add({ ...request, justification })),
    );
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201]);
    expect((await list()).json().items).toHaveLength(3);
  });

  (unitsAreExact ? test : test.skip)('cost a read to list, and a read and two writes to make', async () => {
    const { add, list } = setting();
    await add(request);
    expect(await engine.units(() => list())).toEqual({ read: 1, write: 0 });
    // The document and the item; from the second on, what the one before replaced, too.
    expect(await engine.units(() => add({ ...request, justification: 'x' }))).toEqual({ read: 1, write: 2 });
    expect(await engine.units(() => add({ ...request, justification: 'y' }))).toEqual({ read: 1, write: 3 });
  });
});

describe('the image policy', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());
  const setting = () => ruleSetting(engine, randomBytes);

  test('is the default until one is set; what is left out has its default then', async () => {
    const { policy, setPolicy, told, tenantId } = setting();
    const initial = {
      warnAt: 4,
      failAt: 9,
      onlyFixable: false,
      epss: {},
      knownExploited: 'ignore',
      graceDays: 0,
      stale: 'fail',
      unscanned: 'fail',
      mode: 'enforce',
      overrides: [],
    };
    expect((await policy()).json()).toEqual(initial);
    const strict = {
      warnAt: 'low',
      failAt: 'high',
      overrides: [{ repositories: ['registry.example/lab/**'], mode: 'audit' }],
    };
    const set = await setPolicy(strict);
    expect([set.status, set.json()]).toEqual([200, { ...initial, ...strict }]);
    expect((await policy()).json()).toEqual({ ...initial, ...strict });
    expect((await setPolicy({})).json()).toEqual(initial);
    expect(told.map(({ extra }) => extra)).toEqual([
      { tenantId, principal: 'user:test', revision: 1 },
      { tenantId, principal: 'user:test', revision: 2 },
    ]);
  });

  test('that is set again as it is makes no new revision', async () => {
    const { setPolicy, rules, tenantId } = setting();
    await setPolicy({ warnAt: 1 });
    expect((await setPolicy({ warnAt: 1 })).status).toBe(200);
    expect((await rules.find(tenantId)).revision).toBe(1);
  });

  test('is replaced with If-Match by who has read it, not by who has read an older one: 409 CONFLICT', async () => {
    const { policy, setPolicy, add, tenantId } = setting();
    const owner = member(tenantId);
    const { ETag = '' } = (await policy()).headers;
    await add(request);
    // Exceptions are not the policy.
    expect((await policy()).headers.ETag).toBe(ETag);
    const first = await setPolicy({ warnAt: 1 }, owner, { 'If-Match': ETag });
    expect([first.status, (await policy()).headers.ETag]).toEqual([200, first.headers.ETag]);
    const second = await setPolicy({ warnAt: 2 }, owner, { 'If-Match': ETag });
    expect([second.status, second.json().code]).toEqual([409, 'CONFLICT']);
    // What was asked for is so already: the answer was lost.
    expect((await setPolicy({ warnAt: 1 }, owner, { 'If-Match': ETag })).status).toBe(200);
    expect((await policy()).json().warnAt).toBe(1);
    const [among, any] = [{ 'if-match': `"x", ${first.headers.ETag ?? ''}` }, { 'if-match': '*' }];
    expect((await setPolicy({ warnAt: 2 }, owner, among)).status).toBe(200);
    expect((await setPolicy({ warnAt: 3 }, owner, any)).status).toBe(200);
  });

  test('stays when exceptions change, and they when it does', async () => {
    const { add, list, policy, setPolicy } = setting();
    await setPolicy({ warnAt: 1 });
    await add(request);
    expect((await policy()).json().warnAt).toBe(1);
    await setPolicy({ warnAt: 2 });
    expect((await list()).json().items).toHaveLength(1);
  });

  test.each([
    [{ warnAt: 5, failAt: 4 }, '/warnAt'],
    [{ failAt: 11 }, '/failAt'],
    [{ warn: 5 }, '/'],
    [{ overrides: [{ repositories: [] }] }, '/overrides/0/repositories'],
  ])('%j is refused with 400 INVALID_REQUEST, and the old one stays', async (body, path) => {
    const { policy, setPolicy } = setting();
    await setPolicy({ warnAt: 1 });
    const refused = await setPolicy(body);
    expect([refused.status, refused.json().code]).toEqual([400, 'INVALID_REQUEST']);
    expect(refused.json().errors).toContainEqual({ path, message: expect.any(String) });
    expect((await policy()).json().warnAt).toBe(1);
  });

  test('is read by viewers and set by who has image-policy:write; 503 UNAVAILABLE while the table is away', async () => {
    const { policy, setPolicy, tenantId } = setting();
    expect((await policy(member(tenantId, 'viewer'))).status).toBe(200);
    expect((await setPolicy({}, member(tenantId, 'editor'))).status).toBe(403);
    engine.faults.failWhen(() => true);
    expect((await policy()).json().code).toBe('UNAVAILABLE');
    expect((await setPolicy({ warnAt: 1 })).json().code).toBe('UNAVAILABLE');
  });
});
