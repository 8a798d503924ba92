import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { answerReview, patienceOf, readReview } from '../../../core/admission/admission-review.ts';
import { reviewOf } from './review.ts';

describe('An AdmissionReview v1', () => {
  test('is read as an API server sends it, members that mean nothing here left out', () => {
    const read = readReview(
      reviewOf({ kind: 'Pod', object: { apiVersion: 'v1', kind: 'Pod', spec: { containers: [] } } }),
    );

    expect(read).toEqual({
      request: {
        uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
        kind: { group: '', version: 'v1', kind: 'Pod' },
        subResource: '',
        name: 'web',
        namespace: 'shop',
        operation: 'CREATE',
        userInfo: { username: 'jane' },
        object: { apiVersion: 'v1', kind: 'Pod', spec: { containers: [] } },
        oldObject: undefined,
      },
    });
  });

  test('without name, namespace, objects and user is read too, null or absent', () => {
    const { request } = reviewOf({ kind: 'Pod', object: null });
    const { name: _name, namespace: _namespace, userInfo: _user, object: _object, ...rest } = request;

    for (const fewer of [rest, { ...rest, namespace: null, userInfo: null, object: null }]) {
      const read = readReview({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: fewer });
      expect(read).toMatchObject({ request: { name: '', namespace: '' } });
      expect(read).not.toHaveProperty('request.object.spec');
    }
  });

  test.each([
    ['v1beta1', { apiVersion: 'admission.k8s.io/v1beta1' }, '/apiVersion'],
    ['another kind', { kind: 'TokenReview' }, '/kind'],
    ['no request', { request: undefined }, '/request'],
    ['no uid', { request: { ...reviewOf({ kind: 'Pod', object: null }).request, uid: '' } }, '/request/uid'],
    [
      'an unknown operation',
      { request: { ...reviewOf({ kind: 'Pod', object: null }).request, operation: 'PATCH' } },
      '/request/operation',
    ],
    [
      'an object that is none',
      { request: { ...reviewOf({ kind: 'Pod', object: null }).request, object: 'x' } },
      '/request/object',
    ],
  ])('with %s is refused with INVALID_REQUEST', (_what, change, path) => {
    const read = readReview({ ...reviewOf({ kind: 'Pod', object: null }), ...change });

    expect(read).toMatchObject({ problem: { code: 'INVALID_REQUEST', errors: [{ path }] } });
  });

  test.each([[null], [[]], ['text'], [7]])('%j is none', (json) => {
    expect(readReview(json)).toHaveProperty('problem.code', 'INVALID_REQUEST');
  });
});

describe('The answer', () => {
  test('echoes the uid and says nothing more where all is well', () => {
    expect(answerReview('u-1', { allowed: true, warnings: [] })).toEqual({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'u-1', allowed: true },
    });
  });

  test('of a refusal has code, reason and message', () => {
    expect(answerReview('u-1', { allowed: false, message: 'Because.', warnings: ['w'] }).response).toEqual({
      uid: 'u-1',
      allowed: false,
      status: { code: 403, reason: 'Forbidden', message: 'Because.' },
      warnings: ['w'],
    });
  });

  test('has each warning once', () => {
    expect(answerReview('u', { allowed: true, warnings: ['a', 'b', 'a'] }).response.warnings).toEqual([
      'a',
      'b',
    ]);
  });

  test('whatever it is told is printable, its warnings within 256 characters each and 4,096 in all', () => {
    const texts = fc.array(fc.string({ unit: 'binary', maxLength: 600 }), { maxLength: 60 });
    fc.assert(
      fc.property(texts, fc.string({ unit: 'binary', maxLength: 5_000 }), (warnings, message) => {
        const { response } = answerReview('u', { allowed: false, message, warnings });
        const shown = response.warnings ?? [];
        for (const text of [...shown, response.status?.message ?? '']) expect(text).toMatch(/^[\x20-\x7e]*$/);
        expect(Math.max(0, ...shown.map(({ length }) => length))).toBeLessThanOrEqual(256);
        expect(shown.join('').length).toBeLessThanOrEqual(4_096);
        expect(response.status?.message.length).toBeLessThanOrEqual(2_048);
      }),
      { seed: 6, numRuns: 50 },
    );
  });

  test('says how many warnings it leaves out', () => {
    const warnings = Array.from({ length: 30 }, (_, index) => `${index} ${'x'.repeat(250)}`);
    const shown = answerReview('u', { allowed: true, warnings }).response.warnings ?? [];

    expect(shown.at(-1)).toBe(`and ${30 - (shown.length - 1)} more warnings`);
    expect(shown.length).toBeGreaterThan(10);
  });
});

describe('The patience of the API server', () => {
  test.each([
    ['10s', 10_000],
    ['1.5s', 1_500],
    ['500ms', 500],
    ['1m0s', 30_000],
    ['30s', 30_000],
    ['0s', 10_000],
    ['-1s', 10_000],
    ['soon', 10_000],
    ['', 10_000],
    [undefined, 10_000],
  ])('%s is %d ms', (timeout, expected) => {
    expect(patienceOf(timeout)).toBe(expected);
  });
});
