import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Allowance, type AskedAccess, decide } from '../../../core/access/decision.ts';

const asked = (part: Partial<AskedAccess> = {}): AskedAccess => ({
  verb: 'get',
  isResource: true,
  path: '/api/v1/x',
  group: '',
  resource: 'pods',
  subresource: '',
  namespace: 'shop',
  name: 'web-1',
  ...part,
});
const rule = (part: Partial<Allowance> = {}): Allowance => ({
  namespaces: ['shop'],
  apiGroups: [''],
  resources: ['pods'],
  verbs: ['get', 'list'],
  ...part,
});
const allowed = (allowance: Partial<Allowance>, request: Partial<AskedAccess>) =>
  decide([rule(allowance)], asked(request)).allowed;
const all = { namespaces: ['*'], apiGroups: ['*'], resources: ['*'], verbs: ['*'] };

describe('a rule', () => {
  test.each<[string, Partial<Allowance>, Partial<AskedAccess>]>([
    ['for pods allows a pod', {}, {}],
    ['for a subresource allows that', { resources: ['pods/log'] }, { subresource: 'log' }],
    ['for */scale allows every scale', { resources: ['*/scale'] }, { resource: 'x', subresource: 'scale' }],
    [
      'for * allows subresources',
      { resources: ['*'], verbs: ['connect'] },
      { subresource: 'exec', verb: 'connect' },
    ],
    [
      'with * verbs allows connect',
      { resources: ['pods/exec'], verbs: ['*'] },
      { subresource: 'exec', verb: 'connect' },
    ],
    [
      'for all namespaces allows a list across them',
      { namespaces: ['*'], verbs: ['list'] },
      { namespace: '', name: '', verb: 'list' },
    ],
    [
      'for "" allows what names no namespace',
      { namespaces: [''], resources: ['nodes'] },
      { namespace: '', resource: 'nodes' },
    ],
    ['with a name allows that object', { resourceNames: ['web-1'] }, {}],
    ['with a name allows a list that selects it', { resourceNames: ['web-1'] }, { verb: 'list' }],
    ['with everything allows everything', all, { verb: 'impersonate', group: 'x', resource: '*', name: '' }],
  ])('%s', (_, allowance, request) => {
    expect(allowed(allowance, request)).toBe(true);
  });

  test.each<[string, Partial<Allowance>, Partial<AskedAccess>]>([
    ['for pods does not allow exec', { verbs: ['*'] }, { subresource: 'exec', verb: 'connect' }],
    ['for pods does not allow logs', {}, { subresource: 'log' }],
    ['for pods/log does not allow pods', { resources: ['pods/log'] }, {}],
    ['for */log does not allow pods', { resources: ['*/log'] }, {}],
    [
      'that gets pods/exec does not connect to it',
      { resources: ['*'] },
      { subresource: 'exec', verb: 'connect' },
    ],
    [
      'for a namespace does not allow a list across namespaces',
      {},
      { namespace: '', name: '', verb: 'list' },
    ],
    ['for a namespace does not allow another', {}, { namespace: 'shop2' }],
    ['for "" does not allow a namespace', { namespaces: [''] }, {}],
    [
      'with names does not allow create',
      { resourceNames: ['web-1'], verbs: ['*'] },
      { name: '', verb: 'create' },
    ],
    [
      'with names does not allow deletecollection',
      { resourceNames: ['web-1'], verbs: ['*'] },
      { name: '', verb: 'deletecollection' },
    ],
    ['with names does not allow a list of all', { resourceNames: ['web-1'] }, { name: '', verb: 'list' }],
    ['with names does not allow another', { resourceNames: ['web-1'] }, { name: 'web-10' }],
    [
      'for delete does not allow deletecollection',
      { verbs: ['delete'] },
      { name: '', verb: 'deletecollection' },
    ],
    ['for list does not allow watch', { verbs: ['list'] }, { verb: 'watch' }],
    ['for the core group does not allow another', {}, { group: 'metrics.k8s.io' }],
    ['does not allow another case', {}, { resource: 'Pods' }],
    ['does not allow another case of the namespace', {}, { namespace: 'Shop' }],
    ['for named verbs does not allow *', {}, { verb: '*' }],
    ['for pods does not allow all resources', {}, { resource: '*' }],
    ['for a namespace does not allow *', {}, { namespace: '*' }],
    ['for resources allows no document', all, { isResource: false, path: '/api' }],
  ])('%s', (_, allowance, request) => {
    expect(allowed(allowance, request)).toBe(false);
  });

  test('for documents allows its paths and what is below a star, and no resource', () => {
    const documents = rule({ resources: [], verbs: ['get'], nonResourceURLs: ['/api', '/api/*'] });
    const at = (path: string, verb = 'get') =>
      decide([documents], asked({ isResource: false, path, verb })).allowed;
    expect(['/api', '/api/v1'].map((path) => at(path))).toEqual([true, true]);
    expect(['/apis', '/apix', '/', '', '/goldmane.Statistics/List'].map((path) => at(path))).toEqual(
      Array(5).fill(false),
    );
    expect(at('/api', 'create')).toBe(false);
    expect(decide([documents], asked()).allowed).toBe(false);
  });

  test('that decided is told; without rules nothing is allowed', () => {
    const [other, right] = [rule({ verbs: ['delete'] }), rule()];
    const decision = decide([other, right], asked());
    expect(decision.allowed && decision.rule).toBe(right);
    expect(decide([], asked()).allowed).toBe(false);
  });
});

/** The naive judge: writes every combination that a rule spells out, over a small world, and looks the request up. */
const world = {
  verb: ['get', 'list', 'create', 'deletecollection', 'connect', '*'],
  group: ['', 'apps'],
  resource: ['pods', 'nodes', 'Pods'],
  subresource: ['', 'exec', 'log'],
  namespace: ['', 'shop', 'dev'],
  name: ['', 'a', 'b'],
};

function spelledOut(allowance: Allowance): Set<string> {
  const every = (values: readonly string[], universe: readonly string[]) =>
    values.flatMap((value) => (value === '*' ? universe : [value]));
  const lines = new Set<string>();
  const resources = allowance.resources.flatMap((text) => {
    if (text === '*') return world.resource.flatMap((kind) => world.subresource.map((sub) => [kind, sub]));
    const [kind = '', sub = ''] = text.split('/');
    return (kind === '*' ? world.resource : [kind]).map((one) => [one, sub]);
  });
  for (const verb of every(allowance.verbs, world.verb))
    for (const group of every(allowance.apiGroups, world.group))
      for (const [resource, subresource] of resources)
        for (const namespace of every(allowance.namespaces, world.namespace))
          for (const name of allowance.resourceNames ?? world.name)
            lines.add(JSON.stringify([verb, group, resource, subresource, namespace, name]));
  return lines;
}

describe('a decision', () => {
  const some = (values: readonly string[]) => fc.subarray([...values], { minLength: 1 });
  const rules = fc.array(
    fc.record(
      {
        verbs: some(world.verb),
        apiGroups: some([...world.group, '*']),
        resources: some(['*', 'pods', 'nodes', 'pods/exec', 'pods/log', '*/log']),
        namespaces: some([...world.namespace, '*']),
        resourceNames: some(['a', 'b']),
      },
      { requiredKeys: ['verbs', 'apiGroups', 'resources', 'namespaces'] },
    ),
    { maxLength: 4 },
  );
  const requests = fc.record({
    verb: fc.constantFrom(...world.verb),
    group: fc.constantFrom(...world.group),
    resource: fc.constantFrom(...world.resource),
    subresource: fc.constantFrom(...world.subresource),
    namespace: fc.constantFrom(...world.namespace),
    name: fc.constantFrom(...world.name),
  });

  test('is that of a judge who looks up what all rules spell out', () => {
    let seen = { allowed: 0, refused: 0 };
    fc.assert(
      fc.property(rules, requests, (given, request) => {
        const { verb, group, resource, subresource, namespace, name } = request;
        const line = JSON.stringify([verb, group, resource, subresource, namespace, name]);
        const expected = given.some((one) => spelledOut(one).has(line));
        seen = expected ? { ...seen, allowed: seen.allowed + 1 } : { ...seen, refused: seen.refused + 1 };
        expect(decide(given, asked(request)).allowed).toBe(expected);
      }),
      { seed: 4, numRuns: 600 },
    );
    expect(seen.allowed).toBeGreaterThan(50);
    expect(seen.refused).toBeGreaterThan(50);
  });

  test('only ever grows with further rules', () => {
    fc.assert(
      fc.property(rules, rules, requests, (first, more, request) => {
        if (decide(first, asked(request)).allowed)
          expect(decide([...more, ...first], asked(request)).allowed).toBe(true);
      }),
      { seed: 5, numRuns: 300 },
    );
  });
});
