import { createServer, type AddressInfo } from 'node:net';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { IdentityRepository } from '../../../core/credential/identity-repository.ts';
import { newToken } from '../../../core/credential/token.ts';
import { documentClient } from '../../../core/tenant/tenant-access.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';

const tenantA = 't-aaaaaaaaaaaaaaaaaaaa';
const tenantB = 't-bbbbbbbbbbbbbbbbbbbb';

describe('identities', () => {
  let engine: Engine;
  let identities: IdentityRepository;
  beforeAll(async () => {
    engine = await startEngine();
    identities = new IdentityRepository(engine.dynamo, engine.tables.identities);
  });
  afterAll(() => engine.close());

  test('keep a credential as it was first stored, find it by its hash, and delete it', async () => {
    const { hash, id } = newToken('api-key');
    const record = {
      hash,
      kind: 'api-key',
      tokenId: id,
      tenantId: tenantA,
      scopes: 'clusters:read',
    } as const;
    await identities.putCredential(record);
    await identities.putCredential({ ...record, tenantId: tenantB, scopes: 'scans:write' });
    expect(await identities.findCredential(hash)).toEqual(record);
    await identities.deleteCredential(hash);
    await identities.deleteCredential(hash);
    expect(await identities.findCredential(hash)).toBeUndefined();
  });

  describe('note the day on which a credential was used', () => {
    const stored = async () => {
      const { hash, id } = newToken('api-key');
      const record = { hash, kind: 'api-key', tokenId: id, tenantId: tenantA, scopes: '' } as const;
      await identities.putCredential(record);
      return record;
    };

    test('once, never an earlier one, and nothing else of it changes', async () => {
      const record = await stored();
      expect(await identities.noteUse(record.hash, '2026-11-23')).toBe(true);
      expect(await identities.noteUse(record.hash, '2026-11-23')).toBe(false);
      expect(await identities.noteUse(record.hash, '2026-11-22')).toBe(false);
      expect(await identities.findCredential(record.hash)).toEqual({ ...record, lastUsedDay: '2026-11-23' });
      expect(await identities.noteUse(record.hash, '2026-11-24')).toBe(true);
      expect(await identities.findCredential(record.hash)).toEqual({ ...record, lastUsedDay: '2026-11-24' });
    });

    test('without bringing a deleted one back', async () => {
      const { hash } = await stored();
      await identities.deleteCredential(hash);
      expect(await identities.noteUse(hash, '2026-11-23')).toBe(false);
      expect(await identities.findCredential(hash)).toBeUndefined();
    });

    test('and tell it by hash, of 200 at once; of those not used or gone nothing', async () => {
      const records = await Promise.all(Array.from({ length: 200 }, stored));
      const used = records.filter((_record, index) => index % 2 === 0);
      await Promise.all(used.map(({ hash }) => identities.noteUse(hash, '2026-11-23')));
      const hashes = [...records.map(({ hash }) => hash), newToken('api-key').hash];
      expect(await identities.lastUsedDays(hashes)).toEqual(
        new Map(used.map(({ hash }) => [hash, '2026-11-23'])),
      );
      expect(await identities.lastUsedDays([])).toEqual(new Map());
    });

    test('within the time that it is given, when the table is silent', async () => {
      const silent = createServer((socket) => socket.resume());
      await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
      const { port } = silent.address() as AddressInfo;
      const client = new DynamoDBClient({
        endpoint: `http://127.0.0.1:${port}`,
        region: 'us-east-1',
        credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      });
      try {
        const { hash } = newToken('api-key');
        const patient = new IdentityRepository(documentClient(client), 'identities');
        await expect(patient.noteUse(hash, '2026-11-23', AbortSignal.timeout(50))).rejects.toThrow();
      } finally {
        client.destroy();
        await new Promise((resolve) => silent.close(resolve));
      }
    });
  });

  test('refuse to invite an address that another tenant invited', async () => {
    expect(
      await identities.invite({
        email: 'a@x.org',
        tenantId: tenantA,
        roles: ['viewer'],
        expiresAt: 4_000_000_000,
      }),
    ).toBe(true);
    expect(
      await identities.invite({
        email: ' A@X.org',
        tenantId: tenantB,
        roles: ['owner'],
        expiresAt: 4_000_000_000,
      }),
    ).toBe(false);
    expect(
      await identities.invite({
        email: 'a@x.org',
        tenantId: tenantA,
        roles: ['owner'],
        expiresAt: 4_000_000_000,
      }),
    ).toBe(true);
  });

  test('bind an address in any case, and none that only looks the same in lower case', async () => {
    await identities.invite({
      email: 'Mike@x.org',
      tenantId: tenantA,
      roles: ['owner'],
      expiresAt: 4_000_000_000,
    });
    const kelvin = 'mi\u212ae@x.org';
    expect(kelvin.toLowerCase()).toBe('mike@x.org');
    expect(
      await identities.bindInvitation({ issuer: 'i', subject: 'kelvin', email: kelvin }, 0),
    ).toBeUndefined();
    expect(
      await identities.bindInvitation({ issuer: 'i', subject: 'mike', email: 'MIKE@X.ORG' }, 0),
    ).toMatchObject({ tenantId: tenantA });
  });

  test('bind nothing after their end', async () => {
    await identities.invite({ email: 'late@x.org', tenantId: tenantA, roles: ['owner'], expiresAt: 1_000 });
    const user = { issuer: 'i', subject: 'late', email: 'late@x.org' };
    expect(await identities.bindInvitation(user, 1_000_000)).toBeUndefined();
    expect(await identities.bindInvitation(user, 999_999)).toMatchObject({ tenantId: tenantA });
  });

  test('bind one of many racing sign-ins with an invited address', async () => {
    await identities.invite({
      email: 'race@x.org',
      tenantId: tenantA,
      roles: ['owner'],
      expiresAt: 4_000_000_000,
    });
    const bound = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        identities.bindInvitation({ issuer: 'i', subject: `s${index}`, email: 'race@x.org' }, 0),
      ),
    );
    expect(bound.filter((membership) => membership !== undefined)).toHaveLength(1);
    const members = await Promise.all(bound.map((_, index) => identities.findMembership('i', `s${index}`)));
    expect(members.filter((membership) => membership !== undefined)).toHaveLength(1);
  });

  test('complete a binding that died after any write', async () => {
    for (const nth of [1, 2, 3]) {
      const user = { issuer: 'i', subject: `dying-${nth}`, email: `dying-${nth}@x.org` };
      await identities.invite({
        email: user.email,
        tenantId: tenantA,
        roles: ['owner'],
        expiresAt: 4_000_000_000,
      });
      engine.faults.dieAfterWrite(nth);
      await expect(identities.bindInvitation(user, 0)).rejects.toThrow('was lost');
      engine.faults.mend();
      // As the verifier does: the membership first, then the invitation.
      const membership =
        (await identities.findMembership(user.issuer, user.subject)) ??
        (await identities.bindInvitation(user, 0));
      expect([nth, membership?.tenantId]).toEqual([nth, tenantA]);
    }
  });

  test('keep the same subject of two issuers apart', async () => {
    await identities.invite({
      email: 'two@x.org',
      tenantId: tenantA,
      roles: ['owner'],
      expiresAt: 4_000_000_000,
    });
    await identities.bindInvitation({ issuer: 'https://one', subject: 'same', email: 'two@x.org' }, 0);
    expect(await identities.findMembership('https://one', 'same')).toMatchObject({ tenantId: tenantA });
    expect(await identities.findMembership('https://two', 'same')).toBeUndefined();
    expect(await identities.findMembership('https://one\nsame', '')).toBeUndefined();
  });

  (unitsAreExact ? test : test.skip)(
    'cost 1 unit a read and a write, a binding 2 reads and 3 writes',
    async () => {
      const { hash, id } = newToken('api-key');
      const record = { hash, kind: 'api-key', tokenId: id, tenantId: tenantA, scopes: '' } as const;
      expect(await engine.units(() => identities.putCredential(record))).toEqual({ read: 0, write: 1 });
      expect(await engine.units(() => identities.findCredential(hash))).toEqual({ read: 1, write: 0 });
      expect(await engine.units(() => identities.noteUse(hash, '2026-11-23'))).toEqual({ read: 0, write: 1 });
      expect(await engine.units(() => identities.lastUsedDays([hash]))).toEqual({ read: 0.5, write: 0 });
      await identities.invite({
        email: 'cost@x.org',
        tenantId: tenantA,
        roles: ['owner'],
        expiresAt: 4_000_000_000,
      });
      const bind = () => identities.bindInvitation({ issuer: 'i', subject: 'cost', email: 'cost@x.org' }, 0);
      expect(await engine.units(bind)).toEqual({ read: 2, write: 3 });
    },
  );
});
