import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { BundledImages } from '../../../core/admission/bundled-images.ts';
import { Problem } from '../../../core/problem/problem.ts';
import { bundleKeys, maxAge, maxAhead, overlap } from '../../../functions/admission/admission-bundle.ts';
import { writtenPosition, writtenState } from '../../../functions/admission/bundle-position.ts';
import { type KmsStandIn, startKms } from '../../core/admission/kms-stand-in.ts';
import { BundleSite, numbered, ours, stored, theirs } from './bundle-site.ts';
import { day, now, scored } from './scanned.ts';

let kms: KmsStandIn;
let site: BundleSite;
beforeAll(async () => {
  kms = await startKms();
});
afterAll(() => kms.close());
beforeEach(() => {
  kms.asked.length = 0;
  Object.assign(kms.faults, { GetPublicKey: 'none', Sign: 'none' });
  site = new BundleSite(kms);
});

const digests = ({ images }: { images: readonly { digest: string }[] }) => images.map(({ digest }) => digest);
const codeOf = async (answer: Promise<unknown>): Promise<string> => {
  const error = await answer.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Problem)) throw new Error('no problem', { cause: error });
  return error.code;
};
/** Bundles that nobody uploads to any more. */
const settle = () => {
  site.now += overlap + 1;
};

describe('a full bundle', () => {
  test('without images has the policy and the rules, and is one part', async () => {
    const bundle = await site.part();
    expect(bundle).toEqual({
      iss: 'https://api.example/prod',
      sub: ours,
      iat: now / 1000,
      kind: 'full',
      asOf: expect.any(String),
      part: 0,
      revisions: { rules: 0, admission: 0 },
      rules: { mode: 'enforce', unscanned: 'fail', overrides: [] },
      policy: { exemptNamespaces: [], exemptImages: [], policies: [], unmatched: 'Verdict' },
      images: [],
    });
  });

  test('tells what admission asks of the rules, and no more of them', async () => {
    site.setRules({
      failAt: 7,
      unscanned: 'warn',
      overrides: [
        { repositories: ['docker.io/**'], failAt: 8 },
        { repositories: ['a.example/**'], mode: 'audit', unscanned: 'pass' },
      ],
    });
    site.setPolicy({ unmatched: 'Reject' });
    const { rules, policy, revisions } = await site.part();
    expect(rules).toEqual({
      mode: 'enforce',
      unscanned: 'warn',
      overrides: [
        { repositories: ['docker.io/**'] },
        { repositories: ['a.example/**'], mode: 'audit', unscanned: 'pass' },
      ],
    });
    expect(policy.unmatched).toBe('Reject');
    expect(revisions).toEqual({ rules: 1, admission: 1 });
  });

  test('tells an image with its verdict now, its names, and when and why it becomes worse', async () => {
    site.setRules({ failAt: 9, graceDays: 10, maxScanAgeDays: 30, stale: 'warn' });
    const publishedAt = new Date(now - 4 * day).toISOString();
    const names = [{ alias: 'docker.io/library/x:1', platform: 'linux/amd64', scannedAt: now - day }];
    site.images.set(
      numbered(1),
      stored(numbered(1), {
        names,
        findings: [scored('CVE-2026-1', 9.8, { publishedAt, aliases: ['GHSA-1'] })],
      }),
    );
    site.images.set(numbered(2), stored(numbered(2)));
    const told = [
      {
        vulnerability: 'CVE-2026-1',
        package: 'musl',
        version: '1.1.22-r2',
        fix: { versions: ['1.1.22-r3'] },
      },
    ];
    expect((await site.part()).images).toEqual([
      {
        digest: numbered(1),
        names,
        scannedAt: now - day,
        verdict: 'warn',
        reasons: [
          { rule: 'cvss-warn', total: 1, findings: told },
          { rule: 'grace', total: 1, findings: told },
        ],
        worsens: [
          {
            at: now + 6 * day,
            verdict: 'fail',
            reasons: [{ rule: 'cvss-fail', total: 1, findings: told }],
          },
        ],
        expiresAt: now + 90 * day,
      },
      {
        digest: numbered(2),
        names: [],
        scannedAt: now - day,
        verdict: 'pass',
        reasons: [],
        worsens: [
          { at: now + 29 * day, verdict: 'warn', reasons: [{ rule: 'scan-age', total: 0, findings: [] }] },
        ],
        expiresAt: now + 90 * day,
      },
    ]);
  });

  test('comes in parts of the same state, which have each image once', async () => {
    for (let n = 0; n < 10; n += 1) site.images.set(numbered(n), stored(numbered(n)));
    const parts = await site.whole({}, { images: 3 });
    expect(parts.map(({ images }) => images.length)).toEqual([3, 3, 3, 1]);
    expect(parts.flatMap(digests)).toEqual([...site.images.keys()]);
    expect(parts.map(({ part, kind }) => [part, kind])).toEqual([0, 1, 2, 3].map((n) => [n, 'full']));
    expect(new Set(parts.map(({ asOf }) => asOf)).size).toBe(1);
  });

  test('a part ends before it grows beyond its bytes, and has one image at least', async () => {
    for (let n = 0; n < 4; n += 1) site.images.set(numbered(n), stored(numbered(n)));
    const [empty] = await new BundleSite(kms).whole();
    const one = Buffer.byteLength(JSON.stringify((await site.part()).images[0])) + 1;
    // `images: []` of the payload, and `asOf` is of one length.
    const bytes = Buffer.byteLength(JSON.stringify({ ...empty, images: undefined })) + 2 * one;
    const parts = await site.whole({}, { bytes });
    expect(parts.map(({ images }) => images.length)).toEqual([2, 2]);
    const tiny = await site.whole({}, { bytes: 1 });
    expect(tiny.map(({ images }) => images.length)).toEqual([1, 1, 1, 1]);
  });

  test('a part ends when its time is over, rather than being too late', async () => {
    for (let n = 0; n < 600; n += 1) site.images.set(numbered(n), stored(numbered(n)));
    // Each page of 250 takes 5 s.
    site.onRead = () => (site.now += 5_000);
    const parts = await site.whole({}, { patience: 8_000 });
    expect(parts.flatMap(digests)).toEqual([...site.images.keys()]);
    expect(parts.map(({ images }) => images.length)).toEqual([250, 250, 100]);
  });

  test.each([
    ['10,000 images', 10_000, 1, 10],
    ['images with all the names that they may have', 600, 32, undefined],
  ])('of %s comes in parts of at most 1,000 and less than 3 MB', async (_what, count, names, expected) => {
    const alias = (n: number) => `registry.example/${'x'.repeat(400)}:${n}`;
    const findings = Array.from({ length: 5 }, (_, n) => scored(`CVE-2026-${1_000 + n}`, 9));
    const common = stored(numbered(0), {
      findings,
      names: Array.from({ length: names }, (_, n) => ({ alias: alias(n), platform: '', scannedAt: now })),
    });
    for (let n = 0; n < count; n += 1) site.images.set(numbered(n), { ...common, digest: numbered(n) });
    let [parts, images] = [0, 0];
    for (let cursor: string | undefined, at = 0; at === 0 || cursor !== undefined; at += 1) {
      const answer = await site.answer({ cursor });
      expect((answer.body as string).length).toBeLessThan(3_000_000);
      const part = await site.read(answer);
      expect(part.images.length).toBeLessThanOrEqual(1_000);
      images += part.images.length;
      parts += 1;
      cursor = part.next;
    }
    expect(images).toBe(count);
    if (expected !== undefined) expect(parts).toBe(expected);
  });

  test('has no image whose time is over', async () => {
    site.images.set(numbered(1), stored(numbered(1), { expiresAt: now }));
    site.images.set(numbered(2), stored(numbered(2), { expiresAt: now + 1 }));
    const bundle = await site.part();
    expect(digests(bundle)).toEqual([numbered(2)]);
    expect(bundle.removed).toBeUndefined();
  });

  test.each([
    ['the image rules', () => site.setRules({ failAt: 8 })],
    ['the admission policy', () => site.setPolicy({ unmatched: 'Reject' })],
  ])(
    'when %s change between two parts, the next is refused with CONFLICT: begin again',
    async (_what, change) => {
      for (let n = 0; n < 5; n += 1) site.images.set(numbered(n), stored(numbered(n)));
      const { next } = await site.part({}, { images: 3 });
      change();
      expect(await codeOf(site.answer({ cursor: next }, { images: 3 }))).toBe('CONFLICT');
      const again = await site.whole({}, { images: 3 });
      expect(again.flatMap(digests)).toHaveLength(5);
      const revision = again[0]?.revisions;
      expect(again.map(({ revisions }) => revisions)).toEqual([revision, revision]);
    },
  );

  test('an image that changes between two parts is in the next delta, wherever it stood', async () => {
    for (let n = 0; n < 6; n += 1) site.images.set(numbered(n), stored(numbered(n)));
    const first = await site.part({}, { images: 3 });
    site.now += 1;
    const failing = stored(numbered(0), { findings: [scored('CVE-2026-1', 9.8)] });
    site.upload(failing);
    const second = await site.part({ cursor: first.next }, { images: 3 });
    expect([...first.images, ...second.images].map(({ verdict }) => verdict)).toEqual(Array(6).fill('pass'));
    site.now += 1;
    const delta = await site.part({ since: first.asOf });
    expect(delta).toMatchObject({ kind: 'delta', images: [{ digest: numbered(0), verdict: 'fail' }] });
  });
});

describe('a delta', () => {
  test('has the images that were changed since, each once and as it is now, and says what it continues', async () => {
    for (let n = 0; n < 5; n += 1) site.upload(stored(numbered(n)));
    settle();
    const { asOf } = await site.part();
    settle();
    site.upload(stored(numbered(3)));
    site.now += 5;
    site.upload(stored(numbered(7)));
    site.now += 5;
    site.upload(stored(numbered(3), { findings: [scored('CVE-2026-1', 9.8)] }));
    const delta = await site.part({ since: asOf });
    expect(delta).toMatchObject({ kind: 'delta', since: asOf, part: 0 });
    expect(delta.asOf).not.toBe(asOf);
    expect(delta.images.map(({ digest, verdict }) => [digest, verdict])).toEqual([
      [numbered(3), 'fail'],
      [numbered(7), 'pass'],
    ]);
    expect(delta.removed).toBeUndefined();
  });

  test('names the images that are gone', async () => {
    site.upload(stored(numbered(1)));
    site.upload(stored(numbered(2)));
    const { asOf } = await site.part();
    site.images.delete(numbered(1));
    site.images.set(numbered(2), stored(numbered(2), { expiresAt: site.now }));
    const { images, removed } = await site.part({ since: asOf });
    expect(images).toEqual([]);
    expect(removed).toEqual([numbered(1), numbered(2)]);
  });

  test('has what was noted late: a change bears the time at which its writer began', async () => {
    const { asOf } = await site.part();
    site.now += 1_000;
    site.upload(stored(numbered(1)), now - 25_000);
    expect(digests(await site.part({ since: asOf }))).toEqual([numbered(1)]);
  });

  test('comes in parts, of which none goes beyond its limit and the last ends at its state', async () => {
    const { asOf } = await site.part();
    for (let n = 0; n < 8; n += 1) {
      site.now += 1;
      site.upload(stored(numbered(n % 5)));
    }
    const parts = [await site.part({ since: asOf }, { images: 2 })];
    const until = parts[0]?.asOf ?? '';
    // Later than the bundle: not in its further parts.
    site.now += 1;
    site.upload(stored(numbered(9)));
    for (let cursor = parts[0]?.next; cursor; cursor = parts.at(-1)?.next) {
      parts.push(await site.part({ since: asOf, cursor }, { images: 2 }));
    }
    expect(parts.every(({ images }) => images.length <= 2)).toBe(true);
    expect(new Set(parts.flatMap(digests))).toEqual(new Set([0, 1, 2, 3, 4].map(numbered)));
    expect(new Set(parts.map((part) => part.asOf))).toEqual(new Set([until]));
    expect(new Set(parts.map((part) => part.since))).toEqual(new Set([asOf]));
    expect(digests(await site.part({ since: until }))).toContain(numbered(9));
  });

  test('of a hundred changes of one image is one image', async () => {
    const { asOf } = await site.part();
    for (let n = 0; n < 300; n += 1) {
      site.now += 1;
      site.upload(stored(numbered(1)));
    }
    site.now += 1;
    site.upload(stored(numbered(2)));
    const parts = await site.whole({ since: asOf }, { images: 2 });
    expect(parts.map(digests)).toEqual([[numbered(1), numbered(2)]]);
  });

  test('carries a changed admission policy, which changes no verdict', async () => {
    site.upload(stored(numbered(1)));
    settle();
    const { asOf } = await site.part();
    settle();
    site.setPolicy({ unmatched: 'Reject' });
    const delta = await site.part({ since: asOf });
    expect(delta).toMatchObject({ kind: 'delta', images: [], policy: { unmatched: 'Reject' } });
  });

  test.each([
    ['the image rules have changed, which may change every verdict', () => site.setRules({ failAt: 8 })],
    ['the bundle is 7 days old: changes are not kept for ever', () => (site.now += maxAge)],
    ['the bundle is of a time to come, by a clock that was put right', () => (site.now -= maxAhead + 1)],
  ])('is not given when %s: then the bundle is full', async (_why, change) => {
    site.images.set(numbered(1), stored(numbered(1)));
    const { asOf } = await site.part();
    change();
    const bundle = await site.part({ since: asOf });
    expect(bundle.kind).toBe('full');
    expect(bundle.since).toBeUndefined();
    expect(digests(bundle)).toEqual([numbered(1)]);
  });
});

test('after an edition of ours that judged otherwise the bundle is full, and no part of it is continued', async () => {
  for (let n = 0; n < 2; n += 1) site.images.set(numbered(n), stored(numbered(n)));
  const before = { at: now, rules: 0, admission: 0, edition: 0 };
  expect((await site.part({ since: writtenState(ours, before) })).kind).toBe('full');
  const cursor = writtenPosition(ours, { to: before, after: numbered(0), part: 1 });
  expect(await codeOf(site.answer({ cursor }))).toBe('CONFLICT');
});

describe('a place in the bundles', () => {
  test.each(['', 'nonsense', 'x'.repeat(2_000), Buffer.from('nonsense'.repeat(4)).toString('base64url')])(
    'that is none (%#) is refused with INVALID_CURSOR',
    async (text) => {
      expect(await codeOf(site.answer({ since: text }))).toBe('INVALID_CURSOR');
      expect(await codeOf(site.answer({ cursor: text }))).toBe('INVALID_CURSOR');
    },
  );

  test('of another tenant is refused with INVALID_CURSOR', async () => {
    for (let n = 0; n < 2; n += 1) site.images.set(numbered(n), stored(numbered(n)));
    const { asOf, next } = await site.part({}, { images: 1 });
    expect(await codeOf(site.answer({ tenantId: theirs, since: asOf }))).toBe('INVALID_CURSOR');
    expect(await codeOf(site.answer({ tenantId: theirs, cursor: next }))).toBe('INVALID_CURSOR');
    expect(await codeOf(site.answer({ since: next }))).toBe('INVALID_CURSOR');
    expect(await codeOf(site.answer({ cursor: asOf }))).toBe('INVALID_CURSOR');
  });

  test('that somebody wrote himself is read like any input', async () => {
    const to = { at: now, rules: 0, admission: 0, edition: 1 };
    for (const wrong of [{ to, part: -1 }, { to, part: 0, after: 'x' }, { part: 1 }]) {
      const cursor = writtenPosition(ours, wrong as Parameters<typeof writtenPosition>[1]);
      expect(await codeOf(site.answer({ cursor }))).toBe('INVALID_CURSOR');
    }
    const since = writtenState(ours, { ...to, at: Number.NaN });
    expect(await codeOf(site.answer({ since }))).toBe('INVALID_CURSOR');
  });
});

describe('the entity tag', () => {
  const tagOf = ({ headers }: { headers?: Readonly<Record<string, string>> }) => headers?.ETag ?? '';

  test('spares who has everything the bundle: 304, and nothing is signed or read', async () => {
    site.upload(stored(numbered(1)));
    settle();
    const first = await site.answer();
    const { asOf } = await site.read(first);
    expect(first.headers).toEqual({ ETag: tagOf(first), 'Cache-Control': 'private, no-cache' });
    expect(tagOf(first)).toMatch(/^W\/"[\w-]{27}"$/);
    const [signatures, reads] = [site.signatures, site.reads];
    site.now += 30 * day;
    for (const ifNoneMatch of [tagOf(first), `"x", ${tagOf(first)}`, tagOf(first).slice(2), '*']) {
      for (const since of [asOf, undefined]) {
        const again = await site.answer({ since, ifNoneMatch });
        expect(again).toEqual({
          status: 304,
          headers: { ETag: tagOf(first), 'Cache-Control': 'private, no-cache' },
        });
      }
    }
    expect([site.signatures, site.reads]).toEqual([signatures, reads]);
  });

  test.each([
    ['an image', () => site.upload(stored(numbered(2)))],
    ['the image rules', () => site.setRules({ failAt: 8 })],
    ['the admission policy', () => site.setPolicy({ unmatched: 'Reject' })],
  ])('is another once %s changes', async (_what, change) => {
    site.upload(stored(numbered(1)));
    settle();
    const ifNoneMatch = tagOf(await site.answer());
    change();
    const answer = await site.answer({ ifNoneMatch });
    expect(answer.status).toBeUndefined();
    expect(tagOf(answer)).not.toBe(ifNoneMatch);
  });

  test('of a tenant is not that of another who has as much', async () => {
    const [one, other] = [await site.answer(), await site.answer({ tenantId: theirs })];
    expect(tagOf(one)).not.toBe(tagOf(other));
  });

  test('changes once more a minute after a change, for what somebody noted late behind it', async () => {
    settle();
    const before = await site.part();
    site.upload(stored(numbered(2)));
    const first = await site.answer({ since: before.asOf });
    const { asOf } = await site.read(first);
    // Begun before the other and ended after it: the newest change is the same as before.
    site.now += 20_000;
    site.upload(stored(numbered(1)), site.now - 25_000);
    const early = await site.answer({ since: asOf, ifNoneMatch: tagOf(first) });
    expect(early.status).toBe(304);
    settle();
    const late = await site.answer({ since: asOf, ifNoneMatch: tagOf(first) });
    expect(digests(await site.read(late)).sort()).toEqual([numbered(1), numbered(2)]);
    site.now += day;
    expect((await site.answer({ since: asOf, ifNoneMatch: tagOf(late) })).status).toBe(304);
  });

  test('is that of the first part: further ones have none, and answer whatever the client has', async () => {
    for (let n = 0; n < 2; n += 1) site.images.set(numbered(n), stored(numbered(n)));
    const first = await site.answer({}, { images: 1 });
    const { next } = await site.read(first);
    const second = await site.answer({ cursor: next, ifNoneMatch: tagOf(first) }, { images: 1 });
    expect(second.headers).toEqual({ 'Cache-Control': 'private, no-cache' });
    expect(digests(await site.read(second))).toEqual([numbered(1)]);
  });
});

describe('what does not answer', () => {
  test.each(['states', 'changes', 'images', 'rules'] as const)(
    '%s: UNAVAILABLE with Retry-After, and nothing is signed',
    async (broken) => {
      site.upload(stored(numbered(1)));
      const { asOf } = await site.part();
      const before = site.signatures;
      site.broken = broken;
      await expect(site.answer({ since: asOf })).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        headers: { 'Retry-After': expect.stringMatching(/^\d+$/) },
      });
      expect(site.signatures).toBe(before);
      site.broken = undefined;
      expect(digests(await site.part({ since: asOf }))).toEqual([numbered(1)]);
    },
  );

  test('images that stop in the middle of a part: UNAVAILABLE, and no half of it', async () => {
    for (let n = 0; n < 600; n += 1) site.images.set(numbered(n), stored(numbered(n)));
    site.onRead = () => {
      if (site.reads === 2) site.broken = 'images';
    };
    expect(await codeOf(site.answer())).toBe('UNAVAILABLE');
    expect(site.signatures).toBe(0);
  });

  test.each(['throttled', 'unreachable', 'empty'] as const)(
    'KMS that is %s: UNAVAILABLE with Retry-After, never an unsigned bundle',
    async (fault) => {
      kms.faults.Sign = fault;
      await expect(site.answer()).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        headers: { 'Retry-After': '2' },
      });
      Object.assign(kms.faults, { Sign: 'none', GetPublicKey: fault });
      const fresh = new BundleSite(kms);
      await expect(fresh.answer()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      await expect(bundleKeys(fresh.deps)).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        headers: { 'Retry-After': '2' },
      });
    },
  );
});

test('a client that applies every delta knows the same as one that asks for all, at any time', async () => {
  const kept = new BundledImages();
  site.setRules({ graceDays: 3, maxScanAgeDays: 20 });
  let { asOf } = await site.part();
  // Linear congruential: the same each time.
  let seed = 6;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * below);
  };
  for (let round = 0; round < 60; round += 1) {
    for (let uploads = random(4); uploads > 0; uploads -= 1) {
      const at = site.now - random(30_000);
      const publishedAt = new Date(site.now - random(5) * day).toISOString();
      const findings = random(2) === 0 ? [] : [scored('CVE-2026-1', 4 + random(6), { publishedAt })];
      const names = [{ alias: `docker.io/library/x:${random(3)}`, platform: '', scannedAt: at }];
      const expiresAt = site.now + (1 + random(30)) * day;
      site.upload(stored(numbered(random(12)), { findings, names, scannedAt: at, expiresAt }), at);
    }
    site.now += random(3) * day + random(100_000);
    for (const part of await site.whole({ since: asOf }, { images: 3 })) {
      if (part.kind !== 'delta') throw new Error('not a delta');
      kept.apply(part);
      ({ asOf } = part);
    }
    const fresh = new BundledImages();
    for (const part of await site.whole({}, { images: 5 })) fresh.apply(part);
    const later = site.now + random(40) * day;
    for (const name of [
      ...[0, 1, 2].map((n) => `docker.io/library/x:${n}`),
      ...Array.from({ length: 12 }, (_, n) => numbered(n)),
    ]) {
      const known = (images: BundledImages) =>
        images.named(name, later).sort((a, b) => (a.digest < b.digest ? -1 : 1));
      expect(known(kept)).toEqual(known(fresh));
    }
  }
});
