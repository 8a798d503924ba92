import { describe, expect, test } from '@jest/globals';
import { admissionPolicy } from '../../../core/admission/admission-policy.ts';
import { readyPolicy } from '../../../core/admission/admission-policy.ts';
import type { PolicyImported, PolicyTestAnswer } from '../../../core/admission/policy-test-schema.ts';
import { podReview } from './pod-review.ts';
import { day, digestOf, now, scanned, scored } from './scanned.ts';
import { site } from './site.ts';

const route = '/v1/admission-policy';
const yaml = { 'Content-Type': 'application/yaml' };
const cr = (name: string, rules: readonly object[] = [{ action: 'Reject' }], more: object = {}) => ({
  apiVersion: 'containersecurity.tigera.io/v1beta1',
  kind: 'ContainerAdmissionPolicy',
  metadata: { name },
  spec: { rules, ...more },
});
const documents = (...objects: readonly object[]) =>
  objects.map((each) => JSON.stringify(each)).join('\n---\n');

describe('GET and PUT /v1/admission-policy', () => {
  test('give the policy with its revision as entity tag, and take it back as it was given', async () => {
    const { send } = site({ admissionPolicy: { exemptNamespaces: ['kube-system'] } });
    const first = await send('GET', route, undefined);

    expect(first.headers.ETag).toBe('"1"');
    expect(first.json()).toEqual({
      exemptNamespaces: ['kube-system'],
      exemptImages: [],
      policies: [],
      unmatched: 'Verdict',
    });
    const put = await send('PUT', route, first.text);
    expect([put.status, put.headers.ETag, put.json()]).toEqual([200, '"2"', first.json()]);
  });

  test('a change holds from the next review on', async () => {
    const { send, review, state } = site();
    const allowed = async () => (await review(podReview(['app']))).json();

    expect(await allowed()).toMatchObject({ response: { allowed: false } });
    expect((await send('PUT', route, { unmatched: 'Allow' })).status).toBe(200);
    expect(state.kept.revision).toBe(2);
    expect(await allowed()).toMatchObject({ response: { allowed: true } });
  });

  test('with If-Match of another revision is 409 CONFLICT and changes nothing', async () => {
    const { send, state } = site();
    const put = (ifMatch: string) =>
      send(
        'PUT',
        route,
        { unmatched: 'Reject' },
        { headers: { 'Content-Type': 'application/json', 'If-Match': ifMatch } },
      );

    expect((await put('"7"')).json()).toMatchObject({ status: 409, code: 'CONFLICT' });
    expect(state.kept).toMatchObject({ revision: 1, policy: { unmatched: 'Verdict' } });
    expect((await put('"1"')).headers.ETag).toBe('"2"');
    expect((await put('*')).headers.ETag).toBe('"3"');
    expect((await put('W/"3"')).json()).toMatchObject({ status: 409, code: 'CONFLICT' });
    expect((await put('"1", "3"')).headers.ETag).toBe('"4"');
  });

  test('what cannot be read is 400 with its place, without what stood there', async () => {
    const { send, state } = site();
    const policies = [
      { name: 'a', rules: [{ action: 'Reject', imagePath: { operator: 'IsOneOf', values: ['(hush'] } }] },
    ];
    const answered = await send('PUT', route, { policies });

    expect(answered.json()).toMatchObject({
      status: 400,
      code: 'INVALID_REQUEST',
      errors: [
        { path: '/policies/0/rules/0/imagePath/values/0', message: expect.stringContaining('the pattern') },
      ],
    });
    expect(answered.text).not.toContain('hush');
    expect((await send('PUT', route, { mode: 'audit' })).status).toBe(400);
    expect(state.kept.revision).toBe(1);
  });

  test('a table that does not answer is 503', async () => {
    const broken = () => Promise.reject(new Error('no'));
    const { send } = site({
      over: { policies: { ready: readyPolicy as never, read: broken, write: broken } },
    });

    expect((await send('GET', route, undefined)).json()).toMatchObject({ status: 503, code: 'UNAVAILABLE' });
    expect((await send('PUT', route, {})).json()).toMatchObject({ status: 503, code: 'UNAVAILABLE' });
  });
});

describe('POST /v1/admission-policy/imports', () => {
  const stored = {
    exemptNamespaces: ['kube-system'],
    policies: [
      { name: 'old', rules: [{ action: 'Allow' }] },
      { name: 'same', rules: [{ action: 'Reject' }] },
    ],
  };
  const post = (
    given: ReturnType<typeof site>,
    text: string,
    query: Record<string, string> = {},
    headers = yaml,
  ) => given.send('POST', `${route}/imports`, text, { query, headers });

  test('adds, replaces by name and leaves the rest; says what became of each', async () => {
    const given = site({ admissionPolicy: stored });
    const answered = await post(given, documents(cr('old'), cr('same'), cr('new')));

    expect(answered.status).toBe(200);
    expect(answered.headers.ETag).toBe('"2"');
    const imported = answered.json() as unknown as PolicyImported;
    expect(imported).toMatchObject({ stored: true, added: ['new'], replaced: ['old'], unchanged: ['same'] });
    expect(given.state.kept.policy).toEqual(imported.policy);
    expect(imported.policy).toMatchObject({
      exemptNamespaces: ['kube-system'],
      policies: ['old', 'same', 'new'].map((name) => ({ name, rules: [{ action: 'Reject' }] })),
    });
  });

  test('with dryRun gives the same and stores nothing', async () => {
    const given = site({ admissionPolicy: stored });
    const text = documents(cr('old'), cr('new'));
    const tried = (await post(given, text, { dryRun: 'true' })).json() as unknown as PolicyImported;

    expect(tried.stored).toBe(false);
    expect(given.state.kept.revision).toBe(1);
    expect({ ...tried, stored: true }).toEqual((await post(given, text)).json());
  });

  test('of what is there already stores nothing anew', async () => {
    const given = site({ admissionPolicy: stored });

    expect((await post(given, documents(cr('same')))).json()).toMatchObject({
      stored: true,
      unchanged: ['same'],
    });
    expect(given.state.kept.revision).toBe(1);
  });

  test('with one fault takes nothing, and says where', async () => {
    const given = site({ admissionPolicy: stored });
    const answered = await post(
      given,
      documents(cr('new'), cr('bad', [{ action: 'Reject', imagePaths: {} }])),
    );

    expect(answered.json()).toMatchObject({
      status: 400,
      code: 'INVALID_REQUEST',
      errors: [{ path: '/1/spec/rules/0' }],
    });
    expect(given.state.kept.revision).toBe(1);
  });

  test('what is too much together with what is there is 400', async () => {
    const policies = Array.from({ length: 50 }, (_, index) => ({
      name: `p${index}`,
      rules: [{ action: 'Allow' }],
    }));
    const given = site({ admissionPolicy: { policies } });

    expect((await post(given, documents(cr('new')))).json()).toMatchObject({
      status: 400,
      code: 'INVALID_REQUEST',
      errors: [{ path: '/policies' }],
    });
    expect((await post(given, documents(cr('p7')))).status).toBe(200);
  });

  test('is made anew on what somebody else has just stored, and after four times is 409', async () => {
    const given = site({ admissionPolicy: stored });
    const { read } = given.deps.policies;
    let quicker = 2;
    const policies = {
      ...given.deps.policies,
      read: async (tenantId: string) => {
        const before = await read(tenantId);
        if (quicker > 0) {
          quicker -= 1;
          given.state.kept = {
            revision: before.revision + 1,
            policy: admissionPolicy.parse({ ...before.policy, exemptImages: [`r.io/${quicker}/*`] }),
          };
        }
        return before;
      },
    };
    const raced = { ...given, send: site({ over: { policies } }).send };

    expect((await post(raced, documents(cr('new')))).status).toBe(200);
    expect(given.state.kept.policy).toMatchObject({
      exemptImages: ['r.io/0/*'],
      policies: [{ name: 'old' }, { name: 'same' }, { name: 'new' }],
    });
    quicker = 4;
    expect((await post(raced, documents(cr('newer')))).json()).toMatchObject({
      status: 409,
      code: 'CONFLICT',
    });
  });

  test('what is not YAML: 400; of another media type: 415; no UTF-8: 400; too long: 413', async () => {
    const given = site();

    expect((await post(given, 'a: [')).json()).toMatchObject({ status: 400, code: 'INVALID_REQUEST' });
    expect((await post(given, 'a,b', {}, { 'Content-Type': 'text/csv' })).json()).toMatchObject({
      status: 415,
      code: 'UNSUPPORTED_MEDIA_TYPE',
    });
    expect((await post(given, `# ${'x'.repeat(262_144)}`)).json()).toMatchObject({
      status: 413,
      code: 'PAYLOAD_TOO_LARGE',
    });
    expect((await post(given, documents(cr('new')), { dryRun: 'perhaps' })).status).toBe(400);
    expect((await post(given, documents(cr('new')), {}, {} as typeof yaml)).status).toBe(200);
  });
});

describe('POST /v1/admission-policy/tests', () => {
  const [good, bad] = [digestOf('a'), digestOf('b')];
  const findings = [9.8, 9.7, 9.6, 9.5, 9].map((score, index) => scored(`CVE-2026-000${index}`, score));
  const images = {
    app: [scanned({ digest: good })],
    'gcr.io/p/bad': [scanned({ digest: bad, findings })],
    doubtful: [scanned({ digest: digestOf('c'), findings: [scored('CVE-2026-0005', 5)] })],
  };
  const ask = async (given: ReturnType<typeof site>, body: object) => {
    const answered = await given.send('POST', `${route}/tests`, body);
    expect([answered.status, answered.text]).toEqual([200, expect.any(String)]);
    return answered.json() as unknown as PolicyTestAnswer;
  };

  test('says of each image what decided: the rule by number, exemptions, what no rule matches', async () => {
    const given = site({
      images,
      admissionPolicy: {
        exemptImages: ['registry.k8s.io/**'],
        policies: [
          {
            name: 'ours',
            rules: [
              { action: 'Allow', imagePath: { operator: 'IsOneOf', values: ['/app$'] } },
              { action: 'Reject', imageScanStatus: { operator: 'IsOneOf', values: ['Fail'] } },
            ],
          },
        ],
      },
    });
    const named = ['app', 'gcr.io/p/bad', 'registry.k8s.io/pause', 'doubtful', 'new:1', 'Bad'];

    expect(await ask(given, { images: named })).toMatchObject({
      at: '2026-11-23T12:00:00.000Z',
      allowed: false,
      wouldAllow: false,
      message: expect.stringContaining('rule 2 of policy ours'),
      images: [
        {
          image: 'docker.io/library/app:latest',
          containers: ['container-1'],
          status: 'pass',
          digest: good,
          scannedAt: '2026-11-22T12:00:00.000Z',
          allowed: true,
          decided: { by: 'rule', policy: 'ours', rule: 1, isUncertain: false },
        },
        {
          status: 'fail',
          digest: bad,
          reasons: [
            {
              rule: 'cvss-fail',
              total: 5,
              findings: ['CVE-2026-0000', 'CVE-2026-0001', 'CVE-2026-0002'].map((vulnerability) => ({
                vulnerability,
              })),
            },
          ],
          allowed: false,
          decided: { by: 'rule', policy: 'ours', rule: 2 },
        },
        { status: 'unscanned', allowed: true, decided: { by: 'exempt-image' } },
        { status: 'warn', allowed: true, decided: { by: 'unmatched', isUncertain: false } },
        // Taken for fail.
        { status: 'unscanned', allowed: false, decided: { by: 'rule', policy: 'ours', rule: 2 } },
        { image: 'Bad', allowed: false, decided: { by: 'reference', fault: expect.any(String) } },
      ],
    });
  });

  test('tries another policy, and leaves the stored one as it is', async () => {
    const given = site({ images });
    const tried = { exemptNamespaces: ['shop'] };

    expect(await ask(given, { images: ['new'], namespace: 'shop', policy: tried })).toMatchObject({
      allowed: true,
      images: [{ decided: { by: 'exempt-namespace' } }],
    });
    expect(await ask(given, { images: ['new'], namespace: 'shop' })).toMatchObject({ allowed: false });
    expect(given.state.kept.revision).toBe(1);
    expect(given.logged).toEqual([]);
  });

  test('takes a review as API servers send it', async () => {
    expect(await ask(site({ images }), { review: podReview(['app', 'new']) })).toMatchObject({
      allowed: false,
      images: [
        { allowed: true, containers: ['c0'] },
        { allowed: false, containers: ['c1'] },
      ],
    });
  });

  test('judges with labels of the pod, and of the namespace where they are given', async () => {
    const policies = [
      { name: 'prod', namespaceSelector: "env == 'prod'", rules: [{ action: 'Reject' }] },
      { name: 'team', selector: "team == 'a'", rules: [{ action: 'Allow' }] },
    ];
    const given = site({ images, admissionPolicy: { policies } });
    const decided = async (more: object) =>
      (await ask(given, { images: ['app'], ...more })).images[0]?.decided;

    expect(await decided({})).toEqual({ by: 'rule', policy: 'prod', rule: 1, isUncertain: true });
    expect(await decided({ namespaceLabels: { env: 'prod' } })).toMatchObject({
      policy: 'prod',
      isUncertain: false,
    });
    expect(await decided({ namespaceLabels: {}, labels: { team: 'a' } })).toMatchObject({ policy: 'team' });
    expect(await decided({ namespaceLabels: {} })).toMatchObject({ by: 'unmatched' });
  });

  test('judges at another time: what time makes worse is told beforehand', async () => {
    const given = site({ images, imagePolicy: { maxScanAgeDays: 30 } });
    const at = (days: number) => new Date(now + days * day).toISOString();

    expect(await ask(given, { images: ['app'], at: at(28) })).toMatchObject({ allowed: true, at: at(28) });
    expect(await ask(given, { images: ['app'], at: at(30) })).toMatchObject({
      allowed: false,
      images: [{ status: 'fail', reasons: [{ rule: 'scan-age' }] }],
    });
  });

  test.each<[string, object, string]>([
    ['neither review nor images', {}, '/'],
    ['both', { images: ['app'], review: podReview(['app']) }, '/'],
    ['a namespace beside a review', { review: podReview(['app']), namespace: 'shop' }, '/namespace'],
    ['a time that is none', { images: ['app'], at: 'tomorrow' }, '/at'],
    [
      'a policy that cannot be read',
      { images: ['app'], policy: { unmatched: 'Maybe' } },
      '/policy/unmatched',
    ],
    ['a member that is unknown', { image: 'app', images: ['app'] }, '/'],
  ])('%s is 400', async (_, body, path) => {
    expect((await site().send('POST', `${route}/tests`, body)).json()).toMatchObject({
      status: 400,
      code: 'INVALID_REQUEST',
      errors: [{ path }],
    });
  });
});
