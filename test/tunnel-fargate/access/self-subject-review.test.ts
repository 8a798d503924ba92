import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { addAbortSignal } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Access, answerOf, clusterId, jsonOf, open, startFixture, until } from './access-fixture.ts';

const path = (group: string, resource: string) => `/clusters/${clusterId}/apis/${group}/v1/${resource}`;
const accessReviews = path('authorization.k8s.io', 'selfsubjectaccessreviews');
const rulesReviews = path('authorization.k8s.io', 'selfsubjectrulesreviews');
const selfReviews = path('authentication.k8s.io', 'selfsubjectreviews');

let access: Access;
// No cluster is connected: these answers are ours alone.
beforeAll(async () => {
  access = await startFixture(undefined);
});
afterAll(() => access.close());

const post = (to: string, body: string, token = 'viewer', type = 'application/json') =>
  access.h2(to, { method: 'POST', token, body, headers: { 'content-type': type } });
const allowed = async (spec: object, token: string) => {
  const answer = jsonOf(await post(accessReviews, JSON.stringify({ spec }), token));
  return (answer.status as { allowed: boolean }).allowed;
};

describe('a review of oneself', () => {
  test.each([
    [{ resourceAttributes: { verb: 'list', resource: 'pods' } }, true],
    [{ resourceAttributes: { verb: 'watch', resource: '*', group: '*' } }, true],
    [{ resourceAttributes: { verb: 'get', resource: 'pods', subresource: 'log' } }, true],
    [{ nonResourceAttributes: { verb: 'get', path: '/apis' } }, true],
    [{ resourceAttributes: { verb: 'delete', resource: 'pods' } }, false],
    [{ resourceAttributes: { verb: '*', resource: '*' } }, false],
    [{ resourceAttributes: { verb: 'get', resource: 'pods', subresource: 'exec' } }, false],
    [{ resourceAttributes: { verb: 'get', resource: 'pods/exec' } }, false],
    [{ resourceAttributes: { verb: 'impersonate', resource: 'users' } }, false],
    [{ nonResourceAttributes: { verb: 'post', path: '/apis' } }, false],
    [{}, false],
  ])('%j is %s for a viewer and true for an editor', async (spec, viewer) => {
    expect(await allowed(spec, 'viewer')).toBe(viewer);
    expect(await allowed(spec, 'editor')).toBe(true);
  });

  test('is answered 201 with what was asked, and a reason that names the limit', async () => {
    const spec = { resourceAttributes: { verb: 'delete', resource: 'pods', namespace: 'x' } };
    const answer = await post(accessReviews, JSON.stringify({ kind: 'SelfSubjectAccessReview', spec }));
    expect(answer.status).toBe(201);
    expect(jsonOf(answer)).toEqual({
      kind: 'SelfSubjectAccessReview',
      apiVersion: 'authorization.k8s.io/v1',
      metadata: {},
      spec,
      status: { allowed: false, reason: 'no role and no access rule of user:viewer allows it' },
    });
  });

  test('lists rules by role', async () => {
    const rules = async (token: string) =>
      jsonOf(await post(rulesReviews, '{"spec":{"namespace":"x"}}', token)).status as {
        resourceRules: { verbs: string[] }[];
      };
    expect((await rules('viewer')).resourceRules).toMatchObject([{ verbs: ['get', 'list', 'watch'] }]);
    expect((await rules('editor')).resourceRules).toMatchObject([{ verbs: ['*'] }]);
  });

  test('says who one is', async () => {
    expect(jsonOf(await post(selfReviews, '{}'))).toMatchObject({
      kind: 'SelfSubjectReview',
      status: { userInfo: { username: 'user:viewer' } },
    });
  });

  test('is read in the protobuf that kubectl 1.32 and later send', async () => {
    const type = 'application/vnd.kubernetes.protobuf';
    const body = (verb: string) => reviewInProtobuf(verb, 'pods').toString('latin1');
    // All of these bytes are ASCII, so the text is the bytes.
    const bytes = async (verb: string, token: string) =>
      jsonOf(await post(accessReviews, body(verb), token, type));
    expect(await bytes('delete', 'viewer')).toMatchObject({
      spec: { resourceAttributes: { namespace: 'default', verb: 'delete', resource: 'pods' } },
      status: { allowed: false },
    });
    expect(await bytes('list', 'viewer')).toMatchObject({ status: { allowed: true } });
    expect(await bytes('delete', 'editor')).toMatchObject({ status: { allowed: true } });
  });

  test.each([
    ['application/yaml', 'spec: {}', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['application/json', '{', 400, 'INVALID_JSON'],
    ['application/json', '{"spec":1}', 400, 'INVALID_REQUEST'],
    ['application/json', `{"spec":{"x":"${'y'.repeat(70_000)}"}}`, 413, 'PAYLOAD_TOO_LARGE'],
    ['application/vnd.kubernetes.protobuf', 'k8s', 400, 'INVALID_REQUEST'],
    ['application/vnd.kubernetes.protobuf', 'k8s\0\x12\x7f', 400, 'INVALID_REQUEST'],
    ['application/vnd.kubernetes.protobuf', 'k8s\0\x13', 400, 'INVALID_REQUEST'],
    ['application/vnd.kubernetes.protobuf', 'k8s\0\x09\x01', 400, 'INVALID_REQUEST'],
  ])('as %s with a body like %j is %i %s', async (type, body, status, code) => {
    const answer = await post(accessReviews, body, 'viewer', type);
    expect([answer.status, jsonOf(answer).code]).toEqual([status, code]);
  });

  test('is POST only: all else goes the way of every request', async () => {
    expect((await access.h2(accessReviews, { token: 'viewer' })).status).toBe(503);
    expect(
      (await access.h2(`${accessReviews}/x`, { method: 'POST', body: '{}', token: 'viewer' })).status,
    ).toBe(403);
  });
});

const field = (number: number, value: Buffer | string): Buffer => {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
};

/** As client-go writes it: envelope, runtime.Unknown, SelfSubjectAccessReview. */
function reviewInProtobuf(verb: string, resource: string): Buffer {
  const attributes = Buffer.concat([field(1, 'default'), field(2, verb), field(4, 'v1'), field(5, resource)]);
  const message = Buffer.concat([field(1, field(1, '')), field(2, field(1, attributes))]);
  const type = Buffer.concat([field(1, 'authorization.k8s.io/v1'), field(2, 'SelfSubjectAccessReview')]);
  return Buffer.concat([
    Buffer.from('k8s\0'),
    field(1, type),
    field(2, message),
    field(3, ''),
    // A varint field that nobody asked for.
    Buffer.from([0x28, 0x16]),
  ]);
}

describe('a review whose body does not come', () => {
  let hasty: Access;
  beforeAll(async () => {
    hasty = await startFixture(undefined, { timing: { bodyTimeoutMs: 50 } });
  });
  afterAll(() => hasty.close());

  test('is answered after the time limit over HTTP/2: INVALID_REQUEST', async () => {
    const stream = open(hasty.session(), accessReviews, {
      ':method': 'POST',
      'content-type': 'application/json',
    });
    stream.write('{');
    const answer = await answerOf(stream);
    expect([answer.status, jsonOf(answer).code]).toEqual([400, 'INVALID_REQUEST']);
    expect(answer.text).toContain('0.05 s');
  });

  test('and over HTTP/1.1', async () => {
    const request = httpsRequest({
      host: '127.0.0.1',
      port: hasty.port,
      path: accessReviews,
      method: 'POST',
      ca: hasty.ca.certificate,
      headers: {
        authorization: 'Bearer viewer',
        'content-type': 'application/json',
        'content-length': '100',
      },
      agent: false,
    });
    request.on('error', () => undefined).write('{');
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(400);
    request.destroy();
  });

  test('is given up when the client goes', async () => {
    expect(access.verified).not.toContain('owner');
    const stream = open(access.session(), accessReviews, {
      ':method': 'POST',
      authorization: 'Bearer owner',
    });
    stream.write('{');
    await until(() => access.verified.includes('owner'));
    // Not close(): Node would end the body first.
    const left = new AbortController();
    addAbortSignal(left.signal, stream);
    left.abort();
    await until(() => access.logged.some(({ ended }) => ended === 'ClientGone'));
  });
});
