import { describe, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { connectManifest } from '../../../functions/install-assets/connect-manifest.ts';
import type { GuardianAccess, RbacObject } from '../../../functions/install-assets/guardian-access.ts';
import { roles } from '../../../core/credential/scope.ts';
import { addresses, clusterRecord, trust } from './deployment.ts';

const kinds = ['read', 'edit', 'impersonate'] as const;
const cluster = clusterRecord('c-aaaaaaaaaaaaaaaaaaaa');
const manifestOf = (access?: GuardianAccess) =>
  connectManifest({ cluster, trust, tunnelAddress: addresses.TUNNEL_ADDRESS, access });

/** The RBAC of a manifest, as a YAML reader finds it. */
function rbacOf(access?: GuardianAccess): RbacObject[] {
  const documents = parseAllDocuments(manifestOf(access));
  expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
  const objects = documents.map((document) => document.toJS() as RbacObject);
  return objects.filter(({ apiVersion }) => apiVersion.startsWith('rbac.'));
}
const rulesOf = (access: GuardianAccess) => rbacOf(access).flatMap(({ rules = [] }) => rules);
/** Whether Guardian is granted a verb by what its own account is bound to. */
function grants(access: GuardianAccess, verb: string, resource: string, group = ''): boolean {
  const objects = rbacOf(access);
  const own = objects.flatMap(({ subjects = [], roleRef }) =>
    subjects.some(
      ({ kind, name, namespace }) =>
        kind === 'ServiceAccount' && name === 'guardian' && namespace === 'calico-system',
    )
      ? [roleRef?.name]
      : [],
  );
  return objects
    .filter(({ kind, metadata }) => kind === 'ClusterRole' && own.includes(metadata.name))
    .flatMap(({ rules = [] }) => rules)
    .some(
      (rule) =>
        rule.apiGroups.includes(group) && rule.resources.includes(resource) && rule.verbs.includes(verb),
    );
}

describe('the connect manifest with access', () => {
  test('adds nothing unless asked, and nothing but RBAC after the rest when asked', () => {
    expect(rbacOf()).toEqual([]);
    for (const access of kinds) {
      expect(manifestOf(access).startsWith(manifestOf())).toBe(true);
      expect(rbacOf(access).length).toBeGreaterThan(0);
    }
  });

  test.each(kinds)(
    '%s: every object is a ClusterRole or a binding of rbac.authorization.k8s.io/v1 under our name',
    (access) => {
      const objects = rbacOf(access);
      const names = objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
      expect(new Set(names).size).toBe(names.length);
      for (const { apiVersion, kind, metadata, rules, roleRef, subjects } of objects) {
        expect(apiVersion).toBe('rbac.authorization.k8s.io/v1');
        expect(metadata).toEqual({
          name: expect.stringMatching(/^cattery:[a-z-]+$/),
          labels: { 'app.kubernetes.io/managed-by': 'cattery' },
        });
        if (kind === 'ClusterRole')
          expect([rules?.length === 0, roleRef, subjects]).toEqual([false, undefined, undefined]);
        else {
          expect([kind, rules]).toEqual(['ClusterRoleBinding', undefined]);
          // Our own role, or one of those that every cluster has.
          expect([...names, ...['view', 'edit', 'admin'].map((name) => `ClusterRole ${name}`)]).toContain(
            `ClusterRole ${roleRef?.name}`,
          );
        }
      }
    },
  );

  test.each(kinds)('%s: binds Guardian’s account and groups of ours, nobody else', (access) => {
    const subjects = rbacOf(access).flatMap(({ subjects: bound = [] }) => bound);
    const groups = new Set(roles.map((role) => `cattery:role:${role}`));
    for (const subject of subjects) {
      if (subject.kind === 'ServiceAccount')
        expect(subject).toEqual({ kind: 'ServiceAccount', name: 'guardian', namespace: 'calico-system' });
      else {
        expect(subject).toMatchObject({ kind: 'Group', apiGroup: 'rbac.authorization.k8s.io' });
        expect(groups).toContain(subject.name);
      }
    }
  });

  test.each(kinds)(
    '%s: spells everything out: no star, no system:masters, no cluster-admin, no way to more rights',
    (access) => {
      const rules = rulesOf(access);
      for (const { apiGroups, resources, verbs } of rules) {
        expect([...apiGroups, ...resources, ...verbs]).not.toContain('*');
        expect(apiGroups).not.toContain('rbac.authorization.k8s.io');
        expect(apiGroups).not.toContain('admissionregistration.k8s.io');
        expect(apiGroups).not.toContain('certificates.k8s.io');
        for (const verb of ['bind', 'escalate', 'approve', 'sign']) expect(verbs).not.toContain(verb);
        expect(resources).not.toContain('serviceaccounts/token');
        expect(resources).not.toContain('nodes/proxy');
      }
      const applied = JSON.stringify(rbacOf(access));
      expect(applied).not.toContain('system:');
      expect(applied).not.toContain('cluster-admin');
      const mayImpersonate = rules.some(({ verbs }) => verbs.includes('impersonate'));
      expect(mayImpersonate).toBe(access === 'impersonate');
    },
  );

  test.each([
    ['get', 'pods/log', '', 'read'],
    ['list', 'events', '', 'read'],
    ['list', 'events', 'events.k8s.io', 'read'],
    ['watch', 'nodes', '', 'read'],
    ['list', 'configmaps', '', 'read'],
    ['list', 'deployments', 'apps', 'read'],
    ['list', 'globalnetworkpolicies', 'projectcalico.org', 'read'],
    ['list', 'tier.networkpolicies', 'projectcalico.org', 'read'],
    ['get', 'pods/exec', '', 'edit'],
    ['create', 'pods/exec', '', 'edit'],
    ['create', 'pods/attach', '', 'edit'],
    ['create', 'pods/portforward', '', 'edit'],
    ['create', 'pods', '', 'edit'],
    ['patch', 'deployments', 'apps', 'edit'],
    ['patch', 'deployments/scale', 'apps', 'edit'],
    ['deletecollection', 'jobs', 'batch', 'edit'],
    ['get', 'secrets', '', 'edit'],
    ['create', 'tier.globalnetworkpolicies', 'projectcalico.org', 'edit'],
  ] as const)('%s %s (%s) is granted from %s on', (verb, resource, group, from) => {
    expect([grants('read', verb, resource, group), grants('edit', verb, resource, group)]).toEqual([
      from === 'read',
      true,
    ]);
  });

  test('read changes nothing and sees no secrets', () => {
    const rules = rulesOf('read');
    expect(new Set(rules.flatMap(({ verbs }) => verbs))).toEqual(new Set(['get', 'list', 'watch']));
    expect(rules.flatMap(({ resources }) => resources)).not.toContain('secrets');
  });

  test('impersonate grants Guardian users, and of groups exactly those that Cattery sends', () => {
    const objects = rbacOf('impersonate');
    const rules = objects.find(
      ({ kind, metadata }) => kind === 'ClusterRole' && metadata.name === 'cattery:guardian-impersonate',
    )?.rules;
    expect(rules).toEqual([
      { apiGroups: [''], resources: ['users'], verbs: ['impersonate'] },
      {
        apiGroups: [''],
        resources: ['groups'],
        resourceNames: ['cattery:authenticated', ...roles.map((role) => `cattery:role:${role}`)],
        verbs: ['impersonate'],
      },
    ]);
    const bound = objects.flatMap(({ kind, roleRef, subjects = [] }) =>
      kind === 'ClusterRoleBinding' ? subjects.map(({ name }) => `${name} → ${roleRef?.name}`) : [],
    );
    expect(bound.filter((text) => /→ (?:view|edit|admin)$/.test(text))).toEqual([
      'cattery:role:viewer → view',
      'cattery:role:editor → edit',
      'cattery:role:admin → admin',
      'cattery:role:owner → admin',
    ]);
    expect(bound.filter((text) => text.includes('member'))).toEqual([]);
  });

  test.each(kinds)(
    '%s: says in comments what it grants and how to take back what another one granted',
    (access) => {
      const comments = manifestOf(access)
        .slice(manifestOf().length)
        .split('\n')
        .filter((line) => line.startsWith('#'))
        .join('\n');
      expect(comments).toContain(
        'kubectl delete --ignore-not-found clusterrole,clusterrolebinding cattery:guardian-',
      );
      expect(comments).not.toContain(`clusterrolebinding cattery:guardian-${access} `);
      if (access === 'impersonate')
        expect(comments).toContain('cannot limit whom one impersonates by a prefix');
    },
  );
});
