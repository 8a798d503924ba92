import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type AdmissionBundle,
  admissionBundle,
  type BundledImage,
  knownAt,
  resolveNames,
  settingsOf,
} from '../../../core/admission/admission-bundle.ts';
import { BundledImages } from '../../../core/admission/bundled-images.ts';

const digestOf = (hex: string) => `sha256:${hex.repeat(64)}`;
const [a, b, c] = ['a', 'b', 'c'].map(digestOf) as [string, string, string];
const reasonsOf = (rule: string): BundledImage['reasons'] => [{ rule, total: 1, findings: [] }];

function entry(digest: string, more: Partial<BundledImage> = {}): BundledImage {
  return {
    digest,
    names: [],
    scannedAt: 1_000,
    verdict: 'pass',
    reasons: [],
    worsens: [],
    expiresAt: 1_000_000,
    ...more,
  };
}

describe('an image of a bundle', () => {
  const worsening = entry(a, {
    worsens: [
      { at: 2_000, verdict: 'warn', reasons: reasonsOf('grace') },
      { at: 3_000, verdict: 'fail', reasons: reasonsOf('cvss-fail') },
    ],
  });

  test.each([
    [1_999, 'pass', undefined],
    [2_000, 'warn', 'grace'],
    [2_999, 'warn', 'grace'],
    [3_000, 'fail', 'cvss-fail'],
    [999_999, 'fail', 'cvss-fail'],
  ] as const)('at %i ms is judged %s, with the reason of that time', (now, verdict, rule) => {
    const known = knownAt(worsening, now);
    expect(known).toMatchObject({ digest: a, scannedAt: 1_000, verdict });
    expect(known?.reasons[0]?.rule).toBe(rule);
  });

  test('is not known any more from the moment on at which it expires', () => {
    expect(knownAt(worsening, 1_000_000)).toBeUndefined();
  });
});

describe('a name', () => {
  test('belongs on each platform to the image that was scanned last under it', () => {
    const named = [
      { digest: a, platform: 'linux/amd64', scannedAt: 2 },
      { digest: b, platform: 'linux/amd64', scannedAt: 3 },
      { digest: c, platform: 'linux/arm64', scannedAt: 1 },
    ];
    expect(resolveNames(named).sort()).toEqual([b, c]);
    expect(resolveNames([])).toEqual([]);
  });

  test('belongs to the same image in whatever order the uploads came', () => {
    const name = fc.record({
      digest: fc.constantFrom(a, b, c),
      platform: fc.constantFrom('', 'linux/amd64', 'linux/arm64'),
      scannedAt: fc.integer({ min: 1, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(name, { maxLength: 12 }), fc.infiniteStream(fc.nat()), (named, random) => {
        const other = named
          .map((each) => ({ each, at: random.next().value as number }))
          .sort((x, y) => x.at - y.at)
          .map(({ each }) => each);
        expect(resolveNames(other).sort()).toEqual(resolveNames(named).sort());
      }),
      { seed: 6 },
    );
  });
});

describe('the images of a bundle', () => {
  const name = fc.record({
    alias: fc.constantFrom('docker.io/library/x:1', 'docker.io/library/x:2', a, digestOf('d')),
    platform: fc.constantFrom('', 'linux/amd64'),
    scannedAt: fc.integer({ min: 1, max: 4 }),
  });
  const image = fc
    .record({
      digest: fc.constantFrom(a, b, c),
      names: fc.uniqueArray(name, { selector: (each) => `${each.alias} ${each.platform}`, maxLength: 4 }),
    })
    .map(({ digest, names }) => entry(digest, { names }));
  const change = fc.record({
    images: fc.array(image, { maxLength: 3 }),
    removed: fc.array(fc.constantFrom(a, b, c), { maxLength: 1 }),
  });
  const aliases = ['docker.io/library/x:1', 'docker.io/library/x:2', a, b, c, digestOf('d'), 'nobody'];
  const seenIn = (images: BundledImages) =>
    aliases.map((alias) =>
      images
        .named(alias, 5)
        .map(({ digest }) => digest)
        .sort(),
    );

  test('answer alike whether they came at once or change by change', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
        const grown = new BundledImages();
        const last = new Map<string, BundledImage>();
        for (const each of changes) {
          grown.apply(each);
          for (const digest of each.removed) last.delete(digest);
          for (const one of each.images) last.set(one.digest, one);
        }
        const whole = new BundledImages();
        whole.apply({ images: [...last.values()] });
        expect(seenIn(grown)).toEqual(seenIn(whole));
        expect(grown.size).toBe(whole.size);
      }),
      { seed: 6 },
    );
  });

  test('are found by their own digest, by a name, and by another digest; what has expired is not', () => {
    const images = new BundledImages();
    const names = ['docker.io/library/x:1', digestOf('d')].map((alias) => ({
      alias,
      platform: '',
      scannedAt: 1,
    }));
    images.apply({ images: [entry(a, { names, expiresAt: 10 })] });
    for (const alias of [a, digestOf('d'), 'docker.io/library/x:1']) {
      expect(images.named(alias, 9).map(({ digest }) => digest)).toEqual([a]);
      expect(images.named(alias, 10)).toEqual([]);
    }
    expect(images.named('docker.io/library/x:2', 9)).toEqual([]);
  });

  test('of thousands that have had one name the latest that is still there is found, at once', () => {
    const images = new BundledImages();
    const nth = (n: number) => `sha256:${String(n).padStart(64, '0')}`;
    const alias = 'docker.io/library/x:latest';
    const all = Array.from({ length: 5_000 }, (_, n) =>
      entry(nth(n), {
        names: [{ alias, platform: '', scannedAt: n }],
        expiresAt: n < 4_999 ? 10_000 : 9_000,
      }),
    );
    images.apply({ images: all });
    expect(images.named(alias, 8_999).map(({ digest }) => digest)).toEqual([nth(4_999)]);
    expect(images.named(alias, 9_000).map(({ digest }) => digest)).toEqual([nth(4_998)]);
    images.apply({ images: [], removed: [nth(4_998)] });
    expect(images.named(alias, 9_000).map(({ digest }) => digest)).toEqual([nth(4_997)]);
    const before = performance.now();
    for (let n = 0; n < 1_000; n += 1) images.named(alias, 8_999);
    // One by one it would be seconds.
    expect(performance.now() - before).toBeLessThan(500);
  });

  test('a digest that is an image and a name of others stands for all of them', () => {
    const images = new BundledImages();
    images.apply({
      images: [entry(a), entry(b, { names: [{ alias: a, platform: 'linux/arm64', scannedAt: 1 }] })],
    });
    expect(images.named(a, 1).map(({ digest }) => digest)).toEqual([a, b]);
  });
});

describe('the payload of a bundle', () => {
  const bundle: AdmissionBundle = {
    iss: 'https://api.example',
    sub: 't-aaaaaaaaaaaaaaaaaaaa',
    iat: 1,
    kind: 'full',
    asOf: 'x',
    part: 0,
    revisions: { rules: 0, admission: 0 },
    rules: {
      mode: 'enforce',
      unscanned: 'fail',
      overrides: [
        { repositories: ['docker.io/library/known'] },
        { repositories: ['docker.io/**'], mode: 'audit' },
        { repositories: ['registry.example/**'], unscanned: 'warn' },
      ],
    },
    policy: { exemptNamespaces: [], exemptImages: [], policies: [], unmatched: 'Verdict' },
    images: [],
  };

  test('is read as it was written, and members that nobody knows here are left out', () => {
    expect(admissionBundle.parse(JSON.parse(JSON.stringify(bundle)))).toEqual(bundle);
    expect(admissionBundle.parse({ ...bundle, later: 1 })).toEqual(bundle);
  });

  test('is refused with a member of the policy that nobody knows here: it may be what keeps something out', () => {
    expect(admissionBundle.safeParse({ ...bundle, policy: { ...bundle.policy, later: 1 } }).success).toBe(
      false,
    );
  });

  test('says what each repository gets: the first override that matches, even one that says nothing of it', () => {
    const settings = settingsOf(bundle.rules);
    expect(settings('')).toMatchObject({ mode: 'enforce', unscanned: 'fail' });
    expect(settings('docker.io/library/known')).toMatchObject({ mode: 'enforce', unscanned: 'fail' });
    expect(settings('docker.io/library/other')).toMatchObject({ mode: 'audit', unscanned: 'fail' });
    expect(settings('registry.example/team/x')).toMatchObject({ mode: 'enforce', unscanned: 'warn' });
    expect(settings('elsewhere.example/x')).toMatchObject({ mode: 'enforce', unscanned: 'fail' });
  });
});
