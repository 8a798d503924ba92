import { describe, expect, test } from '@jest/globals';
import { jsonPatch, mergePatch, strategicPatch } from '../../../local/demo-cluster/kube-api-patch.ts';

describe('merge patch (RFC 7386)', () => {
  test('sets, removes with null, and replaces lists and scalars whole', () => {
    expect(mergePatch({ a: { b: 1, c: 2 }, l: [1, 2] }, { a: { c: null }, l: [3], n: { x: null } })).toEqual({
      a: { b: 1 },
      l: [3],
      n: {},
    });
    expect(mergePatch({ a: 1 }, 'x')).toBe('x');
  });
});

describe('JSON patch (RFC 6902)', () => {
  test('adds, inserts, appends, replaces, moves, copies and removes', () => {
    const target = { a: [1, 2], 'x/y': 1 };
    const operations = [
      { op: 'add', path: '/a/0', value: 0 },
      { op: 'add', path: '/a/-', value: 3 },
      { op: 'replace', path: '/x~1y', value: 5 },
      { op: 'copy', from: '/a/1', path: '/b' },
      { op: 'move', from: '/b', path: '/c' },
      { op: 'remove', path: '/a/1' },
      { op: 'test', path: '/c', value: 1 },
    ];
    expect(jsonPatch(target, operations)).toEqual({ a: [0, 2, 3], 'x/y': 5, c: 1 });
    expect(target).toEqual({ a: [1, 2], 'x/y': 1 });
  });

  test.each([
    [{ op: 'remove', path: '/none' }, 'Invalid'],
    [{ op: 'replace', path: '/a/9', value: 1 }, 'Invalid'],
    [{ op: 'add', path: '/a/01', value: 1 }, 'Invalid'],
    [{ op: 'test', path: '/a', value: [2] }, 'Invalid'],
    [{ op: 'add', path: '/a' }, 'BadRequest'],
    [{ op: 'jump', path: '/a' }, 'BadRequest'],
  ])('refuses %j as %s', (operation, reason) => {
    let thrown: unknown;
    try {
      jsonPatch({ a: [1] }, [operation]);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ name: 'KubeError', reason });
  });
});

describe('strategic merge patch', () => {
  const pod = {
    spec: {
      containers: [
        { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
        { name: 'b', image: '1' },
      ],
    },
  };

  test('merges containers by name and their environment too', () => {
    const patch = {
      spec: {
        containers: [
          { name: 'a', image: '2', env: [{ name: 'Y', value: '2' }] },
          { name: 'c', image: '3' },
        ],
      },
    };
    expect(strategicPatch(pod, patch)).toEqual({
      spec: {
        containers: [
          {
            name: 'a',
            image: '2',
            env: [
              { name: 'X', value: '1' },
              { name: 'Y', value: '2' },
            ],
          },
          { name: 'b', image: '1' },
          { name: 'c', image: '3' },
        ],
      },
    });
  });

  test('understands $patch delete and replace, $retainKeys and $deleteFromPrimitiveList', () => {
    expect(strategicPatch(pod, { spec: { containers: [{ name: 'a', $patch: 'delete' }] } })).toEqual({
      spec: { containers: [{ name: 'b', image: '1' }] },
    });
    expect(strategicPatch({ s: { a: 1, b: 2 } }, { s: { $patch: 'replace', c: 3 } })).toEqual({
      s: { c: 3 },
    });
    expect(strategicPatch({ s: { a: 1, b: 2 } }, { s: { $retainKeys: ['b'] } })).toEqual({ s: { b: 2 } });
    expect(
      strategicPatch({ finalizers: ['x', 'y'] }, { '$deleteFromPrimitiveList/finalizers': ['x'] }),
    ).toEqual({ finalizers: ['y'] });
    expect(strategicPatch({ l: ['x'] }, { l: ['y'] })).toEqual({ l: ['y'] });
  });
});
