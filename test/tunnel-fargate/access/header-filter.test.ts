import { describe, expect, test } from '@jest/globals';
import {
  clusterAuthority,
  outerLocation,
  requestHeaders,
  requestTrailers,
  responseHeaders,
  responseTrailers,
  upgradeHeaders,
} from '../../../tunnel-fargate/access/header-filter.ts';

const inner = (headers: Record<string, string>) =>
  requestHeaders(headers, { method: 'GET', path: '/api/v1/pods' });
const outer = (headers: Record<string, string | string[]>) =>
  responseHeaders(headers, { requestId: 'r', location: undefined });

describe('headers into the cluster', () => {
  test('carry a fixed authority, the inner path and what the client says of its request', () => {
    expect(
      inner({
        ':authority': 'access.example',
        ':path': '/clusters/x/api',
        accept: 'application/json',
        'user-agent': 'kubectl',
        'content-type': 'application/json',
        'content-length': '2',
      }),
    ).toEqual({
      ':method': 'GET',
      ':scheme': 'https',
      ':authority': clusterAuthority,
      ':path': '/api/v1/pods',
      accept: 'application/json',
      'user-agent': 'kubectl',
      'content-type': 'application/json',
      'content-length': '2',
    });
  });

  test.each([
    'authorization',
    'proxy-authorization',
    'cookie',
    'host',
    'impersonate-user',
    'impersonate-group',
    'impersonate-uid',
    'impersonate-extra-scopes',
    'impersonate_user',
    'forwarded',
    'via',
    'x-forwarded-for',
    'x-forwarded-host',
    'x_forwarded_for',
    'x-real-ip',
    'x-remote-user',
    'x-remote-group',
    'x-remote-extra-a',
    'x-original-url',
    'x-http-method',
    'x-http-method-override',
    'x-method-override',
    'connection',
    'keep-alive',
    'proxy-connection',
    'transfer-encoding',
    'upgrade',
    'te',
    'expect',
    'http2-settings',
  ])('never carry %s', (name) => {
    expect(Object.keys(inner({ [name]: 'x', accept: '*/*' }))).toEqual([
      ':method',
      ':scheme',
      ':authority',
      ':path',
      'accept',
    ]);
  });

  test('never carry what the Connection header names', () => {
    expect(inner({ connection: 'close, X-Secret', 'x-secret': '1', 'x-other': '2' })).toMatchObject({
      'x-other': '2',
    });
    expect(inner({ connection: 'close, X-Secret', 'x-secret': '1' })).not.toHaveProperty('x-secret');
  });

  test('say that trailers are welcome, and nothing else of TE', () => {
    expect(inner({ te: 'gzip, trailers' }).te).toBe('trailers');
    expect(inner({ te: 'gzip' })).not.toHaveProperty('te');
  });
});

describe('what comes before and after a body', () => {
  test('is announced by its names: those that may pass', () => {
    expect(inner({ trailer: 'X-Checksum, Authorization, Content-Length, bad name' }).trailer).toBe(
      'x-checksum',
    );
    expect(inner({ trailer: 'Host' })).not.toHaveProperty('trailer');
  });

  test('is the cluster to say with 100, and no other expectation', () => {
    expect(inner({ expect: '100-Continue' }).expect).toBe('100-continue');
  });

  test.each([
    ...[
      'authorization',
      'cookie',
      'host',
      'impersonate-user',
      'impersonate_user',
      'x-forwarded-for',
      'te',
      'trailer',
    ],
    ...['content-length', 'content-type', 'transfer-encoding', 'range', 'if-match', 'x-http-method-override'],
  ])('is never %s in a trailer', (name) => {
    expect(requestTrailers({ [name]: 'x', 'x-checksum': '1' })).toEqual({ 'x-checksum': '1' });
  });
});

describe('a WebSocket', () => {
  const headers = {
    connection: 'Upgrade, X-Secret',
    upgrade: 'websocket',
    host: 'access.example',
    authorization: 'Bearer x',
    'x-secret': '1',
    'sec-websocket-key': 'k',
    'impersonate-user': 'root',
  };

  test('is asked for in the name of whom we vouch for, and without what is for us', () => {
    const identity = { user: 'cattery:user:a', groups: ['cattery:role:editor'] };
    expect(upgradeHeaders(headers, identity)).toEqual({
      host: clusterAuthority,
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-key': 'k',
      'impersonate-user': 'cattery:user:a',
      'impersonate-group': ['cattery:role:editor'],
    });
    expect(upgradeHeaders(headers, undefined)).not.toHaveProperty('impersonate-user');
  });

  test.each([
    ['base64url.bearer.authorization.k8s.io.c2Vj', undefined],
    ['base64url.bearer.authorization.k8s.io.c2Vj, v5.channel.k8s.io', 'v5.channel.k8s.io'],
    [
      'v5.channel.k8s.io,BASE64URL.bearer.authorization.k8s.io.c2Vj,v4.channel.k8s.io',
      'v5.channel.k8s.io, v4.channel.k8s.io',
    ],
  ])('never carries a token among its sub-protocols: %s', (protocols, left) => {
    const offered = { ...headers, 'sec-websocket-protocol': protocols };
    expect(upgradeHeaders(offered, undefined)['sec-websocket-protocol']).toBe(left);
    expect(inner({ 'sec-websocket-protocol': protocols })['sec-websocket-protocol']).toBe(left);
  });
});

describe('headers out of the cluster', () => {
  test.each([
    'set-cookie',
    'strict-transport-security',
    'alt-svc',
    'access-control-allow-origin',
    'clear-site-data',
    'www-authenticate',
    'connection',
    'transfer-encoding',
    'location',
  ])('never carry %s', (name) => {
    expect(outer({ [name]: 'x' })).toEqual({
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'x-request-id': 'r',
    });
  });

  test('carry the rest, several values and the own rule on caching included', () => {
    expect(
      outer({
        ':status': '200',
        warning: ['299 - "a"', '299 - "b"'],
        'audit-id': 'q',
        'cache-control': 'private',
      }),
    ).toMatchObject({ warning: ['299 - "a"', '299 - "b"'], 'audit-id': 'q', 'cache-control': 'private' });
  });

  test('trailers carry no cookies', () => {
    expect(responseTrailers({ 'grpc-status': '0', 'set-cookie': ['a=b'] })).toEqual({ 'grpc-status': '0' });
  });
});

describe('a redirect', () => {
  const at = (location: string) => outerLocation(location, '/clusters/c-x', '/api/v1/pods');

  test('inside the Kubernetes API stays under the prefix of its cluster', () => {
    expect(at('/api/')).toBe('/clusters/c-x/api/');
    expect(at(`https://${clusterAuthority}/apis/apps?x=1`)).toBe('/clusters/c-x/apis/apps?x=1');
    expect(at('nodes')).toBe('/clusters/c-x/api/v1/nodes');
  });

  test.each([
    'https://elsewhere.example/api/',
    '//elsewhere.example/api',
    '/healthz',
    '/apiserver',
    'http://[',
    '../../x',
  ])('to %s is dropped', (location) => {
    expect(at(location)).toBeUndefined();
  });
});
