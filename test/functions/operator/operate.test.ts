import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { bearerVerifier } from '../../../core/credential/bearer-verifier.ts';
import { roleScopes } from '../../../core/credential/scope.ts';
import { newTenantId, tenantIdPattern } from '../../../core/tenant/identifier.ts';
import { tenantPartition } from '../../../core/tenant/tenant-partition.ts';
import { type Dependencies, stores } from '../../../functions/operator/deps.ts';
import { operate } from '../../../functions/operator/operate.ts';
import { tenantAnswer } from '../../../functions/operator/operator-request.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { randomBytes } from 'node:crypto';

const now = Date.UTC(2026, 10, 23, 8, 0, 0, 500);

describe('the operator function', () => {
  let engine: Engine;
  let deps: Dependencies;
  beforeAll(async () => {
    engine = await startEngine();
    deps = {
      ...stores(engine.dynamo, engine.access, engine.tables),
      issuer: 'https://issuer.example',
      now: () => now,
      random: randomBytes,
    };
  });
  afterAll(() => engine.close());

  const create = async (name: string, ownerEmail = `${name}@example.com`) =>
    tenantAnswer.parse(await operate(deps, { action: 'create-tenant', name, ownerEmail }));
  const tenantItem = async (tenantId: string) =>
    (
      await engine.dynamo.send(
        new GetCommand({
          TableName: engine.tables.tenant,
          Key: { pk: tenantPartition(tenantId, 'TENANT'), sk: 'TENANT' },
        }),
      )
    ).Item;

  test('makes a tenant, leaves an invitation for its owner and gives an owner’s key for a day', async () => {
    const made = await create('team-blue', 'Blue@Example.com');
    expect(made).toEqual({
      tenantId: expect.stringMatching(tenantIdPattern),
      name: 'team-blue',
      apiKey: expect.stringMatching(/^cak_[a-z2-7]{55}$/),
      expiresAt: '2026-11-24T08:00:00.000Z',
    });
    expect(await tenantItem(made.tenantId)).toMatchObject({ name: 'team-blue', createdAt: now });
    const verify = bearerVerifier({
      identities: deps.identities,
      issuer: 'https://issuer.example',
      audience: 'x',
      bindInvitations: false,
      now: () => now,
    });
    expect(await verify(made.apiKey)).toMatchObject({
      kind: 'api-key',
      tenantId: made.tenantId,
      scopes: new Set(roleScopes.owner),
    });
    const bound = await deps.identities.bindInvitation(
      {
        issuer: 'i',
        subject: 's',
        email: 'blue@example.com',
      },
      0,
    );
    expect(bound).toMatchObject({ tenantId: made.tenantId, roles: ['owner'] });
  });

  test('makes the same tenant again by the same name, with a new key; the old key still works', async () => {
    const first = await create('again');
    const second = await create('again');
    expect(second.tenantId).toBe(first.tenantId);
    expect(second.apiKey).not.toBe(first.apiKey);
    const key = tenantAnswer.parse(await operate(deps, { action: 'owner-key', name: 'again' }));
    expect(key.tenantId).toBe(first.tenantId);
    expect(new Set([first.apiKey, second.apiKey, key.apiKey]).size).toBe(3);
  });

  test('makes one tenant of many concurrent requests by one name', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => create('raced')));
    expect(new Set(made.map(({ tenantId }) => tenantId)).size).toBe(1);
  });

  test('completes by asking again what died after any write', async () => {
    for (let nth = 1; nth <= 4; nth += 1) {
      engine.faults.dieAfterWrite(nth);
      await expect(create(`dying-${nth}`)).rejects.toThrow('was lost');
      engine.faults.mend();
      const { tenantId } = await create(`dying-${nth}`);
      expect(await tenantItem(tenantId)).toMatchObject({ name: `dying-${nth}` });
      const user = { issuer: 'i', subject: `s${nth}`, email: `dying-${nth}@example.com` };
      const bound = await deps.identities.bindInvitation(user, 0);
      expect(bound?.tenantId).toBe(tenantId);
    }
  });

  test('refuses an address that another tenant invited: EMAIL_INVITED_ELSEWHERE', async () => {
    await create('holder', 'shared@example.com');
    await expect(create('taker', 'SHARED@example.com')).rejects.toMatchObject({
      name: 'OperatorError',
      code: 'EMAIL_INVITED_ELSEWHERE',
    });
    expect((await create('taker', 'own@example.com')).name).toBe('taker');
  });

  describe('members', () => {
    const email = 'member@example.com';
    const issuer = 'https://issuer.example';
    const signIn = (subject: string, address = email) =>
      deps.identities.bindInvitation({ issuer, subject, email: address }, now);

    test('are invited with a role, get it when they first sign in, and lose all when they are removed', async () => {
      const { tenantId } = await create('crew');
      expect(await operate(deps, { action: 'invite-member', name: 'crew', email, role: 'viewer' })).toEqual({
        tenantId,
        name: 'crew',
        email,
        role: 'viewer',
        expiresAt: '2026-12-23T08:00:00.000Z',
      });
      expect(await signIn('ann')).toMatchObject({ tenantId, roles: ['viewer'] });
      await operate(deps, { action: 'set-member-role', name: 'crew', subject: 'ann', role: 'editor' });
      expect(await deps.identities.findMembership(issuer, 'ann')).toMatchObject({ roles: ['editor'] });
      expect(await operate(deps, { action: 'remove-member', name: 'crew', subject: 'ann' })).toEqual({
        tenantId,
        name: 'crew',
        subject: 'ann',
        removed: { membership: true, invitation: false },
      });
      expect(await deps.identities.findMembership(issuer, 'ann')).toBeUndefined();
      expect(await signIn('ann')).toBeUndefined();
    });

    test('that have not signed in yet lose their invitation by its address, in any case', async () => {
      await create('open-house');
      await operate(deps, {
        action: 'invite-member',
        name: 'open-house',
        email: 'Late@Example.com',
        role: 'viewer',
      });
      const removed = await operate(deps, {
        action: 'remove-member',
        name: 'open-house',
        email: 'late@example.com',
      });
      expect(removed).toMatchObject({ removed: { membership: false, invitation: true } });
      expect(await signIn('late', 'late@example.com')).toBeUndefined();
    });

    test('invited again have the new role', async () => {
      await create('twice');
      for (const role of ['owner', 'member']) {
        await operate(deps, { action: 'invite-member', name: 'twice', email: 'twice@x.org', role });
      }
      expect(await signIn('twice', 'twice@x.org')).toMatchObject({ roles: ['member'] });
    });

    test('of one tenant are nobody to another: MEMBER_NOT_FOUND, and they stay', async () => {
      await create('theirs', 'boss@theirs.example');
      await create('mine', 'boss@mine.example');
      await signIn('boss', 'boss@theirs.example');
      const steps = [
        { action: 'remove-member', name: 'mine', subject: 'boss' },
        { action: 'set-member-role', name: 'mine', subject: 'boss', role: 'viewer' },
        { action: 'remove-member', name: 'theirs', email: 'boss@mine.example' },
      ];
      for (const step of steps)
        await expect(operate(deps, step)).rejects.toMatchObject({ code: 'MEMBER_NOT_FOUND' });
      expect(await deps.identities.findMembership(issuer, 'boss')).toMatchObject({ roles: ['owner'] });
      expect(await signIn('other', 'boss@mine.example')).toMatchObject({ roles: ['owner'] });
    });

    test.each(['invite-member', 'set-member-role', 'remove-member'])(
      '%s asks for a tenant that is there: TENANT_NOT_FOUND',
      async (action) => {
        const wanted = {
          'invite-member': { email, role: 'viewer' },
          'set-member-role': { subject: 's', role: 'viewer' },
          'remove-member': { subject: 's' },
        }[action];
        await expect(operate(deps, { action, name: 'nowhere', ...wanted })).rejects.toMatchObject({
          code: 'TENANT_NOT_FOUND',
        });
      },
    );

    test('cost what their documentation says', async () => {
      await create('counted');
      const units = (event: object) => engine.units(() => operate(deps, { name: 'counted', ...event }));
      const one = { read: 1, write: 1 };
      expect(await units({ action: 'invite-member', email: 'c@x.org', role: 'viewer' })).toEqual(one);
      await signIn('counted', 'c@x.org');
      expect(await units({ action: 'set-member-role', subject: 'counted', role: 'editor' })).toEqual(one);
      expect(await units({ action: 'remove-member', subject: 'counted' })).toEqual(one);
    });
  });

  test('gives no key to a tenant that is not there: TENANT_NOT_FOUND', async () => {
    await expect(operate(deps, { action: 'owner-key', name: 'nobody' })).rejects.toMatchObject({
      code: 'TENANT_NOT_FOUND',
    });
  });

  test.each([
    [undefined],
    ['create-tenant'],
    [{ action: 'delete-tenant', name: 'a' }],
    [{ action: 'create-tenant', name: 'a' }],
    [{ action: 'create-tenant', name: 'A', ownerEmail: 'a@example.com' }],
    [{ action: 'create-tenant', name: '', ownerEmail: 'a@example.com' }],
    [{ action: 'create-tenant', name: 'a'.repeat(64), ownerEmail: 'a@example.com' }],
    [{ action: 'create-tenant', name: 'a#b', ownerEmail: 'a@example.com' }],
    [{ action: 'create-tenant', name: 'a', ownerEmail: 'nobody' }],
    [{ action: 'owner-key', name: 'a', tenantId: newTenantId() }],
    [{ action: 'invite-member', name: 'a', email: 'a@example.com', role: 'king' }],
    [{ action: 'invite-member', name: 'a', role: 'viewer' }],
    [{ action: 'set-member-role', name: 'a', role: 'viewer' }],
    [{ action: 'remove-member', name: 'a' }],
    [{ action: 'remove-member', name: 'a', subject: '' }],
  ])('refuses %j with INVALID_REQUEST and writes nothing', async (event) => {
    const units = await engine.units(async () => {
      await expect(operate(deps, event)).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
    });
    expect(units).toEqual({ read: 0, write: 0 });
  });

  test('costs what its documentation says', async () => {
    expect(await engine.units(() => create('priced'))).toEqual({ read: 0, write: 4 });
    expect(await engine.units(() => create('priced'))).toEqual({ read: 1, write: 4 });
    expect(await engine.units(() => operate(deps, { action: 'owner-key', name: 'priced' }))).toEqual({
      read: 1,
      write: 1,
    });
  });
});
