import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/credential/caller.ts';
import { impersonatedIdentity, impersonationHeaders } from '../../../tunnel-fargate/access/impersonation.ts';
import {
  type Access,
  callerOf,
  type Cluster,
  clusterId,
  echo,
  jsonOf,
  recordOf,
  startCluster,
  startFixture,
  tenantId,
} from './access-fixture.ts';

const granting = { impersonation: true };
const user = (subject: string): Caller => ({ ...callerOf('editor'), principal: `user:${subject}` });
const nameOf = (subject: string) => impersonatedIdentity(granting, user(subject))?.user;

describe('the identity that a cluster sees', () => {
  test('is a user and the groups of their roles, under our own prefix', () => {
    expect(
      impersonatedIdentity(granting, { ...user('jane@example.com'), roles: ['viewer', 'admin'] }),
    ).toEqual({
      user: 'cattery:user:jane@example.com',
      groups: ['cattery:role:viewer', 'cattery:role:admin', 'cattery:authenticated'],
    });
  });

  test('of an API key is its own, with the groups that its scopes amount to', () => {
    const key = (...scopes: ('clusters:access' | 'clusters:change' | 'scans:write')[]): Caller => ({
      kind: 'api-key',
      tenantId,
      principal: 'api-key:abc',
      scopes: new Set(scopes),
    });
    const groups = (caller: Caller) => impersonatedIdentity(granting, caller)?.groups;
    expect(impersonatedIdentity(granting, key())?.user).toBe('cattery:api-key:abc');
    expect(groups(key('clusters:access'))).toEqual(['cattery:role:viewer', 'cattery:authenticated']);
    expect(groups(key('clusters:access', 'clusters:change'))).toEqual([
      'cattery:role:viewer',
      'cattery:role:editor',
      'cattery:authenticated',
    ]);
    expect(groups(key('scans:write'))).toEqual(['cattery:authenticated']);
  });

  test('is nobody’s where the cluster’s setting is off', () => {
    for (const record of [{}, { impersonation: false }])
      expect(impersonatedIdentity(record, user('jane'))).toBeUndefined();
  });

  test('fits a header whatever the subject is, and no two subjects become one', () => {
    const subjects = [
      'a b',
      'a%20b',
      'a\r\nImpersonate-Group: system:masters',
      'ä',
      'a,b',
      ' a',
      'a ',
      '😀',
      '\ud800',
      '',
    ];
    const names = subjects.map(nameOf);
    expect(new Set(names).size).toBe(subjects.length);
    for (const name of names) expect(name).toMatch(/^cattery:user:[\x21-\x7e]*$/);
    expect(nameOf('a b')).toBe('cattery:user:a%20b');
    expect(nameOf('auth0|5f7c')).toBe('cattery:user:auth0|5f7c');
    expect(nameOf('a\r\nb')).toBe('cattery:user:a%0D%0Ab');
    expect(Object.keys(impersonationHeaders({ user: 'u', groups: ['a', 'b'] }))).toEqual([
      'impersonate-user',
      'impersonate-group',
    ]);
  });
});

describe('a request into a cluster that grants impersonation', () => {
  let cluster: Cluster;
  let access: Access;
  let on: boolean;
  const pods = `/clusters/${clusterId}/api/v1/namespaces/shop/pods`;
  const forged = {
    'Impersonate-User': 'system:admin',
    'Impersonate-Group': 'system:masters',
    'Impersonate-Uid': '0',
    'Impersonate-Extra-Scopes': 'all',
    Impersonate_User: 'system:admin',
  };
  const identityHeaders = () =>
    Object.fromEntries(
      Object.entries(cluster.seen.at(-1) ?? {}).filter(([name]) => /^impersonate/i.test(name)),
    );
  beforeAll(async () => {
    cluster = await startCluster(echo);
    access = await startFixture(cluster, {
      clusters: { find: (_, id) => Promise.resolve({ ...recordOf(id), impersonation: on }) },
      timing: { cacheMs: 0 },
    });
  });
  afterAll(async () => {
    await access.close();
    await cluster.close();
  });

  test.each(['h1', 'h2'] as const)(
    'bears the verified identity and nothing of the client’s own, over %s',
    async (way) => {
      on = true;
      expect((await access[way](pods, { token: 'viewer', headers: forged })).status).toBe(200);
      expect(identityHeaders()).toEqual({
        'impersonate-user': 'cattery:user:viewer',
        'impersonate-group': 'cattery:role:viewer, cattery:authenticated',
      });
      on = false;
      expect((await access[way](pods, { token: 'viewer', headers: forged })).status).toBe(200);
      expect(identityHeaders()).toEqual({});
    },
  );

  test('is still judged by our own rules first', async () => {
    on = true;
    const before = cluster.seen.length;
    expect((await access.h2(`${pods}/p`, { method: 'DELETE', token: 'viewer' })).status).toBe(403);
    expect((await access.h2(pods, { token: 'member' })).status).toBe(403);
    expect(cluster.seen.length).toBe(before);
  });

  test('is told by reviews of oneself that the cluster decides further, and as whom', async () => {
    on = true;
    const review = async (path: string, body: object) =>
      jsonOf(
        await access.h2(`/clusters/${clusterId}/apis/${path}`, {
          method: 'POST',
          token: 'viewer',
          body: JSON.stringify(body),
          headers: { 'content-type': 'application/json' },
        }),
      );
    expect(await review('authentication.k8s.io/v1/selfsubjectreviews', {})).toMatchObject({
      status: {
        userInfo: {
          username: 'cattery:user:viewer',
          groups: ['cattery:role:viewer', 'cattery:authenticated'],
        },
      },
    });
    const asked = { spec: { resourceAttributes: { verb: 'list', resource: 'pods' } } };
    expect(await review('authorization.k8s.io/v1/selfsubjectaccessreviews', asked)).toMatchObject({
      status: { allowed: true, reason: expect.stringContaining('its own RBAC for cattery:user:viewer') },
    });
  });
});
