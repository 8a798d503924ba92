import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { admissionPolicy, maxPatternCost, readyPolicy } from '../../../core/admission/admission-policy.ts';
import { answerReview, readReview } from '../../../core/admission/admission-review.ts';
import { type AdmissionSettings, decide, type Decision } from '../../../core/admission/decide.ts';
import { ImagePattern } from '../../../core/admission/image-pattern.ts';
import { aliasOf, readReference } from '../../../core/admission/image-reference.ts';
import type { KnownImage } from '../../../core/admission/known-image.ts';
import { maxImages, maxPathCharacters } from '../../../core/admission/workload.ts';
import type { Verdict } from '../../../core/image/image-schema.ts';
import { reviewOf } from './review.ts';

const now = Date.parse('2026-11-23T12:00:00Z');
const day = 86_400_000;
const digestOf = (char: string) => `sha256:${char.repeat(64)}`;

function scanned(verdict: Verdict, { daysAgo = 1, digest = 'a' } = {}): KnownImage {
  const finding = {
    vulnerability: 'CVE-2019-14697',
    package: 'musl',
    version: '1.1.22-r2',
    fix: { versions: ['1.1.22-r3'] },
  };
  return {
    digest: digestOf(digest),
    verdict,
    scannedAt: now - daysAgo * day,
    reasons: verdict === 'pass' ? [] : [{ rule: `cvss-${verdict}`, total: 2, findings: [finding] }],
  };
}

const alias = (text: string): string => {
  const reference = readReference(text);
  if ('fault' in reference) throw new Error(reference.fault);
  return aliasOf(reference);
};

type Asked = {
  images: readonly string[];
  known?: Readonly<Record<string, KnownImage | readonly KnownImage[]>>;
  policy?: unknown;
  namespaceLabels?: Record<string, string>;
  labels?: Record<string, string>;
  namespace?: string;
  before?: readonly string[];
  /** Of every image, or by path. */
  settings?: Partial<ReturnType<AdmissionSettings>> | AdmissionSettings;
};

const settingsOf = (given: Asked['settings'] = {}): AdmissionSettings =>
  typeof given === 'function' ? given : () => ({ mode: 'enforce', unscanned: 'fail', ...given });

function decided(asked: Asked): Decision {
  return decide(questionOf(asked));
}

function questionOf({
  images,
  known = {},
  policy = {},
  namespaceLabels,
  labels,
  namespace,
  before,
  settings,
}: Asked): Parameters<typeof decide>[0] {
  const podOf = (names: readonly string[]) => ({
    metadata: { name: 'web', labels },
    spec: { containers: names.map((image, index) => ({ name: `c${index}`, image })) },
  });
  const read = readReview(
    reviewOf({
      kind: 'Pod',
      operation: before ? 'UPDATE' : 'CREATE',
      object: podOf(images),
      oldObject: before ? podOf(before) : null,
      ...(namespace === undefined ? {} : { namespace }),
    }),
  );
  if ('problem' in read) throw read.problem;
  return {
    request: read.request,
    verdicts: new Map(
      Object.entries(known).map(([name, value]) => [alias(name), 'digest' in value ? [value] : value]),
    ),
    policy: readyPolicy(admissionPolicy.parse(policy)),
    settings: settingsOf(settings),
    now,
    ...(namespaceLabels ? { namespaceLabels } : {}),
  };
}

const cr = (rules: readonly unknown[], more: Record<string, unknown> = {}) => ({
  name: 'ours',
  rules,
  ...more,
});

describe('Without rules the verdict decides', () => {
  test('pass is admitted without a word', () => {
    expect(decided({ images: ['app'], known: { app: scanned('pass') } })).toMatchObject({
      allowed: true,
      warnings: [],
      images: [{ image: 'docker.io/library/app:latest', status: 'pass', decided: { by: 'unmatched' } }],
    });
  });

  test('warn is admitted with a warning', () => {
    const { allowed, warnings } = decided({ images: ['app'], known: { app: scanned('warn') } });

    expect(allowed).toBe(true);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('passed with warnings its scan of 2026-11-22: cvss-warn, 2 findings');
  });

  test('fail is refused: what, why and what to do', () => {
    const { allowed, message } = decided({
      images: ['gcr.io/p/app:1'],
      known: { 'gcr.io/p/app:1': scanned('fail') },
    });

    expect(allowed).toBe(false);
    expect(message).toBe(
      'Cattery does not admit Pod shop/web: gcr.io/p/app:1 (container c0) failed its scan of 2026-11-22: cvss-fail, ' +
        '2 findings (CVE-2019-14697 in musl 1.1.22-r2, fixed in 1.1.22-r3; ...). ' +
        'Use an image that has the fixes, or ask whoever keeps the image policy for an exception (POST /v1/image-exceptions).',
    );
  });

  test('an image of which nothing is known is refused, and scanning is advised', () => {
    const { allowed, message } = decided({ images: ['app'] });

    expect(allowed).toBe(false);
    expect(message).toContain('has no scan result under this name. Scan the image');
  });

  test.each([
    ['pass', true, 1],
    ['warn', true, 1],
    ['fail', false, 0],
  ] as const)('unless policy takes unscanned images for %s', (unscanned, allowed, warnings) => {
    const decision = decided({ images: ['app'], settings: { unscanned } });

    expect(decision.allowed).toBe(allowed);
    expect(decision.warnings).toHaveLength(warnings);
  });

  test('one failing image of several is enough, and the message names it alone', () => {
    const { allowed, message } = decided({
      images: ['good', 'bad', 'fine'],
      known: { good: scanned('pass'), bad: scanned('fail'), fine: scanned('pass') },
    });

    expect(allowed).toBe(false);
    expect(message).toContain('docker.io/library/bad:latest (container c1)');
    expect(message).not.toContain('good');
  });

  test('a tag that is not the scanned one is unscanned, and so is a digest under another', () => {
    const known = { 'app:1': scanned('pass'), [`app@${digestOf('a')}`]: scanned('pass') };

    expect(decided({ images: ['app:2'], known }).images).toMatchObject([{ status: 'unscanned' }]);
    expect(decided({ images: [`app@${digestOf('b')}`], known }).images).toMatchObject([
      { status: 'unscanned' },
    ]);
    expect(decided({ images: [`other:2@${digestOf('a')}`], known }).images).toMatchObject([
      { status: 'pass' },
    ]);
    expect(decided({ images: [`app:1@${digestOf('b')}`], known }).images).toMatchObject([
      { status: 'unscanned' },
    ]);
  });

  test('of several images under one name the worst counts', () => {
    const known = {
      app: [scanned('pass'), scanned('fail', { digest: 'b' }), scanned('warn', { digest: 'c' })],
    };

    expect(decided({ images: ['app'], known })).toMatchObject({
      allowed: false,
      images: [{ status: 'fail', known: { digest: digestOf('b') } }],
    });
  });

  test('fifty containers of one image are one judgement', () => {
    const { images, message } = decided({
      images: Array.from({ length: 50 }, () => 'bad'),
      known: { bad: scanned('fail') },
    });

    expect(images).toHaveLength(1);
    expect(message).toContain('(containers c0, c1, c2 and 47 more)');
  });

  test('a reference that none can pull is refused, with the reason', () => {
    const { allowed, message } = decided({ images: ['Nginx'] });

    expect(allowed).toBe(false);
    expect(message).toContain(
      'Nginx (container c0) is no reference of an image: the repository has upper-case letters',
    );
    expect(message).toContain('Correct the reference.');
  });
});

describe('Rules', () => {
  test('the first that matches decides: the policy of the documentation', () => {
    const policy = {
      policies: [
        cr([
          {
            action: 'Reject',
            imagePath: { operator: 'IsNoneOf', values: ['^gcr.io/company/production-repository/.*'] },
          },
          { action: 'Allow', imageScanStatus: { operator: 'IsOneOf', values: ['Pass', 'Warn'] } },
          { action: 'Reject' },
        ]),
      ],
    };
    const ours = 'gcr.io/company/production-repository/app:1';
    const by = (image: string, verdict: Verdict) =>
      decided({ images: [image], known: { [image]: scanned(verdict) }, policy });

    expect(by(ours, 'pass')).toMatchObject({
      allowed: true,
      images: [{ decided: { policy: 'ours', rule: 2 } }],
    });
    expect(by(ours, 'warn')).toMatchObject({ allowed: true, warnings: [] });
    expect(by(ours, 'fail')).toMatchObject({ allowed: false, images: [{ decided: { rule: 3 } }] });
    expect(by('gcr.io/other/app:1', 'pass')).toMatchObject({
      allowed: false,
      images: [{ decided: { rule: 1 } }],
    });
    expect(by('gcr.io/other/app:1', 'pass').message).toContain(
      'is rejected by rule 1 of policy ours; it passed its scan',
    );
    expect(decided({ images: [ours], policy })).toMatchObject({
      allowed: false,
      images: [{ decided: { rule: 3 } }],
    });
  });

  test('path patterns see registry and repository written out, never the tag', () => {
    const policy = (value: string) => ({
      policies: [cr([{ action: 'Allow', imagePath: { operator: 'IsOneOf', values: [value] } }])],
    });

    expect(decided({ images: ['nginx:1'], policy: policy('^docker.io/library/nginx$') }).allowed).toBe(true);
    expect(decided({ images: ['evil:trusted'], policy: policy('trusted') }).allowed).toBe(false);
    expect(
      decided({ images: [`GCR.IO/x/y@${digestOf('c')}`], policy: policy('^gcr\\.io/x/y$') }).allowed,
    ).toBe(true);
  });

  test('an unscanned image is Unknown, and also what policy takes it for', () => {
    const rule = (operator: string, values: string[], unscanned: Verdict = 'fail') =>
      decided({
        images: ['app'],
        settings: { unscanned },
        policy: {
          unmatched: 'Reject',
          policies: [cr([{ action: 'Allow', imageScanStatus: { operator, values } }])],
        },
      }).allowed;

    expect(rule('IsNoneOf', ['Fail'])).toBe(false);
    expect(rule('IsNoneOf', ['Unknown'])).toBe(false);
    expect(rule('IsOneOf', ['Unknown'])).toBe(true);
    expect(rule('IsOneOf', ['Pass'])).toBe(false);
    expect(rule('IsOneOf', ['Pass'], 'pass')).toBe(true);
  });

  test.each([
    ['gt', { duration: { days: 3 } }, 2, true],
    ['gt', { duration: { days: 3 } }, 4, false],
    ['lt', { duration: { days: 3 } }, 4, true],
    ['lt', { duration: { days: 3 } }, 2, false],
    ['gt', { duration: { days: 3 } }, 3, false],
    ['lt', { duration: { days: 3 } }, 3, false],
    ['gt', { time: '2026-11-01T0:00:00Z' }, 2, true],
    ['gt', { time: '2026-11-01T0:00:00Z' }, 30, false],
  ])('last scan %s %j, scanned %d days ago: %s', (operator, limit, daysAgo, expected) => {
    const { allowed } = decided({
      images: ['app'],
      known: { app: scanned('fail', { daysAgo }) },
      policy: {
        unmatched: 'Reject',
        policies: [cr([{ action: 'Allow', imageLastScan: { operator, ...limit } }])],
      },
    });

    expect(allowed).toBe(expected);
  });

  test('of several images under one name the oldest scan counts', () => {
    const { allowed } = decided({
      images: ['app'],
      known: { app: [scanned('pass'), scanned('pass', { daysAgo: 9 })] },
      policy: {
        policies: [
          cr([
            { action: 'Allow', imageLastScan: { operator: 'gt', duration: { days: 3 } } },
            { action: 'Reject' },
          ]),
        ],
      },
    });

    expect(allowed).toBe(false);
  });

  test('the age of what was never scanned lets nothing in, and keeps it out', () => {
    const rule = (action: string, operator: string) =>
      decided({
        images: ['app'],
        policy: {
          unmatched: action === 'Allow' ? 'Reject' : 'Allow',
          policies: [cr([{ action, imageLastScan: { operator, duration: { days: 3 } } }])],
        },
      }).allowed;

    expect(rule('Allow', 'gt')).toBe(false);
    expect(rule('Allow', 'lt')).toBe(false);
    expect(rule('Reject', 'lt')).toBe(false);
  });

  test('the policy with the lowest order is asked first, those without one last', () => {
    const known = { app: scanned('pass') };
    const policies = [
      { name: 'a-last', rules: [{ action: 'Reject' }] },
      { name: 'b-second', order: 2, rules: [{ action: 'Reject' }] },
      { name: 'c-first', order: -1.5, rules: [{ action: 'Allow' }] },
    ];

    expect(decided({ images: ['app'], known, policy: { policies } }).images).toMatchObject([
      { allowed: true, decided: { policy: 'c-first' } },
    ]);
    expect(decided({ images: ['app'], known, policy: { policies: policies.slice(0, 1) } }).allowed).toBe(
      false,
    );
    const ordered = { name: 'z-fifth', order: 5, rules: [{ action: 'Allow' }] };
    expect(
      decided({ images: ['app'], known, policy: { policies: [...policies.slice(0, 1), ordered] } }).images,
    ).toMatchObject([{ allowed: true, decided: { policy: 'z-fifth' } }]);
  });

  test('where no rule of a policy matches the next policy is asked, and after the last what policy says', () => {
    const policies = [
      cr([{ action: 'Allow', imageScanStatus: { operator: 'IsOneOf', values: ['Warn'] } }], { order: 1 }),
      cr([{ action: 'Reject', imagePath: { operator: 'IsOneOf', values: ['/bad$'] } }], {
        name: 'next',
        order: 2,
      }),
    ];
    const known = { bad: scanned('pass'), app: scanned('pass'), worse: scanned('fail') };
    const ask = (image: string, unmatched = 'Verdict') =>
      decided({ images: [image], known, policy: { policies, unmatched } });

    expect(ask('bad').images).toMatchObject([{ allowed: false, decided: { policy: 'next', rule: 1 } }]);
    expect(ask('app').allowed).toBe(true);
    expect(ask('worse').allowed).toBe(false);
    expect(ask('worse', 'Allow').allowed).toBe(true);
    expect(ask('app', 'Reject').allowed).toBe(false);
  });
});

describe('Selectors', () => {
  const guarded = {
    policies: [
      cr([{ action: 'Reject' }], { selector: "tier == 'web'", namespaceSelector: "guarded == 'true'" }),
    ],
  };
  const known = { app: scanned('pass') };

  test.each([
    [{ tier: 'web' }, { guarded: 'true' }, false],
    [{ tier: 'db' }, { guarded: 'true' }, true],
    [{ tier: 'web' }, { guarded: 'false' }, true],
    [{ tier: 'web' }, {}, true],
    [undefined, { guarded: 'true' }, true],
  ])('labels %j in a namespace with %j: %s', (labels, namespaceLabels, allowed) => {
    expect(
      decided({ images: ['app'], known, policy: guarded, namespaceLabels, ...(labels ? { labels } : {}) })
        .allowed,
    ).toBe(allowed);
  });

  test.each(['kubernetes.io/metadata.name', 'projectcalico.org/name'])(
    'a namespace is known by its name under %s, though nobody sends its labels',
    (label) => {
      const policy = { policies: [cr([{ action: 'Reject' }], { namespaceSelector: `${label} == 'shop'` })] };

      expect(decided({ images: ['app'], known, policy }).allowed).toBe(false);
      expect(decided({ images: ['app'], known, policy, namespace: 'other' }).allowed).toBe(true);
    },
  );

  test.each(['kubernetes.io/metadata.name', 'projectcalico.org/name'])(
    'and a label %s that somebody has put on a namespace names no other',
    (label) => {
      const policy = {
        policies: [cr([{ action: 'Allow' }], { namespaceSelector: `${label} == 'trusted'` })],
      };
      const namespaceLabels = { [label]: 'trusted' };

      expect(decided({ images: ['other'], policy, namespaceLabels }).allowed).toBe(false);
    },
  );

  test('where labels of the namespace are not known the harsher answer counts, and is explained', () => {
    const { allowed, message, images } = decided({
      images: ['app'],
      known,
      policy: guarded,
      labels: { tier: 'web' },
    });

    expect(allowed).toBe(false);
    expect(images).toMatchObject([{ decided: { by: 'rule', isUncertain: true } }]);
    expect(message).toContain('the labels of the namespace are not known here');
  });

  test('an exemption that hangs on them does not count either', () => {
    const policy = {
      policies: [
        cr([{ action: 'Allow' }], { order: 1, namespaceSelector: 'has(trusted)' }),
        cr([{ action: 'Reject' }], { name: 'rest', order: 2 }),
      ],
    };

    expect(decided({ images: ['app'], known, policy }).images).toMatchObject([
      { allowed: false, decided: { policy: 'rest', isUncertain: true } },
    ]);
    expect(decided({ images: ['app'], known, policy, namespaceLabels: { trusted: '' } }).allowed).toBe(true);
  });

  test('there is no doubt where every possible answer is the same', () => {
    const policy = { policies: [cr([{ action: 'Allow' }], { namespaceSelector: 'has(trusted)' })] };

    expect(decided({ images: ['app'], known, policy }).images).toMatchObject([
      { allowed: true, decided: { by: 'rule', isUncertain: false } },
    ]);
  });
});

describe('Exempt', () => {
  test.each([
    ['kube-system', ['kube-system'], true],
    ['calico-apiserver', ['calico-*'], true],
    ['my-calico-x', ['calico-*'], false],
    ['shop', [], false],
  ])('the namespace %s by %j: %s', (namespace, exemptNamespaces, allowed) => {
    expect(decided({ images: ['bad', 'Bad'], namespace, policy: { exemptNamespaces } }).allowed).toBe(
      allowed,
    );
  });

  test.each([
    ['registry.k8s.io/pause:3.10', 'registry.k8s.io/*', true],
    ['registry.k8s.io/a/b', 'registry.k8s.io/*', false],
    ['registry.k8s.io/a/b', 'registry.k8s.io/**', true],
    ['nginx', 'docker.io/library/nginx', true],
    ['nginx-fork', 'docker.io/library/nginx', false],
    ['registryxk8s.io/pause', 'registry.k8s.io/*', false],
    ['[::1]:5000/app', '[::1]:5000/app', true],
    ['evil.io/registry.k8s.io/pause', 'registry.k8s.io/**', false],
  ])('the image %s by %s: %s', (image, glob, allowed) => {
    expect(decided({ images: [image], policy: { exemptImages: [glob] } }).allowed).toBe(allowed);
  });

  test('an exempt image does not exempt its neighbours', () => {
    const { images } = decided({
      images: ['nginx', 'bad'],
      policy: { exemptImages: ['docker.io/library/nginx'] },
    });

    expect(images).toMatchObject([
      { allowed: true, decided: { by: 'exempt-image' } },
      { allowed: false, decided: { by: 'unmatched' } },
    ]);
  });

  test.each([['nginx'], ['UPPER/x'], ['docker.io/'], ['docker.io/a b'], ['']])(
    '%j is no pattern of images: the schema refuses it',
    (glob) => {
      expect(admissionPolicy.safeParse({ exemptImages: [glob] }).success).toBe(false);
    },
  );
});

describe('An update', () => {
  test('goes through with the images that were there, though they fail now, with a warning', () => {
    const { allowed, warnings } = decided({
      images: ['bad'],
      before: ['bad'],
      known: { bad: scanned('fail') },
    });

    expect(allowed).toBe(true);
    expect(warnings[0]).toContain('stays, though a new one would be judged: docker.io/library/bad:latest');
  });

  test('is judged for what it brings', () => {
    expect(
      decided({ images: ['bad', 'worse'], before: ['bad'], known: { bad: scanned('fail') } }).images,
    ).toMatchObject([{ allowed: true }, { allowed: false }]);
  });
});

describe('Mode audit', () => {
  test('admits what it would refuse, and warns in the same words', () => {
    const { allowed, wouldAllow, message, warnings } = decided({
      images: ['bad', 'Bad'],
      settings: { mode: 'audit' },
    });

    expect({ allowed, wouldAllow, message }).toEqual({
      allowed: true,
      wouldAllow: false,
      message: undefined,
    });
    expect(warnings).toEqual([
      'would not be admitted (mode audit): docker.io/library/bad:latest (container c0) has no scan result under this name',
      'would not be admitted (mode audit): Bad (container c1) is no reference of an image: the repository has upper-case letters',
    ]);
  });
});

describe('Mode and what unscanned images are taken for are said per repository', () => {
  const settings: AdmissionSettings = (path) =>
    path.startsWith('docker.io/trial/')
      ? { mode: 'audit', unscanned: 'fail' }
      : { mode: 'enforce', unscanned: path === 'docker.io/library/known' ? 'pass' : 'fail' };

  test('a refusal of an image in audit mode only warns, beside one that is let in', () => {
    expect(decided({ images: ['trial/app', 'known'], settings })).toMatchObject({
      allowed: true,
      wouldAllow: false,
      warnings: [
        expect.stringMatching(/^would not be admitted \(mode audit\): docker\.io\/trial\/app:latest/),
        expect.stringContaining('docker.io/library/known:latest'),
      ],
      images: [
        { allowed: false, mode: 'audit' },
        { allowed: true, mode: 'enforce' },
      ],
    });
  });

  test('beside an image that is refused in earnest it warns all the same, and the message has the other alone', () => {
    const { allowed, message, warnings } = decided({ images: ['trial/app', 'app'], settings });

    expect(allowed).toBe(false);
    expect(message).toContain('docker.io/library/app:latest');
    expect(message).not.toContain('trial');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('docker.io/trial/app:latest');
  });

  test('a reference that cannot be read has no repository: what holds for all holds', () => {
    const asked: string[] = [];
    decided({ images: ['Bad'], settings: (path) => (asked.push(path), settings(path)) });

    expect(asked).toEqual(['']);
  });
});

test('A scan that is too old is told without findings, and a new one is advised', () => {
  const old = {
    ...scanned('fail', { daysAgo: 90 }),
    reasons: [{ rule: 'scan-age', total: 0, findings: [] }],
  };
  const { message } = decided({ images: ['app'], known: { app: old } });

  expect(message).toMatch(
    /failed its scan of 2026-08-25: scan-age\. Scan the image anew and upload the report\.$/,
  );
});

describe('What cannot be read as a pod', () => {
  const request = (namespace: string) => {
    const read = readReview(reviewOf({ kind: 'Pod', namespace, object: { spec: 7 } }));
    if ('problem' in read) throw read.problem;
    return read.request;
  };
  const ask = (policy: unknown, settings: Asked['settings'] = {}) =>
    decide({
      request: request('shop'),
      verdicts: new Map(),
      policy: readyPolicy(admissionPolicy.parse(policy)),
      settings: settingsOf(settings),
      now,
    });

  test('is refused, in mode audit admitted with a warning, in an exempt namespace let alone', () => {
    expect(ask({})).toMatchObject({ allowed: false, message: expect.stringContaining('cannot be read') });
    expect(ask({}, { mode: 'audit' })).toMatchObject({
      allowed: true,
      warnings: [expect.stringContaining('cannot be read')],
    });
    expect(ask({ exemptNamespaces: ['shop'] })).toMatchObject({ allowed: true, warnings: [] });
  });
});

describe('Hostile texts', () => {
  test('however long the names are, the message is printable, names an image, and ends in advice', () => {
    const { message = '' } = decided({
      images: Array.from({ length: 40 }, (_, index) => `r.io/${'x'.repeat(240)}${index}`),
      labels: { x: '\u001b[31m' },
    });

    expect(message.length).toBeLessThanOrEqual(2_048);
    expect(message).toMatch(/^[\x20-\x7e]+$/);
    expect(message).toMatch(/\(and \d+ more images\)\. Scan the image/);
  });

  test('escape sequences and line ends of manifests and reports do not reach the terminal', () => {
    const bad: KnownImage = {
      ...scanned('fail'),
      reasons: [
        {
          rule: 'cvss-fail',
          total: 1,
          findings: [
            {
              vulnerability: 'CVE-1\r\nX: y',
              package: '\u001b[2J',
              version: '1\u202e',
              fix: { versions: ['\u0000'] },
            },
          ],
        },
      ],
    };
    const { message } = decided({ images: ['bad', 'a\u001b[31m/B\nX'], known: { bad } });

    expect(message).toMatch(/^[\x20-\x7e]+$/);
    expect(message).toContain('CVE-1??X: y in ?[2J 1?, fixed in ?');
  });

  test('reasons beyond number still leave room for the advice', () => {
    const reason = {
      rule: 'r'.repeat(500),
      total: 9,
      findings: scanned('fail').reasons.flatMap(({ findings }) => findings),
    };
    const bad: KnownImage = { ...scanned('fail'), reasons: Array.from({ length: 100 }, () => reason) };
    const { message = '' } = decided({ images: ['bad', 'other'], known: { bad } });

    expect(message.length).toBeLessThanOrEqual(2_048);
    expect(message).toContain('docker.io/library/bad:latest');
    expect(message).toMatch(/the digest that was scanned\.$/);
  });
});

describe('For any images and policy', () => {
  const verdictsOf = fc.dictionary(
    fc.constantFrom('a', 'b', 'c'),
    fc.constantFrom<Verdict>('pass', 'warn', 'fail').map((verdict) => scanned(verdict)),
  );
  const rule = fc.record(
    {
      action: fc.constantFrom('Allow', 'Reject'),
      imagePath: fc.record({
        operator: fc.constantFrom('IsOneOf', 'IsNoneOf'),
        values: fc.constantFrom(['/a$'], ['/[bc]$'], ['docker']),
      }),
      imageScanStatus: fc.record({
        operator: fc.constantFrom('IsOneOf', 'IsNoneOf'),
        values: fc.constantFrom(['Pass'], ['Fail', 'Warn'], ['Unknown']),
      }),
    },
    { requiredKeys: ['action'] },
  );
  const policies = fc
    .array(
      fc.record({
        order: fc.integer({ min: 0, max: 3 }),
        rules: fc.array(rule, { minLength: 1, maxLength: 3 }),
        namespaceSelector: fc.constantFrom('all()', 'has(x)', "x == 'y'", '!has(x)'),
      }),
      { maxLength: 3 },
    )
    .map((all) => all.map((each, index) => ({ ...each, name: `p${index}` })));
  const names = fc.array(fc.constantFrom('a', 'b', 'c', 'D'), { minLength: 1, maxLength: 4 });
  const labels = fc.constantFrom<Record<string, string>>({}, { x: 'y' }, { x: 'z' });

  test('knowing less never admits more, and the answer has a message exactly if it refuses', () => {
    fc.assert(
      fc.property(names, verdictsOf, policies, labels, (images, known, given, namespaceLabels) => {
        const policy = { policies: given };
        const full = decided({ images, known, policy, namespaceLabels });
        const less = decided({ images, known, policy });
        if (less.allowed) expect(full.allowed).toBe(true);
        for (const decision of [full, less]) {
          const { response } = answerReview('u', decision);
          expect(response.status === undefined).toBe(response.allowed);
          expect(decision.allowed).toBe(decision.images.every((image) => image.allowed));
        }
        expect(decided({ images, known, policy, settings: { mode: 'audit' } })).toMatchObject({
          allowed: true,
          wouldAllow: less.allowed,
        });
      }),
      { seed: 6, numRuns: 500 },
    );
  });
});

describe('The work of a review is bounded', () => {
  /** As long as a review's may be together, none of which ends the search of a pattern early. */
  const longest = Array.from({ length: maxImages }, (_, index) =>
    `r.io/${'a'.repeat(42)}${String(index).padStart(3, 'b')}`.padEnd(maxPathCharacters / maxImages, 'a'),
  );

  test.each([
    ['x{0,250}$', 'what may begin anywhere'],
    ['^r.io/(?:a?){120}b$', 'counted repetitions'],
    ['(?:[a-z]|a){20}!', 'alternatives'],
    ['^.*(?:a|b)+!', 'loops'],
  ])('whatever the patterns of the policy are: %s', (pattern) => {
    const policyOf = (count: number) => {
      const values = Array.from({ length: count }, () => pattern);
      const rules = Array.from({ length: Math.ceil(count / 50) }, (_, index) => ({
        action: 'Reject',
        imagePath: { operator: 'IsOneOf', values: values.slice(50 * index, 50 * (index + 1)) },
      }));
      return { policies: [cr(rules)] };
    };
    const most = Math.floor(maxPatternCost / new ImagePattern(pattern).cost);
    expect(admissionPolicy.safeParse(policyOf(most + 1)).error?.issues).toMatchObject([
      { message: 'has too many patterns, or too large ones' },
    ]);
    const question = questionOf({ images: longest, policy: policyOf(most) });

    expect(decide(question).images).toHaveLength(maxImages);

    const visited = question.policy.policies
      .flatMap(({ rules }) => rules.flatMap(({ paths }) => paths))
      .reduce((sum, each) => sum + each.visited, 0);
    expect(visited).toBeGreaterThan(0);
    expect(visited).toBeLessThanOrEqual(maxPatternCost * (maxPathCharacters + maxImages));
  });

  test('selectors are asked once, however many images the object has', () => {
    const question = questionOf({
      images: ['a', 'b', 'c'],
      policy: { policies: [cr([{ action: 'Allow' }])] },
    });
    let asked = 0;
    const selector = () => (asked += 1) > 0;
    const policies = question.policy.policies.map((each) => ({ ...each, selector }));

    expect(decide({ ...question, policy: { ...question.policy, policies } }).allowed).toBe(true);
    expect(asked).toBe(1);
  });
});

describe('The admission policy', () => {
  test('has defaults that let no image through unseen', () => {
    expect(admissionPolicy.parse({})).toEqual({
      exemptNamespaces: [],
      exemptImages: [],
      policies: [],
      unmatched: 'Verdict',
    });
  });

  test('refuses a pattern or selector that cannot be read once, with its place', () => {
    const refused = admissionPolicy.safeParse({
      exemptNamespaces: ['a(b'],
      exemptImages: ['r.io/a(b'],
      policies: [
        cr([{ action: 'Reject', imagePath: { operator: 'IsOneOf', values: ['(a'] } }], { selector: 'has(' }),
      ],
    });

    expect(refused.error?.issues.map(({ path }) => path.join('/')).sort()).toEqual([
      'exemptImages/0',
      'exemptNamespaces/0',
      'policies/0/rules/0/imagePath/values/0',
      'policies/0/selector',
    ]);
  });

  test('refuses tens of thousands of large patterns before it makes anything of them', () => {
    const imagePath = { operator: 'IsOneOf', values: Array(50).fill('.{900}') };
    const rules = Array(50).fill({ action: 'Reject', imagePath });
    const policies = Array.from({ length: 10 }, (_, index) => cr(rules, { name: `p${index}` }));
    const started = process.cpuUsage();

    expect(admissionPolicy.safeParse({ policies }).error?.issues).toMatchObject([
      { message: 'has too many patterns, or too large ones' },
    ]);
    expect(process.cpuUsage(started).user / 1e6).toBeLessThan(2);
  });

  test('refuses two policies of one name, and patterns that cost too much together', () => {
    const one = cr([{ action: 'Reject' }]);
    const large = cr([
      { action: 'Reject', imagePath: { operator: 'IsOneOf', values: Array(40).fill('.{900}') } },
    ]);

    expect(admissionPolicy.safeParse({ policies: [one, one] }).error?.issues).toMatchObject([
      { path: ['policies'] },
    ]);
    expect(admissionPolicy.safeParse({ policies: [large] }).error?.issues).toMatchObject([
      { message: 'has too many patterns, or too large ones' },
    ]);
  });
});
