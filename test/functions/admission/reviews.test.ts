import { describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/credential/caller.ts';
import { Problem } from '../../../core/problem/problem.ts';
import { deadlineOf } from '../../../functions/admission/answer-review.ts';
import { reviewOf } from '../../core/admission/review.ts';
import { type Answered, member } from '../api-call.ts';
import { answerOfReview, podReview } from './pod-review.ts';
import { day, digestOf, now, scanned, scored } from './scanned.ts';
import { alias, site } from './site.ts';

const answerOf = (answered: Answered) => answerOfReview(answered.json());
const [good, bad] = [digestOf('a'), digestOf('b')];
const clean = scanned({ digest: good });
const failing = scanned({ digest: bad, findings: [scored('CVE-2019-14697', 9.8)] });

describe('POST /v1/admission-reviews', () => {
  test('admits what passes: 200, the uid of the request, and no word', async () => {
    const answered = await site({ images: { 'app:1': [clean] } }).review(podReview(['app:1']));

    expect(answered.status).toBe(200);
    expect(answered.headers).toMatchObject({
      'Content-Type': 'application/json',
      'Cache-Control': 'no-store',
    });
    expect(answered.json()).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: '705ab4f5-6393-11e8-b7cc-42010a800002', allowed: true },
    });
  });

  test('refuses what fails, with 200 as API servers want it: what, why with fixes, and what to do', async () => {
    const { review } = site({ images: { 'app:1': [clean], 'gcr.io/p/web': [failing] } });
    const answered = await review(podReview(['app:1', 'gcr.io/p/web']));

    expect(answered.status).toBe(200);
    expect(answerOf(answered)).toMatchObject({
      allowed: false,
      status: {
        code: 403,
        message:
          'Cattery does not admit Pod shop/web: gcr.io/p/web:latest (container c1) failed its scan of 2026-11-22: ' +
          'cvss-fail, 1 finding (CVE-2019-14697 in musl 1.1.22-r2, fixed in 1.1.22-r3). Use an image that has the ' +
          'fixes, or ask whoever keeps the image policy for an exception (POST /v1/image-exceptions).',
      },
    });
  });

  test('refuses an image of which no scan is known, unless the image policy takes it for something else', async () => {
    expect(answerOf(await site().review(podReview(['app:1'])))).toMatchObject({
      allowed: false,
      status: { message: expect.stringContaining('Scan the image, upload the report') },
    });
    const lenient = site({ imagePolicy: { unscanned: 'warn' } });
    expect(answerOf(await lenient.review(podReview(['app:1'])))).toMatchObject({
      allowed: true,
      warnings: [expect.stringContaining('has no scan result under this name')],
    });
  });

  test('of an index, and of a tag with several platforms, the worst image counts', async () => {
    const { review } = site({ images: { 'app:1': [clean, failing] } });

    expect(answerOf(await review(podReview(['app:1']))).allowed).toBe(false);
  });

  test('looks each image up once and judges it once, however many containers and names it has', async () => {
    let judged = 0;
    const image = scanned({ digest: good, onJudged: () => (judged += 1) });
    const { review, lookups } = site({ images: { 'app:1': [image], [`app@${good}`]: [image] } });
    const names = Array.from({ length: 50 }, (_, index) =>
      index % 2 === 0 ? 'app:1' : `docker.io/library/app@${good}`,
    );

    expect(answerOf(await review(podReview(names))).allowed).toBe(true);
    expect(lookups).toEqual([[alias('app:1'), good]]);
    expect(judged).toBe(1);
  });

  test('init and ephemeral containers and templates count as well', async () => {
    const { review } = site({ images: { app: [clean], bad: [failing] } });
    const spec = (kind: string) => ({
      containers: [{ name: 'c', image: 'app' }],
      [kind]: [{ name: 'x', image: 'bad' }],
    });
    const workloads = [
      { kind: 'Pod', object: { spec: spec('initContainers') } },
      {
        kind: 'Pod',
        subResource: 'ephemeralcontainers',
        operation: 'UPDATE',
        object: { spec: spec('ephemeralContainers') },
      },
      { kind: 'Deployment', group: 'apps', object: { spec: { template: { spec: spec('initContainers') } } } },
    ];
    for (const each of workloads) {
      expect(answerOf(await review(reviewOf(each)))).toMatchObject({
        allowed: false,
        status: { message: expect.stringContaining('docker.io/library/bad:latest (container x)') },
      });
    }
  });

  test('judges a dry run as any other', async () => {
    const { review } = site({ images: { bad: [failing] } });
    const asked = podReview(['bad']);

    expect(answerOf(await review({ ...asked, request: { ...asked.request, dryRun: true } })).allowed).toBe(
      false,
    );
  });

  test('reads nothing for an object that runs no image', async () => {
    const { review, lookups } = site();
    const answered = await review(reviewOf({ kind: 'ConfigMap', object: { data: {} } }));

    expect(answerOf(answered)).toEqual({ uid: '705ab4f5-6393-11e8-b7cc-42010a800002', allowed: true });
    expect(lookups).toEqual([]);
  });

  test('in mode audit of the image’s repository admits with a warning', async () => {
    const { review } = site({
      images: { 'trial/app': [failing], app: [failing] },
      imagePolicy: { overrides: [{ repositories: ['docker.io/trial/*'], mode: 'audit' }] },
    });

    expect(answerOf(await review(podReview(['trial/app'])))).toMatchObject({
      allowed: true,
      warnings: [
        expect.stringMatching(/^would not be admitted \(mode audit\): docker\.io\/trial\/app:latest/),
      ],
    });
    expect(answerOf(await review(podReview(['app']))).allowed).toBe(false);
  });

  test('follows the admission policy: exempt namespaces and images, rules', async () => {
    const { review } = site({
      images: { app: [failing] },
      admissionPolicy: {
        exemptNamespaces: ['kube-*'],
        exemptImages: ['registry.k8s.io/**'],
        policies: [
          {
            name: 'ours',
            rules: [{ action: 'Allow', imagePath: { operator: 'IsOneOf', values: ['/app$'] } }],
          },
        ],
      },
    });

    expect(answerOf(await review(podReview(['app']))).allowed).toBe(true);
    expect(answerOf(await review(podReview(['registry.k8s.io/pause:3.10']))).allowed).toBe(true);
    expect(answerOf(await review(podReview(['other'], { namespace: 'kube-system' }))).allowed).toBe(true);
    expect(answerOf(await review(podReview(['other']))).allowed).toBe(false);
  });

  test('logs that something is not admitted by uid and count, without names; and nothing else', async () => {
    const { review, logged, tenantId } = site({ images: { app: [clean] } });
    await review(podReview(['app']));
    await review(podReview(['app', 'registry.internal/secret-project']));

    expect(logged).toEqual([
      [
        'not admitted',
        { tenantId, uid: '705ab4f5-6393-11e8-b7cc-42010a800002', kind: 'Pod', allowed: false, images: 1 },
      ],
    ]);
  });

  describe('refuses to read', () => {
    test.each([
      [
        'v1beta1',
        { ...podReview(['app']), apiVersion: 'admission.k8s.io/v1beta1' },
        'INVALID_REQUEST',
        '/apiVersion',
      ],
      [
        'what has no request',
        { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' },
        'INVALID_REQUEST',
        '/request',
      ],
      ['another kind', { ...podReview(['app']), kind: 'ConversionReview' }, 'INVALID_REQUEST', '/kind'],
      ['nothing', '', 'INVALID_REQUEST', '/apiVersion'],
    ])('%s: 400 with the place', async (_, body, code, path) => {
      const answered = await site().review(body);

      expect(answered.status).toBe(400);
      expect(answered.json()).toMatchObject({
        code,
        errors: expect.arrayContaining([expect.objectContaining({ path })]),
      });
    });

    test('what is not JSON: 400, what is said to be something else: 415, more than 4 MB: 413', async () => {
      const { review } = site();
      const large = podReview(['app'], { oldObject: { data: 'x'.repeat(4 * 1024 * 1024) } });

      expect((await review('{')).json()).toMatchObject({ status: 400, code: 'INVALID_JSON' });
      expect(
        (await review('a: 1', { headers: { 'Content-Type': 'application/yaml' } })).json(),
      ).toMatchObject({
        status: 415,
        code: 'UNSUPPORTED_MEDIA_TYPE',
      });
      expect((await review(large)).json()).toMatchObject({ status: 413, code: 'PAYLOAD_TOO_LARGE' });
    });
  });

  describe('is not misled by', () => {
    const { review } = site({ images: { app: [clean], bad: [failing] } });
    const pod = (spec: string, more = '') =>
      `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","operation":"CREATE",` +
      `"kind":{"group":"","version":"v1","kind":"Pod"},"namespace":"shop","object":{${more}"spec":${spec}}}}`;
    const container = (image: string) => `{"name":"c","image":${JSON.stringify(image)}}`;

    test.each<[string, string]>([
      ['containers that are no list', pod('{"containers":{"0":{"name":"c","image":"app"}}}')],
      ['a container that is no object', pod('{"containers":["app"]}')],
      ['an image that is no text', pod('{"containers":[{"name":"c","image":["app"]}]}')],
      [
        'a prototype in the place of a spec',
        pod(`{"__proto__":{"containers":[]},"containers":[${container('bad')}]}`),
      ],
      ['a container without an image', pod('{"containers":[{"name":"c"}]}')],
      ['letters that look alike', pod(`{"containers":[${container('\u0430pp')}]}`)],
      [
        'ends of lines and control characters in names',
        pod(`{"containers":[${container('app\n\u001b[2J')}]}`),
      ],
      [
        'the same member twice, of which API servers take the last',
        pod(`{"containers":[${container('bad')}]}`, `"spec":{"containers":[${container('app')}]},`),
      ],
      [
        'a template where there should be none',
        pod('{"template":{"spec":{"containers":[]}},"containers":[{"image":"bad"}]}'),
      ],
    ])('%s: refused, in printable words', async (_, body) => {
      const { allowed, status } = answerOf(await review(body));

      expect(allowed).toBe(false);
      expect(status?.message).toMatch(/^Cattery [\x20-\x7e]+$/);
    });

    test('an object that is nested a million deep', async () => {
      const deep = `"x":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)},`;

      expect(answerOf(await review(pod(`{"containers":[${container('app')}]}`, deep))).allowed).toBe(true);
      expect(answerOf(await review(pod(`{"containers":[${container('bad')}]}`, deep))).allowed).toBe(false);
    });
  });

  test('a credential needs admission:review, and one that has it alone gets no further', async () => {
    const who: Caller = {
      kind: 'api-key',
      tenantId: member('t-aaaaaaaaaaaaaaaaaaaa').tenantId,
      principal: 'api-key:test',
      scopes: new Set(['admission:review']),
    };
    const { review, send } = site({ images: { app: [clean] } });

    expect((await review(podReview(['app']), { who })).status).toBe(200);
    expect((await review(podReview(['app']), { who: member(who.tenantId, 'editor') })).json()).toMatchObject({
      status: 403,
      code: 'ACCESS_DENIED',
    });
    for (const [method, path, body] of [
      ['GET', '/v1/admission-policy', undefined],
      ['PUT', '/v1/admission-policy', {}],
      ['POST', '/v1/admission-policy/imports', 'a: 1'],
      ['POST', '/v1/admission-policy/tests', { images: ['app'] }],
    ] as const)
      expect([path, (await send(method, path, body, { who })).status]).toEqual([path, 403]);
  });

  describe('has no verdict, so that the webhook’s failurePolicy decides,', () => {
    test('when storage does not answer before the API server stops waiting: 504 TIMEOUT', async () => {
      const over = { lookups: { find: () => new Promise<never>(() => undefined) } };
      const started = performance.now();
      const answered = await site({ over }).review(podReview(['app']), { query: { timeout: '300ms' } });

      expect(answered.json()).toMatchObject({ status: 504, code: 'TIMEOUT' });
      expect(performance.now() - started).toBeGreaterThanOrEqual(190);
    });

    test('when storage fails, or the rules cannot be read: 503 UNAVAILABLE, with Retry-After and no detail', async () => {
      const broken = () => Promise.reject(new Error('connect ECONNREFUSED 10.0.0.1'));
      for (const over of [{ lookups: { find: broken } }, { rules: { ready: broken } }]) {
        const answered = await site({ over }).review(podReview(['app']));

        expect(answered.json()).toMatchObject({ status: 503, code: 'UNAVAILABLE' });
        expect(answered.headers['Retry-After']).toBe('2');
        expect(answered.text).not.toContain('ECONNREFUSED');
      }
    });

    test('and an error of another kind stays what it is', async () => {
      const over = { rules: { ready: () => Promise.reject(new Problem('CONFLICT')) } };

      expect((await site({ over }).review(podReview(['app']))).status).toBe(409);
    });
  });
});

test.each([
  ['10s', 8_000],
  [undefined, 8_000],
  ['30s', 20_000],
  ['5s', 4_000],
  ['1s', 800],
  ['300ms', 200],
  ['100ms', 50],
])('Where the API server waits %s, the answer comes within %d ms', (timeout, ms) => {
  expect(deadlineOf(timeout)).toBe(ms);
});

test('A scan that ages fails at its time, though nothing was written since', async () => {
  const image = scanned({ digest: good, scannedAt: now - 30 * day + 1 });
  const given = { images: { app: [image] }, imagePolicy: { maxScanAgeDays: 30 } };

  expect(answerOf(await site(given).review(podReview(['app']))).allowed).toBe(true);
  const later = site({ ...given, over: { now: () => now + 1 } });
  expect(answerOf(await later.review(podReview(['app'])))).toMatchObject({
    allowed: false,
    status: { message: expect.stringMatching(/scan-age\. Scan the image anew and upload the report\.$/) },
  });
});
