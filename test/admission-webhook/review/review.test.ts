import { describe, expect, test } from '@jest/globals';
import { Assembly, type Knowledge } from '../../../admission-webhook/knowledge/knowledge.ts';
import { review, type ReviewDependencies, tooLarge } from '../../../admission-webhook/review/review.ts';
import {
  type AdmissionBundle,
  admissionBundle,
  type AdmissionRules,
  type BundledImage,
} from '../../../core/admission/admission-bundle.ts';
import { Problem } from '../../../core/problem/problem.ts';
import { digestOf, enforcing, scanned, tenantId } from '../control-plane.ts';

const hour = 3_600_000;
const now = Date.parse('2026-11-23T12:00:00Z');

type Given = {
  images?: readonly BundledImage[];
  rules?: AdmissionRules;
  policy?: object;
  /** When it was signed, epoch seconds. */
  iat?: number;
};
function knowing({ images = [], rules = enforcing, policy = {}, iat = 1 }: Given): Knowledge {
  const bundle: AdmissionBundle = admissionBundle.parse({
    ...{ iss: 'https://api.example', sub: tenantId, iat, kind: 'full', asOf: '1', part: 0 },
    revisions: { rules: 1, admission: 1 },
    rules,
    policy,
    images,
  });
  const assembly = new Assembly(undefined);
  assembly.add(bundle);
  return assembly.finish();
}

const deps = (
  given: Given,
  more: Partial<ReviewDependencies> & { ageMs?: number } = {},
): ReviewDependencies => {
  const knowledge = knowing(given);
  const { ageMs = 0, ...rest } = more;
  return {
    known: () => ({ knowledge, ageMs }),
    labels: () => Promise.reject(new Error('nobody asks')),
    now: () => now,
    ...rest,
  };
};

const pod = (images: readonly string[], more: object = {}, namespace = 'shop') => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: {
    uid: 'a-uid',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    name: 'p',
    namespace,
    operation: 'CREATE',
    object: {
      metadata: { name: 'p' },
      spec: { containers: images.map((image, n) => ({ name: `c${n}`, image })) },
    },
    ...more,
  },
});
const image = (name: string) => `registry.example/${name}:1`;
const fails = { images: [scanned('bad', 'fail'), scanned('good', 'pass')] };

describe('a review', () => {
  test('by a clock that is behind is answered as of the time at which the bundle was signed, not of before', async () => {
    const worsens = [{ at: now - hour, verdict: 'fail' as const, reasons: [] }];
    const given = { images: [scanned('app', 'pass', { worsens })], iat: now / 1_000 };
    const late = await review(pod([image('app')]), undefined, deps(given, { now: () => now - 48 * hour }));
    expect(late.response.allowed).toBe(false);
  });

  test('is answered by what the bundle says, with the uid, why, and what to do', async () => {
    const good = await review(pod([image('good')]), undefined, deps(fails));
    expect(good.response).toEqual({ uid: 'a-uid', allowed: true });
    const bad = await review(pod([image('good'), image('bad')]), undefined, deps(fails));
    expect(bad.response).toMatchObject({ uid: 'a-uid', allowed: false, status: { code: 403 } });
    expect(bad.response.status?.message).toMatch(
      /registry\.example\/bad:1 \(container c1\) failed.*CVE-2026-0001 in musl 1\.1, fixed in 1\.2/,
    );
  });

  test('of an image that nobody has scanned follows the rules of its repository', async () => {
    const rules: AdmissionRules = {
      ...enforcing,
      overrides: [
        { repositories: ['registry.example/trusted/**'], unscanned: 'pass' },
        { repositories: ['registry.example/trial/**'], mode: 'audit' },
      ],
    };
    const ask = (name: string) => review(pod([image(name)]), undefined, deps({ rules }));
    expect((await ask('any')).response.allowed).toBe(false);
    expect((await ask('trusted/a')).response.allowed).toBe(true);
    const audited = (await ask('trial/a')).response;
    expect([audited.allowed, audited.warnings?.length]).toEqual([true, 1]);
  });

  test('of 50 containers with one digest is one evaluation', async () => {
    const given = deps(fails);
    const looked: string[] = [];
    const { images } = given.known()?.knowledge ?? knowing({});
    const named = images.named.bind(images);
    images.named = (alias, at) => {
      looked.push(alias);
      return named(alias, at);
    };
    const text = `registry.example/bad@${digestOf('bad')}`;
    const { response } = await review(pod(Array.from({ length: 50 }, () => text)), undefined, given);
    expect(looked).toEqual([digestOf('bad')]);
    expect(response.status?.message.match(/failed its scan/g)).toHaveLength(1);
    expect(response.status?.message).toContain('c0, c1, c2 and 47 more');
  });

  test('is judged by its own clock: a verdict that time makes worse is worse without a new bundle', async () => {
    const { reasons } = scanned('x', 'fail');
    const ageing = scanned('ageing', 'pass', {
      worsens: [{ at: now + hour, verdict: 'fail', reasons }],
      expiresAt: now + 2 * hour,
    });
    const at = async (moment: number) =>
      (await review(pod([image('ageing')]), undefined, deps({ images: [ageing] }, { now: () => moment })))
        .response;
    expect([(await at(now + hour - 1)).allowed, (await at(now + hour)).allowed]).toEqual([true, false]);
    expect((await at(now + 2 * hour)).status?.message).toContain('no scan result under this name');
  });

  test('says how old the knowledge is from one hour on, also after a day, and answers all the same', async () => {
    const warnings = async (ageMs: number, name = 'good') =>
      (await review(pod([image(name)]), undefined, deps(fails, { ageMs }))).response;
    expect(await warnings(hour - 1)).not.toHaveProperty('warnings');
    expect((await warnings(hour)).warnings).toEqual([
      "Cattery's knowledge of images is 1 h old: its control plane is not reached",
    ]);
    expect((await warnings(24 * hour)).warnings?.[0]).toContain('24 h old');
    expect(await warnings(24 * hour, 'bad')).toMatchObject({ allowed: false });
  });

  test('says nothing of age where no image was judged', async () => {
    const service = pod([], { kind: { group: '', version: 'v1', kind: 'Service' } });
    const { response } = await review(service, undefined, deps(fails, { ageMs: 24 * hour }));
    expect(response).toEqual({ uid: 'a-uid', allowed: true });
  });

  test('asks for the labels of its namespace where a policy selects by them, and only there', async () => {
    const policies = [
      { name: 'prod', namespaceSelector: "tier == 'prod'", rules: [{ action: 'Reject' }] },
      { name: 'rest', rules: [{ action: 'Allow' }] },
    ];
    const asked: [string, number][] = [];
    const within = (found: Record<string, string> | undefined, timeout?: string) => {
      const labels = (name: string, patienceMs: number) => {
        asked.push([name, patienceMs]);
        return Promise.resolve(found);
      };
      return review(pod([image('good')]), timeout, deps({ ...fails, policy: { policies } }, { labels }));
    };
    expect((await within({ tier: 'test' })).response.allowed).toBe(true);
    expect((await within({ tier: 'prod' }, '2s')).response.allowed).toBe(false);
    // Unknown: the harsher answer counts.
    expect((await within(undefined, '30s')).response.allowed).toBe(false);
    expect(asked).toEqual([
      ['shop', 1_000],
      ['shop', 2_000 / 3],
      ['shop', 1_000],
    ]);
    const service = pod([], { kind: { group: '', version: 'v1', kind: 'Service' } });
    await review(service, undefined, deps({ policy: { policies } }));
  });

  test.each([
    ['null', null],
    ['no review', { kind: 'Pod' }],
    ['a review of another version', { ...pod([]), apiVersion: 'admission.k8s.io/v1beta1' }],
  ])('that is %s is refused with INVALID_REQUEST', async (_, body) => {
    await expect(review(body, undefined, deps({}))).rejects.toMatchObject({ code: 'INVALID_REQUEST' });
  });

  test('while nothing is known gets UNAVAILABLE, so that the failure policy decides', async () => {
    const given = deps({}, { known: () => undefined });
    await expect(review(pod([image('good')]), undefined, given)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      headers: { 'Retry-After': '5' },
    });
    expect(() => tooLarge('u', given)).toThrow(Problem);
  });

  test('that is too large is not let in, or with a warning in audit mode: no failure policy lets it through', () => {
    expect(tooLarge('u', deps({})).response).toMatchObject({ uid: 'u', allowed: false });
    const audit = deps({ rules: { ...enforcing, mode: 'audit' } });
    expect(tooLarge('u', audit).response).toMatchObject({ allowed: true, warnings: [expect.any(String)] });
  });
});
