import { describe, expect, test } from '@jest/globals';
import { cleanPath, routeOf } from '../../../local/demo-cluster/agent-proxy.ts';

describe('paths of the inner server', () => {
  test.each([
    ['/api/v1/pods', { to: 'kube-api' }],
    ['/api/', { to: 'kube-api' }],
    ['/apis/apps/v1', { to: 'kube-api' }],
    ['/api', { to: 'redirect', location: '/api/' }],
    ['/apis', { to: 'redirect', location: '/apis/' }],
    ['/api/../version', { to: 'redirect', location: '/version' }],
    ['//api/v1', { to: 'redirect', location: '/api/v1' }],
    ['/goldmane.Statistics/List', { to: 'statistics' }],
    ['/goldmane.Statistics/Lists', { to: 'nowhere' }],
    ['/goldmane.Flows/List', { to: 'nowhere' }],
    ['/version', { to: 'nowhere' }],
    ['/openapi/v3', { to: 'nowhere' }],
    ['/apix/v1', { to: 'nowhere' }],
    ['/', { to: 'nowhere' }],
  ])('%s leads to %j', (path, route) => {
    expect(routeOf(path)).toEqual(route);
  });

  test.each([
    ['', '/'],
    ['/a/./b/', '/a/b/'],
    ['/a/b/..', '/a/'],
    ['/../..', '/'],
    ['/%2e%2e/a', '/%2e%2e/a'],
  ])('%j is cleaned to %j', (path, clean) => {
    expect(cleanPath(path)).toBe(clean);
  });
});
