import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import type { Entries } from '../../cli/kubeconfig/entries.ts';
import { freshKubeconfig, mergedKubeconfig } from '../../cli/kubeconfig/merge.ts';

const entries = (server = 'https://access.example/clusters/c-a'): Entries => ({
  clusters: [{ name: 'c-a', cluster: { server } }],
  contexts: [{ name: 'cattery/shop', context: { cluster: 'c-a', user: 'cattery@api.example' } }],
  users: [{ name: 'cattery@api.example', user: { exec: { command: 'cattery' } } }],
});

const theirs = `# my clusters
apiVersion: v1
kind: Config
current-context: kind-dev # the one at home
preferences: {}
clusters:
- name: kind-dev
  cluster:
    server: https://127.0.0.1:6443 # changes often
# ours, from the wiki
- name: prod
  cluster: {server: "https://prod.example"}
contexts:
- context:
    cluster: kind-dev
    namespace: "007"
    user: dev
  name: kind-dev
users:
- name: dev
  user:
    token: 0123e4
- name: odd
  user: { a: 0x1F, b: 1_000, c: 1.50, d: yes, e: 2026-11-23, f: ~, g: True, h: 00012, i: '5' }
`;

describe('merging into a kubeconfig', () => {
  test('adds entries, and leaves everybody else’s, their comments and the current context', () => {
    const merged = mergedKubeconfig(theirs, entries());
    for (const line of theirs.split('\n').filter((each) => /#|token|007|preferences|0x1F/.test(each)))
      expect(merged).toContain(line.trim());
    const before = parse(theirs) as Record<string, unknown[]>;
    const after = parse(merged) as Record<string, unknown[]>;
    expect(after['current-context']).toBe('kind-dev');
    for (const list of ['clusters', 'contexts', 'users'] as const)
      expect(after[list]).toEqual([...(before[list] ?? []), ...entries()[list]]);
  });

  test('again changes nothing, and with a new address that alone', () => {
    const once = mergedKubeconfig(theirs, entries());
    expect(mergedKubeconfig(once, entries())).toBe(once);
    const moved = mergedKubeconfig(once, entries('https://new.example'));
    expect(moved).toBe(once.replace('https://access.example/clusters/c-a', 'https://new.example'));
  });

  test('keeps the comment of an entry that it replaces', () => {
    const commented = mergedKubeconfig(theirs, entries()).replace('- name: c-a', '# the shop\n- name: c-a');
    expect(mergedKubeconfig(commented, entries('https://new.example'))).toContain('# the shop\n- name: c-a');
  });

  test('changes the current context when told to, and sets it where there is none', () => {
    const current = (text: string) => (parse(text) as Record<string, unknown>)['current-context'];
    expect(current(mergedKubeconfig(theirs, entries(), 'cattery/shop'))).toBe('cattery/shop');
    expect(current(mergedKubeconfig('apiVersion: v1\nkind: Config\n', entries()))).toBe('cattery/shop');
    expect(current(mergedKubeconfig('kind: Config\ncurrent-context: ""\n', entries()))).toBe('cattery/shop');
  });

  test.each([
    ['nothing', ''],
    [
      'lists that are null, as kubectl writes them',
      'kind: Config\nclusters: null\ncontexts: null\nusers: null\n',
    ],
    ['empty lists', 'kind: Config\nclusters: []\ncontexts: []\nusers: []\n'],
    ['JSON', '{"kind":"Config","clusters":[],"contexts":[],"users":[]}'],
  ])('into %s gives what a fresh one has', (_, text) => {
    const { apiVersion: _version, ...fresh } = parse(freshKubeconfig(entries())) as Record<string, unknown>;
    expect(parse(mergedKubeconfig(text, entries()))).toMatchObject(fresh);
  });

  test.each([
    ['something else', 'kind: Pod\n'],
    ['a list', '- a\n'],
    ['broken YAML', 'clusters: [\n'],
    ['duplicate keys', 'users: []\nusers: []\n'],
    ['clusters that are no list', 'clusters: { a: 1 }\n'],
  ])('into %s is refused', (_, text) => {
    expect(() => mergedKubeconfig(text, entries())).toThrow('cannot be changed without harm');
  });
});
