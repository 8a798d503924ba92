import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { GetCommand, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import type { ImageException, StoredStatement } from '../../../core/image/exception-schema.ts';
import { defaultImagePolicy, imagePolicy } from '../../../core/image/image-policy-schema.ts';
import type { TenantRules } from '../../../core/image/image-rules.ts';
import { ImageRulesRepository, rulesKey } from '../../../core/image/image-rules-repository.ts';
import { ruleLimits } from '../../../core/image/rules-document.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { tenantPartition } from '../../../core/tenant/tenant-partition.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';

const exception = (name: string, more: Partial<ImageException> = {}): ImageException => ({
  exceptionId: name,
  vulnerability: `CVE-2026-${name}`,
  scope: 'any',
  justification: 'not reachable',
  expiresAt: '2027-01-01T00:00:00.000Z',
  author: 'user:test',
  createdAt: '2026-11-23T12:00:00.000Z',
  ...more,
});
const statement: StoredStatement = {
  author: 'us',
  vulnerability: 'CVE-2026-1',
  aliases: [],
  products: [{ id: `sha256:${'a'.repeat(64)}`, subcomponents: [] }],
  status: 'not_affected',
  at: 1,
};
const withException = (name: string) => (rules: TenantRules) => ({
  ...rules,
  exceptions: [...rules.exceptions, exception(name)],
});
const names = ({ exceptions }: TenantRules) => exceptions.map(({ exceptionId }) => exceptionId);
const strict = imagePolicy.parse({ warnAt: 1, failAt: 2 });

describe('the rules of a tenant', () => {
  let engine: Engine;
  let rules: ImageRulesRepository;
  beforeAll(async () => {
    engine = await startEngine();
    rules = fresh();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());

  /** Another process: it remembers nothing. */
  const fresh = () => new ImageRulesRepository(engine.access, engine.tables.tenant);
  const stored = async (tenantId: string) => {
    const { Items = [] } = await engine.dynamo.send(
      new QueryCommand({
        TableName: engine.tables.tenant,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': tenantPartition(tenantId, 'IMAGE_POLICY') },
        ConsistentRead: true,
      }),
    );
    return Items;
  };
  const item = async (tenantId: string) =>
    (await engine.dynamo.send(new GetCommand({ TableName: engine.tables.tenant, Key: rulesKey(tenantId) })))
      .Item;

  test('are the default policy and nothing else until one is set', async () => {
    const tenantId = newTenantId();
    expect(await rules.find(tenantId)).toEqual({
      revision: 0,
      policy: defaultImagePolicy,
      exceptions: [],
      statements: [],
    });
    expect((await rules.ready(tenantId)).stored.revision).toBe(0);
    expect((await rules.ready(tenantId, { item: undefined })).stored.policy).toEqual(defaultImagePolicy);
  });

  test('are the two thresholds of an earlier build while there is nothing newer', async () => {
    const tenantId = newTenantId();
    const pk = tenantPartition(tenantId, 'IMAGE_POLICY');
    await engine.dynamo.send(
      new PutCommand({
        TableName: engine.tables.tenant,
        Item: { pk, sk: 'POLICY', warnAt: '1e-130', failAt: '2' },
      }),
    );
    const expected = imagePolicy.parse({ warnAt: 1e-130, failAt: 2 });
    expect((await rules.find(tenantId)).policy).toEqual(expected);
    expect((await fresh().ready(tenantId, { item: undefined })).stored.policy).toEqual(expected);
    // They stay when an exception is the first thing to be stored.
    expect((await rules.change(tenantId, withException('1'))).policy).toEqual(expected);
    expect((await fresh().find(tenantId)).policy).toEqual(expected);
    await rules.change(tenantId, (before) => ({ ...before, policy: defaultImagePolicy }));
    expect((await fresh().find(tenantId)).policy).toEqual(defaultImagePolicy);
  });

  test('are found as they were changed, part by part, by every process at once', async () => {
    const tenantId = newTenantId();
    const other = fresh();
    await other.find(tenantId);
    await rules.change(tenantId, (before) => ({ ...before, policy: strict }));
    await rules.change(tenantId, withException('1'));
    const last = await rules.change(tenantId, (before) => ({ ...before, statements: [statement] }));
    const expected = { revision: 3, policy: strict, exceptions: [exception('1')], statements: [statement] };
    expect(last).toEqual(expected);
    expect(await other.find(tenantId)).toEqual(expected);
    expect((await other.ready(tenantId, { item: await item(tenantId) })).stored).toEqual(expected);
    expect(await rules.change(tenantId, (before) => ({ ...before, exceptions: [] }))).toMatchObject({
      exceptions: [],
      statements: [statement],
    });
    expect(await fresh().find(tenantId)).toEqual(await other.find(tenantId));
  });

  test('of two tenants have nothing to do with each other', async () => {
    const [a, b] = [newTenantId(), newTenantId()];
    await rules.change(a, withException('a'));
    await rules.change(b, withException('b'));
    expect([names(await rules.find(a)), names(await rules.find(b))]).toEqual([['a'], ['b']]);
  });

  test('that a change leaves as they are cost no write and no revision', async () => {
    const tenantId = newTenantId();
    await rules.change(tenantId, withException('1'));
    const { write } = await engine.units(() => rules.change(tenantId, (before) => ({ ...before })));
    expect([write, (await rules.find(tenantId)).revision]).toEqual([0, 1]);
  });

  test('leave no more behind than what the last change replaced', async () => {
    const tenantId = newTenantId();
    for (const name of ['1', '2', '3', '4', '5']) await rules.change(tenantId, withException(name));
    await rules.change(tenantId, (before) => ({ ...before, statements: [statement] }));
    await rules.change(tenantId, (before) => ({ ...before, policy: strict }));
    // RULES and the two documents that hold.
    expect(await stored(tenantId)).toHaveLength(3);
    expect(names(await fresh().find(tenantId))).toEqual(['1', '2', '3', '4', '5']);
  });

  describe('when a change stops half-way', () => {
    test.each([1, 2, 3, 4, 5, 6])(
      'after write %d, the old ones hold or the new ones do, whole, and the next change goes on from there',
      async (nth) => {
        const tenantId = newTenantId();
        // So that the change under test deletes, writes both documents, and flips.
        await rules.change(tenantId, withException('1'));
        await rules.change(tenantId, withException('2'));
        const before = await rules.change(tenantId, (old) => ({ ...old, statements: [statement] }));
        await rules.change(tenantId, withException('3'));
        const old = await rules.find(tenantId);
        expect(names(before)).toEqual(['1', '2']);
        const change = (given: TenantRules) => ({
          ...given,
          policy: strict,
          exceptions: [exception('new')],
          statements: [statement, { ...statement, at: 2 }],
        });
        engine.faults.dieAfterWrite(nth);
        const ended = await fresh()
          .change(tenantId, change)
          .then(
            () => 'done',
            (error: unknown) => (error as Error).name,
          );
        const through = engine.faults.mend();
        const now = await fresh().find(tenantId);
        const isNew = now.revision === old.revision + 1;
        // One document to delete, two to write, and the item.
        expect([ended, isNew]).toEqual([nth > 4 ? 'done' : 'InjectedFault', nth >= 4]);
        expect(through).toBe(Math.min(nth, 4));
        expect(now).toEqual(isNew ? { ...change(old), revision: old.revision + 1 } : old);
        const again = await fresh().change(tenantId, change);
        expect(await rules.find(tenantId)).toEqual(again);
        expect(names(again)).toEqual(['new']);
      },
    );

    test.each(['GetItem', 'PutItem', 'DeleteItem'])(
      'as %s does not get out, it says so and nothing has changed',
      async (operation) => {
        const tenantId = newTenantId();
        await rules.change(tenantId, withException('1'));
        const old = await rules.change(tenantId, withException('2'));
        engine.faults.failWhen((each) => each === operation);
        await expect(rules.change(tenantId, withException('3'))).rejects.toThrow('did not get out');
        engine.faults.mend();
        expect(await fresh().find(tenantId)).toEqual(old);
        expect(names(await rules.change(tenantId, withException('3')))).toEqual(['1', '2', '3']);
      },
    );
  });

  describe('that several change at once', () => {
    test('hold what all of them have added', async () => {
      const tenantId = newTenantId();
      await Promise.all(['1', '2', '3', '4'].map((name) => fresh().change(tenantId, withException(name))));
      expect(names(await rules.find(tenantId)).sort()).toEqual(['1', '2', '3', '4']);
      await rules.change(tenantId, withException('5'));
      await rules.change(tenantId, (before) => ({ ...before, policy: strict }));
      expect(await stored(tenantId)).toHaveLength(2);
    });

    test('are refused with CONFLICT after a fourth race lost, and the losers leave nothing behind', async () => {
      const tenantId = newTenantId();
      const quicker = fresh();
      let asked = 0;
      const access = () => ({
        ...engine.access(tenantId),
        // Whoever comes with this change finds that another was just quicker.
        dynamo: slowed(async (command) => {
          if (!(command instanceof PutCommand) || command.input.Item?.sk !== 'RULES') return;
          asked += 1;
          await quicker.change(tenantId, withException(`quick-${asked}`));
        }),
      });
      const unlucky = new ImageRulesRepository(access, engine.tables.tenant);
      await expect(unlucky.change(tenantId, withException('slow'))).rejects.toMatchObject({
        code: 'CONFLICT',
      });
      expect(asked).toBe(4);
      const found = await fresh().find(tenantId);
      expect(names(found)).toEqual(['quick-1', 'quick-2', 'quick-3', 'quick-4']);
      // RULES, its document, and the one that was replaced last.
      expect(await stored(tenantId)).toHaveLength(3);
    });

    test('are stored once when the answer to the write is lost and the SDK repeats it', async () => {
      const tenantId = newTenantId();
      const access = () => ({
        ...engine.access(tenantId),
        dynamo: slowed(async (command) => {
          if (command instanceof PutCommand && command.input.Item?.sk === 'RULES')
            await engine.dynamo.send(command);
        }),
      });
      const repeated = new ImageRulesRepository(access, engine.tables.tenant);
      expect(names(await repeated.change(tenantId, withException('1')))).toEqual(['1']);
      expect(names(await repeated.change(tenantId, withException('2')))).toEqual(['1', '2']);
      expect(await fresh().find(tenantId)).toMatchObject({ revision: 2, exceptions: [{}, {}] });
    });

    test('are stored once, too, when others have gone on from the change of which the answer was lost', async () => {
      const tenantId = newTenantId();
      const access = () => ({
        ...engine.access(tenantId),
        dynamo: slowed(async (command) => {
          if (!(command instanceof PutCommand) || command.input.Item?.sk !== 'RULES') return;
          await engine.dynamo.send(command);
          await fresh().change(tenantId, (before) => ({ ...before, policy: strict }));
        }),
      });
      const repeated = new ImageRulesRepository(access, engine.tables.tenant);
      expect(names(await repeated.change(tenantId, withException('1')))).toEqual(['1']);
      // The other's revision points at the document of ours: it must be there.
      expect(await fresh().find(tenantId)).toMatchObject({
        revision: 2,
        policy: strict,
        exceptions: [exception('1')],
      });
    });

    /** The engine's client, with something that happens before each call. */
    const slowed = (before: (command: unknown) => Promise<unknown>) =>
      new Proxy(engine.dynamo, {
        get: (client, member) =>
          member === 'send'
            ? async (command: never) => {
                await before(command);
                return client.send(command);
              }
            : (Reflect.get(client, member) as unknown),
      });

    test('are read anew by a reader whose documents are gone', async () => {
      const tenantId = newTenantId();
      await rules.change(tenantId, withException('1'));
      const old = await item(tenantId);
      await rules.change(tenantId, withException('2'));
      expect(names((await fresh().ready(tenantId, { item: old })).stored)).toEqual(['1']);
      await rules.change(tenantId, withException('3'));
      expect(names((await fresh().ready(tenantId, { item: old })).stored)).toEqual(['1', '2', '3']);
    });

    test('follow the item that was read, though this process has seen another one', async () => {
      const tenantId = newTenantId();
      await rules.change(tenantId, withException('1'));
      const reader = fresh();
      await reader.ready(tenantId);
      await rules.change(tenantId, withException('2'));
      expect(names((await reader.ready(tenantId, { item: await item(tenantId) })).stored)).toEqual([
        '1',
        '2',
      ]);
    });
  });

  describe('beyond their limits', () => {
    test.each([
      ['exceptions', Array.from({ length: ruleLimits.exceptions + 1 }, (_, at) => exception(String(at)))],
      ['statements', Array.from({ length: ruleLimits.statements + 1 }, () => statement)],
    ])('(too many %s) are refused with LIMIT_REACHED, and the old ones stay', async (part, many) => {
      const tenantId = newTenantId();
      const old = await rules.change(tenantId, withException('1'));
      const change = rules.change(tenantId, (before) => ({ ...before, [part]: many }));
      await expect(change).rejects.toMatchObject({ code: 'LIMIT_REACHED' });
      expect(await fresh().find(tenantId)).toEqual(old);
    });

    test('(too large together) are refused with LIMIT_REACHED', async () => {
      const tenantId = newTenantId();
      let seed = 7;
      // Text that gzip cannot shrink much.
      const noise = () =>
        Array.from({ length: 500 }, () => {
          seed = (seed * 48_271) % 2_147_483_647;
          return String.fromCodePoint(0x4e00 + (seed % 20_000));
        }).join('');
      const many = Array.from({ length: 500 }, (_, at) => exception(String(at), { justification: noise() }));
      const change = rules.change(tenantId, (before) => ({ ...before, exceptions: many }));
      await expect(change).rejects.toMatchObject({ code: 'LIMIT_REACHED' });
    });

    test('(more bytes than readers take, though gzip makes them few) are refused with LIMIT_REACHED', async () => {
      const many = Array.from({ length: ruleLimits.exceptions }, (_, at) =>
        exception(String(at), { justification: '漢'.repeat(500) }),
      );
      const change = rules.change(newTenantId(), (before) => ({ ...before, exceptions: many }));
      await expect(change).rejects.toMatchObject({ code: 'LIMIT_REACHED' });
    });

    test('(a policy that is too large) are refused with LIMIT_REACHED', async () => {
      const overrides = Array.from({ length: 50 }, (_, at) => ({
        repositories: Array.from(
          { length: 20 },
          (_each, n) => `registry.example/${`${at}-${n}-`.repeat(90).slice(0, 290)}`,
        ),
      }));
      const policy = imagePolicy.parse({ overrides });
      const change = rules.change(newTenantId(), (before) => ({ ...before, policy }));
      await expect(change).rejects.toMatchObject({ code: 'LIMIT_REACHED' });
    });
  });

  (unitsAreExact ? test : test.skip)('cost the units that the docstring states', async () => {
    const tenantId = newTenantId();
    const ids = (at: number) => createHash('sha256').update(String(at)).digest('hex');
    const many = Array.from({ length: 100 }, (_, at) =>
      exception(ids(at).slice(0, 16), {
        package: ids(-at - 1).slice(0, 12),
        justification: `team ${ids(at + 200).slice(0, 8)}`,
      }),
    );
    const units = (work: () => Promise<unknown>) => engine.units(work);
    expect(await units(() => fresh().find(tenantId))).toEqual({ read: 2, write: 0 });
    // The two reads of before, the document (4 KB) and the item.
    expect(
      await units(() => fresh().change(tenantId, (before) => ({ ...before, exceptions: many }))),
    ).toEqual({
      read: 2,
      write: 5,
    });
    const read = { item: await item(tenantId) };
    const process = fresh();
    expect(await units(() => process.ready(tenantId, read))).toEqual({ read: 0.5, write: 0 });
    expect(await units(() => process.ready(tenantId, read))).toEqual({ read: 0, write: 0 });
    expect(await units(() => process.ready(tenantId))).toEqual({ read: 1, write: 0 });
    expect(await units(() => process.find(tenantId))).toEqual({ read: 1, write: 0 });
    // The policy alone: no document is read or written.
    expect(await units(() => process.change(tenantId, (old) => ({ ...old, policy: strict })))).toEqual({
      read: 1,
      write: 1,
    });
    const seen = await item(tenantId);
    expect(await units(() => process.ready(tenantId, { item: seen }))).toEqual({ read: 0, write: 0 });
    // The document and the item; then also what that replaced.
    expect(await units(() => process.change(tenantId, withException('x')))).toEqual({ read: 1, write: 5 });
    expect(await units(() => process.change(tenantId, withException('y')))).toEqual({ read: 1, write: 9 });
  });
});
