import { describe, expect, test } from '@jest/globals';
import { Problem } from '../../../core/problem/problem.ts';
import { maxTargetBytes, parseTarget } from '../../../tunnel-fargate/access/request-target.ts';

const id = `c-${'a'.repeat(20)}`;
const codeOf = (target: string): string => {
  try {
    parseTarget(target);
    return 'accepted';
  } catch (error) {
    if (error instanceof Problem) return error.code;
    throw error;
  }
};

describe('the target of a request', () => {
  test('is taken apart into cluster, segments, inner path and query', () => {
    expect(parseTarget(`/clusters/${id}/api/v1/pods?watch=true&labelSelector=a%2Fb`)).toEqual({
      clusterId: id,
      segments: ['api', 'v1', 'pods'],
      path: '/api/v1/pods',
      query: '?watch=true&labelSelector=a%2Fb',
    });
  });

  test.each(['api', 'apis', 'version', 'openapi/v3', 'goldmane.Statistics/List'])('may be /%s', (door) => {
    expect(codeOf(`/clusters/${id}/${door}`)).toBe('accepted');
  });

  test.each([
    '/',
    '/clusters',
    `/clusters/${id}`,
    `/clusters/${id}/healthz`,
    `/clusters/${id}/API/v1`,
    `/clusters/${id}/goldmane.Statistics`,
    `/clusters/${id}/goldmane.Statistics/List/`,
    `/clusters/${id}/goldmane.Statistics/List?x=1`,
    `/clusters/${id}/goldmane.Statistics/List/x`,
    `/clusters/${id}/goldmane.Statistics/Stream`,
    `/clusters/${id}/goldmane.Flows/List`,
    '/v1/me',
  ])('is NOT_FOUND when it is none of ours: %s', (target) => {
    expect(codeOf(target)).toBe('NOT_FOUND');
  });

  test.each([
    ['a dot segment', `/clusters/${id}/api/../version`],
    ['a leading dot segment', `/clusters/../clusters/${id}/api`],
    ['an encoded dot segment', `/clusters/${id}/api/%2e%2e/apis`],
    ['a single encoded dot', `/clusters/${id}/api/v1/%2E/pods`],
    ['an encoded slash', `/clusters/${id}/api/v1/namespaces/x%2Fsecrets`],
    ['a doubly encoded slash', `/clusters/${id}/api/v1/namespaces/x%252Fsecrets`],
    ['an encoded backslash', `/clusters/${id}/api/v1/x%5Cy`],
    ['a raw backslash', `/clusters/${id}/api/v1/x\\y`],
    ['an empty segment', `/clusters/${id}//api/v1/pods`],
    ['an empty segment inside', `/clusters/${id}/api/v1//pods`],
    ['two slashes at the end', `/clusters/${id}/api//`],
    ['a NUL', `/clusters/${id}/api/v1/pods%00`],
    ['an encoded newline', `/clusters/${id}/api/v1/pods%0a`],
    ['a broken encoding', `/clusters/${id}/api/v1/pods%2`],
    ['bytes that are not UTF-8', `/clusters/${id}/api/v1/pods%ff`],
    ['overlong UTF-8', `/clusters/${id}/api/v1/%c0%af`],
    ['a fragment', `/clusters/${id}/api/v1/pods#x`],
    ['a space', `/clusters/${id}/api/v1/pods x`],
    ['the absolute form', `https://elsewhere/clusters/${id}/api`],
    ['the asterisk form', '*'],
    ['nothing', ''],
  ])('is INVALID_REQUEST with %s', (_, target) => {
    expect(codeOf(target)).toBe('INVALID_REQUEST');
  });

  test('is HEADERS_TOO_LARGE beyond the limit, and accepted at it', () => {
    const start = `/clusters/${id}/api?`;
    expect(codeOf(start + 'x'.repeat(maxTargetBytes - start.length))).toBe('accepted');
    expect(codeOf(start + 'x'.repeat(maxTargetBytes - start.length + 1))).toBe('HEADERS_TOO_LARGE');
  });

  test('is written anew as the cluster reads it: needless encodings vanish, colons stay', () => {
    const { path, segments } = parseTarget(`/clusters/${id}/apis/%72bac/v1/clusterroles/system%3Anode`);
    expect(path).toBe('/apis/rbac/v1/clusterroles/system:node');
    expect(segments).toEqual(['apis', 'rbac', 'v1', 'clusterroles', 'system:node']);
  });

  test('keeps one slash at its end', () => {
    expect(parseTarget(`/clusters/${id}/api/`)).toMatchObject({ path: '/api/', segments: ['api'] });
  });

  test('does not judge the ID: that is a 404 later', () => {
    expect(parseTarget('/clusters/nonsense/api').clusterId).toBe('nonsense');
  });
});
