import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PutCommand } from '@aws-sdk/lib-dynamodb';
import {
  type AccessRule,
  accessRuleKey,
  AccessRuleRepository,
} from '../../../core/access/access-rule-repository.ts';
import { AccessRules } from '../../../tunnel-fargate/access/access-rules.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';

const tenantId = `t-${'a'.repeat(20)}`;
const ruleOf = (ruleId: string): AccessRule => ({
  ruleId,
  subjects: ['role:member'],
  clusters: ['*'],
  namespaces: ['shop'],
  apiGroups: [''],
  resources: ['pods'],
  verbs: ['get'],
  createdAt: 0,
  createdBy: 'user:a',
});
const idsOf = (rules: readonly AccessRule[]) => rules.map(({ ruleId }) => ruleId);

/** A table whose answers a test decides, with a clock. */
function fake(timing: { readTimeoutMs?: number } = {}, maxRules?: number) {
  const table = { now: 0, reads: 0, answer: (): Promise<AccessRule[]> => Promise.resolve([ruleOf('one')]) };
  const rules = new AccessRules({
    read: () => {
      table.reads += 1;
      return table.answer();
    },
    now: () => table.now,
    timing,
    ...(maxRules === undefined ? {} : { maxRules }),
  });
  return { table, rules };
}
const failing = () => Promise.reject(new Error('down'));

describe('the rules of a tenant', () => {
  test('are read once for concurrent requests and hold for 2 s', async () => {
    const { table, rules } = fake();
    await Promise.all(Array.from({ length: 50 }, () => rules.of(tenantId)));
    table.now = 1_999;
    await rules.of(tenantId);
    expect(table.reads).toBe(1);
    table.now = 2_000;
    table.answer = () => Promise.resolve([]);
    expect(await rules.of(tenantId)).toEqual([]);
    expect(table.reads).toBe(2);
  });

  test('are each tenant’s own', async () => {
    const read: string[] = [];
    const rules = new AccessRules({
      read: (id) => {
        read.push(id);
        return Promise.resolve([ruleOf(id)]);
      },
      now: () => 0,
    });
    expect(idsOf(await rules.of('a'))).toEqual(['a']);
    expect(idsOf(await rules.of('b'))).toEqual(['b']);
    expect(read).toEqual(['a', 'b']);
  });

  test('hold for 60 s while the table does not answer, then 503 UNAVAILABLE, and come back with it', async () => {
    const { table, rules } = fake();
    await rules.of(tenantId);
    table.answer = failing;
    for (const now of [2_000, 30_000, 59_999]) {
      table.now = now;
      expect(idsOf(await rules.of(tenantId))).toEqual(['one']);
    }
    table.now = 60_000;
    await expect(rules.of(tenantId)).rejects.toMatchObject({ code: 'UNAVAILABLE', status: 503 });
    table.answer = () => Promise.resolve([ruleOf('two')]);
    table.now = 61_000;
    expect(idsOf(await rules.of(tenantId))).toEqual(['two']);
  });

  test('that were never read are UNAVAILABLE, never empty', async () => {
    const { table, rules } = fake();
    table.answer = failing;
    await expect(rules.of(tenantId)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(rules.of(tenantId)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('are asked for at most once a second while the table fails', async () => {
    const { table, rules } = fake();
    await rules.of(tenantId);
    table.answer = failing;
    table.now = 10_000;
    for (let times = 0; times < 20; times += 1) await rules.of(tenantId);
    expect(table.reads).toBe(2);
    table.now = 11_000;
    await rules.of(tenantId);
    expect(table.reads).toBe(3);
  });

  test('do not wait longer than the read may take', async () => {
    const { table, rules } = fake({ readTimeoutMs: 20 });
    await rules.of(tenantId);
    table.answer = () => new Promise(() => undefined);
    table.now = 5_000;
    expect(idsOf(await rules.of(tenantId))).toEqual(['one']);
  });

  test('are bounded in number: those not asked for the longest go', async () => {
    const { table, rules } = fake({}, 40);
    table.answer = () => Promise.resolve(Array.from({ length: 9 }, (_, at) => ruleOf(String(at))));
    for (let at = 0; at < 100; at += 1) await rules.of(`tenant ${at}`);
    expect(rules.size).toBe(4);
    expect(table.reads).toBe(100);
    await rules.of('tenant 99');
    expect(table.reads).toBe(100);
    await rules.of('tenant 1');
    expect(table.reads).toBe(101);
  });
});

describe('the table of access rules', () => {
  let engine: Engine;
  let repository: AccessRuleRepository;
  const put = (tenant: string, rule: AccessRule) =>
    engine.dynamo.send(
      new PutCommand({
        TableName: engine.tables.tenant,
        Item: { ...accessRuleKey(tenant, rule.ruleId), ...rule },
      }),
    );
  beforeAll(async () => {
    engine = await startEngine();
    repository = new AccessRuleRepository(engine.access, engine.tables.tenant);
  });
  afterAll(() => engine.close());

  test('gives all rules of one tenant, as they were put', async () => {
    const other = `t-${'b'.repeat(20)}`;
    await Promise.all([put(tenantId, ruleOf('a')), put(tenantId, ruleOf('b')), put(other, ruleOf('c'))]);
    expect(await repository.all(tenantId)).toEqual([ruleOf('a'), ruleOf('b')]);
    expect(await repository.all(`t-${'c'.repeat(20)}`)).toEqual([]);
  });

  test('gives more than one page of the table', async () => {
    const many = `t-${'d'.repeat(20)}`;
    const wide = (at: number) => ({
      ...ruleOf(`r${String(at).padStart(3, '0')}`),
      description: 'x'.repeat(60_000),
    });
    for (let at = 0; at < 20; at += 1) await put(many, wide(at));
    expect(await repository.all(many)).toHaveLength(20);
  });

  (unitsAreExact ? test : test.skip)('costs 1 read unit for a few rules', async () => {
    const { read, write } = await engine.units(() => repository.all(tenantId));
    expect([read, write]).toEqual([1, 0]);
  });
});
