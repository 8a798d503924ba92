import { describe, expect, test } from '@jest/globals';
import {
  changes,
  describeRequest,
  isEndless,
  isLongRunning,
  type Method,
  requestAttributes,
  upgradeAttributes,
} from '../../../tunnel-fargate/access/request-attributes.ts';

const read = (method: Method, target: string) => {
  const [path = '', query = ''] = target.split('?');
  return requestAttributes(method, path.split('/').slice(1), query);
};

describe('request attributes', () => {
  test.each<[Method, string, Partial<ReturnType<typeof read>>]>([
    ['GET', '/api/v1/namespaces', { verb: 'list', resource: 'namespaces', namespace: '', name: '' }],
    [
      'GET',
      '/api/v1/namespaces/other',
      { verb: 'get', resource: 'namespaces', namespace: 'other', name: 'other' },
    ],
    [
      'GET',
      '/api/v1/namespaces/other/pods',
      { verb: 'list', resource: 'pods', namespace: 'other', name: '' },
    ],
    ['GET', '/api/v1/namespaces/other/pods/foo', { verb: 'get', resource: 'pods', name: 'foo' }],
    ['HEAD', '/api/v1/namespaces/other/pods/foo', { verb: 'get', resource: 'pods', name: 'foo' }],
    ['GET', '/api/v1/namespaces/other/pods/foo/log', { verb: 'get', resource: 'pods', subresource: 'log' }],
    ['GET', '/api/v1/pods', { verb: 'list', resource: 'pods', group: '', version: 'v1' }],
    ['HEAD', '/api/v1/pods', { verb: 'list', resource: 'pods' }],
    ['GET', '/api/v1/nodes/n1', { verb: 'get', resource: 'nodes', namespace: '', name: 'n1' }],
    ['POST', '/api/v1/namespaces/other/pods', { verb: 'create', resource: 'pods', namespace: 'other' }],
    ['POST', '/api/v1/namespaces/other/pods?dryRun=All', { verb: 'create', resource: 'pods' }],
    ['PUT', '/api/v1/namespaces/other/pods/foo', { verb: 'update', name: 'foo' }],
    [
      'PATCH',
      '/apis/apps/v1/namespaces/x/deployments/d?dryRun=All',
      { verb: 'patch', group: 'apps', name: 'd' },
    ],
    [
      'PATCH',
      '/api/v1/namespaces/x/status',
      { verb: 'patch', resource: 'namespaces', subresource: 'status' },
    ],
    [
      'PUT',
      '/api/v1/namespaces/x/finalize',
      { verb: 'update', resource: 'namespaces', subresource: 'finalize' },
    ],
    ['DELETE', '/api/v1/namespaces/x/pods/p', { verb: 'delete', resource: 'pods', name: 'p' }],
    ['DELETE', '/api/v1/namespaces/x/pods', { verb: 'deletecollection', resource: 'pods' }],
    ['DELETE', '/api/v1/namespaces/x', { verb: 'delete', resource: 'namespaces', name: 'x' }],
    ['POST', '/api/v1/namespaces/x/pods/p/eviction', { verb: 'create', subresource: 'eviction' }],
    ['POST', '/api/v1/namespaces/x/serviceaccounts/s/token', { verb: 'create', subresource: 'token' }],
    ['GET', '/apis/projectcalico.org/v3/tiers', { verb: 'list', group: 'projectcalico.org', version: 'v3' }],
  ])('%s %s as the API server reads it', (method, target, expected) => {
    expect(read(method, target)).toMatchObject({ isResource: true, ...expected });
  });

  test.each([
    ['watch=true', 'watch'],
    ['watch=1', 'watch'],
    ['watch', 'watch'],
    ['watch=yes', 'watch'],
    ['watch=false', 'list'],
    ['watch=False', 'list'],
    ['watch=0', 'list'],
    ['limit=500', 'list'],
  ])('?%s of a collection is a %s', (query, verb) => {
    expect(read('GET', `/api/v1/pods?${query}`).verb).toBe(verb);
  });

  test.each(['watch=1;x', 'watch=1%', 'a;b&watch=1', 'fieldSelector=metadata.name%3Dp&x=%zz'])(
    '?%s of a collection is refused with INVALID_REQUEST: Go would drop a part of it',
    (query) => {
      expect(() => read('GET', `/api/v1/pods?${query}`)).toThrow(
        expect.objectContaining({ code: 'INVALID_REQUEST' }),
      );
      // Where nothing hangs on it, it passes.
      expect(read('GET', `/api/v1/namespaces/x/services/s/proxy/path?${query}`).verb).toBe('connect');
      expect(read('POST', `/api/v1/namespaces/x/pods?${query}`).verb).toBe('create');
    },
  );

  test('a WebSocket acts inside the cluster, but for watches and logs', () => {
    const over = (target: string) => upgradeAttributes(read('GET', target));
    expect(over('/apis/x.example/v1/namespaces/x/machines/m/console2')).toMatchObject({
      verb: 'connect',
      apiVerb: 'get',
    });
    expect(over('/api/v1/namespaces/x/pods/p/log?follow=1').verb).toBe('get');
    expect(over('/api/v1/namespaces/x/pods?watch=1').verb).toBe('watch');
    expect(over('/api/v1/namespaces/x/pods/p').verb).toBe('get');
  });

  test('a watch parameter on one object stays a get', () => {
    expect(read('GET', '/api/v1/namespaces/x/pods/p?watch=true').verb).toBe('get');
  });

  test('a field selector for one object names it', () => {
    expect(read('GET', '/api/v1/pods?watch=1&fieldSelector=metadata.name%3Dp')).toMatchObject({
      verb: 'watch',
      name: 'p',
    });
    expect(read('GET', '/api/v1/pods?fieldSelector=metadata.name!%3Dp').name).toBe('');
    expect(read('GET', '/api/v1/pods?fieldSelector=metadata.name%3Dp,status.phase%3DX').name).toBe('');
  });

  test('the deprecated watch prefix is a watch, and never makes a write look like one', () => {
    expect(read('GET', '/api/v1/watch/namespaces/x/pods')).toMatchObject({ verb: 'watch', resource: 'pods' });
    expect(read('POST', '/api/v1/watch/namespaces/x/pods').verb).toBe('create');
    expect(read('DELETE', '/apis/apps/v1/watch/deployments').verb).toBe('deletecollection');
  });

  test.each<[Method, string]>([
    ['GET', '/api/v1/namespaces/x/pods/p/exec?command=ls'],
    ['POST', '/api/v1/namespaces/x/pods/p/exec'],
    ['GET', '/api/v1/namespaces/x/pods/p/attach'],
    ['GET', '/api/v1/namespaces/x/pods/p/portforward'],
    ['GET', '/api/v1/namespaces/x/pods/p/proxy'],
    ['GET', '/api/v1/namespaces/x/pods/p/proxy/metrics'],
    ['GET', '/api/v1/namespaces/x/services/https:s:443/proxy/x'],
    ['GET', '/api/v1/nodes/n/proxy/logs'],
    ['GET', '/api/v1/proxy/namespaces/x/services/s'],
    ['GET', '/api/v1/watch/namespaces/x/pods/p/exec'],
    ['GET', '/apis/subresources.kubevirt.io/v1/namespaces/x/virtualmachineinstances/v/console'],
  ])('%s %s connects, whatever its method', (method, target) => {
    expect(read(method, target)).toMatchObject({
      verb: 'connect',
      apiVerb: method === 'POST' ? 'create' : 'get',
    });
    expect(read(method, target).subresource).not.toBe('');
    expect(changes(read(method, target))).toBe(true);
  });

  test.each([
    '/api',
    '/api/',
    '/api/v1',
    '/apis',
    '/apis/apps',
    '/apis/apps/v1',
    '/version',
    '/openapi/v3/api/v1',
  ])('%s is no resource', (path) => {
    const segments = path.replace(/\/$/, '').split('/').slice(1);
    expect(requestAttributes('GET', segments, '')).toMatchObject({
      isResource: false,
      verb: 'get',
      resource: '',
    });
    expect(changes(requestAttributes('POST', segments, ''))).toBe(true);
  });

  test('reading changes nothing, every other verb may, rehearsals too', () => {
    const pods = '/api/v1/namespaces/x/pods';
    expect(changes(read('GET', pods))).toBe(false);
    expect(changes(read('GET', `${pods}?watch=1`))).toBe(false);
    expect(changes(read('GET', `${pods}/p`))).toBe(false);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
      expect(changes(read(method, pods))).toBe(true);
      expect(changes(read(method, `${pods}/p?dryRun=All`))).toBe(true);
    }
  });

  test('watches, logs and connections may be silent for any time; a list may not', () => {
    expect(isLongRunning(read('GET', '/api/v1/pods?watch=1'))).toBe(true);
    expect(isLongRunning(read('GET', '/api/v1/namespaces/x/pods/p/log'))).toBe(true);
    expect(isLongRunning(read('GET', '/api/v1/namespaces/x/pods/p/exec'))).toBe(true);
    expect(isLongRunning(read('GET', '/api/v1/pods'))).toBe(false);
  });

  test.each([
    ['/api/v1/pods', 'watch=1', true],
    ['/api/v1/watch/pods', '', true],
    ['/api/v1/namespaces/x/pods/p/log', '?follow=true', true],
    ['/api/v1/namespaces/x/pods/p/log', '?tailLines=5&follow', true],
    ['/api/v1/namespaces/x/pods/p/log', '?follow=false', false],
    ['/api/v1/namespaces/x/pods/p/log', '', false],
    ['/api/v1/pods', 'follow=true', false],
    ['/api/v1/namespaces/x/pods/p/proxy', 'follow=true', false],
  ])('%s with %s never ends by itself: %s', (path, query, endless) => {
    expect(isEndless(read('GET', `${path}?${query.replace('?', '')}`), query)).toBe(endless);
  });

  test('are told in words', () => {
    expect(describeRequest(read('DELETE', '/apis/apps/v1/namespaces/x/deployments/d'))).toBe(
      'delete deployments.apps in x',
    );
    expect(describeRequest(read('GET', '/apis'))).toBe('get /apis');
  });
});
