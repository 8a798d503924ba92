import fc from 'fast-check';
import { decodeEvidence, encodeEvidence, evidenceOf } from '../../../core/image/evidence.ts';
import type { ImageException, StoredStatement } from '../../../core/image/exception-schema.ts';
import { imagePolicy } from '../../../core/image/image-policy-schema.ts';
import { type ImageRules, readyRules } from '../../../core/image/image-rules.ts';
import { type JudgedFinding, severities } from '../../../core/image/image-schema.ts';
import type { JudgedImage, JudgedOutcome } from '../../../core/image/scanned-image.ts';

export const now = Date.parse('2026-11-23T12:00:00Z');
export const day = 86_400_000;
export const at = (time: number): string => new Date(time).toISOString();
export const digestOf = (character: string): string => `sha256:${character.repeat(64)}`;

export const findingOf = (extra: Partial<JudgedFinding> = {}): JudgedFinding => ({
  vulnerability: 'CVE-2026-1000',
  aliases: [],
  package: 'musl',
  version: '1.1.22-r2',
  purl: 'pkg:apk/alpine/musl@1.1.22-r2?arch=x86_64&distro=3.10.2',
  location: 'lib/apk/db/installed',
  severity: 'high',
  fix: { state: 'fixed', versions: ['1.1.22-r3'] },
  ...extra,
});

/** A finding with this score; `undefined`: nobody scored it. */
export const scoredAt = (score: number | undefined, extra: Partial<JudgedFinding> = {}): JudgedFinding =>
  findingOf({ vulnerability: `CVE-${score ?? 'none'}`, ...(score === undefined ? {} : { score }), ...extra });

type Result = {
  readonly findings: readonly JudgedFinding[];
  readonly scannerName?: string;
  readonly scannedAt?: number;
  readonly references?: readonly string[];
  readonly digests?: readonly string[];
  readonly platform?: string;
  readonly bom?: string;
  /** Encoded evidence, instead of the findings as they are. */
  readonly maxBytes?: number;
};

/** A result as it comes out of the table: its evidence has been encoded and decoded. */
export function resultOf({ findings, references = [], digests = [], ...given }: Result): JudgedOutcome {
  const evidence = decodeEvidence(encodeEvidence(evidenceOf(findings), given.maxBytes));
  return {
    scannerName: given.scannerName ?? 'trivy',
    scannedAt: given.scannedAt ?? now,
    aliases: {
      references: [...references],
      digests: [...digests],
      ...(given.platform === undefined ? {} : { platform: given.platform }),
    },
    ...(given.bom === undefined ? {} : { bom: given.bom }),
    evidence: () => evidence,
  };
}

export const imageOf = (...results: readonly Result[]): JudgedImage => ({
  digest: digestOf('a'),
  results: results.map(resultOf),
});

export const rulesOf = (
  policy: Readonly<Record<string, unknown>> = {},
  {
    exceptions = [],
    statements = [],
  }: { exceptions?: readonly ImageException[]; statements?: readonly StoredStatement[] } = {},
): ImageRules => readyRules({ revision: 1, policy: imagePolicy.parse(policy), exceptions, statements });

let made = 0;
export const exceptionOf = (extra: Partial<ImageException>): ImageException => ({
  exceptionId: `e-${(made += 1)}`,
  scope: 'any',
  justification: 'not reachable',
  expiresAt: at(now + 10 * day),
  author: 'somebody@shop.example',
  createdAt: at(now - day),
  ...extra,
});

export const statementOf = (extra: Partial<StoredStatement> = {}): StoredStatement => ({
  author: 'vendor.example',
  vulnerability: 'CVE-2026-1000',
  aliases: [],
  products: [{ id: digestOf('a'), subcomponents: [] }],
  status: 'not_affected',
  at: now - day,
  ...extra,
});

const few = <T>(values: readonly T[]) => fc.constantFrom(...values);
const probability = fc.oneof(few([0, 0.07, 0.1, 0.29, 0.5, 1]), fc.double({ min: 0, max: 1, noNaN: true }));
const moment = fc.integer({ min: -400, max: 30 }).map((days) => now + days * day);
const names = ['CVE-2026-1', 'CVE-2026-2', 'GHSA-aaaa-bbbb-cccc', 'CVE-2026-3'];
const packages = ['musl', 'openssl', 'log4j-core'];

export const anyFinding: fc.Arbitrary<JudgedFinding> = fc
  .record(
    {
      vulnerability: few(names),
      aliases: fc.array(few(names), { maxLength: 2 }),
      package: few(packages),
      version: few(['1', '2']),
      hasPurl: fc.boolean(),
      location: few(['', 'usr/lib']),
      severity: few(severities),
      fix: fc.record({
        state: few(['fixed', 'not-fixed', 'wont-fix', 'unknown'] as const),
        versions: few<readonly string[]>([[], ['3'], ['3', '4']]).map((each) => [...each]),
      }),
      score: fc.integer({ min: 0, max: 100 }).map((tenths) => tenths / 10),
      epss: fc.record({ score: probability }),
      knownExploited: fc.boolean(),
      publishedAt: moment.map(at),
      isIgnored: few([true, false, false, false]),
    },
    {
      requiredKeys: [
        ...(['vulnerability', 'aliases', 'package', 'version', 'location', 'severity', 'fix'] as const),
        ...(['hasPurl', 'isIgnored'] as const),
      ],
    },
  )
  .map(({ hasPurl, isIgnored, ...finding }) => ({
    ...finding,
    ...(hasPurl ? { purl: `pkg:apk/alpine/${finding.package}@${finding.version}?arch=x86_64` } : {}),
    ...(isIgnored ? { suppressed: { status: 'ignored' as const } } : {}),
  }));

const threshold = fc.oneof(
  fc.integer({ min: 0, max: 100 }).map((tenths) => tenths / 10),
  few(['critical', 'high', 'medium', 'low', 'never']),
);
const verdict = few(['pass', 'warn', 'fail']);
const members = fc.record(
  {
    warnAt: threshold,
    failAt: threshold,
    onlyFixable: fc.boolean(),
    epss: fc.record({ warnAt: probability, failAt: probability }, { requiredKeys: [] }),
    knownExploited: few(['ignore', 'warn', 'fail']),
    graceDays: few([0, 1, 30, 365]),
    maxScanAgeDays: few([1, 30, 3650]),
    stale: verdict,
    unscanned: verdict,
  },
  { requiredKeys: [] },
);

/** Any policy that the API takes. */
export const anyPolicy = fc
  .tuple(
    members,
    fc.array(fc.tuple(few(['registry.example/shop/*', 'registry.example/**', 'docker.io/**']), members), {
      maxLength: 2,
    }),
  )
  .map(([own, overrides]) => ({
    ...own,
    overrides: overrides.map(([glob, each]) => ({ ...each, repositories: [glob] })),
  }))
  .filter((policy) => imagePolicy.safeParse(policy).success);

export const anyException: fc.Arbitrary<ImageException> = fc
  .record({
    about: few<Pick<ImageException, 'vulnerability' | 'package'>>([
      { vulnerability: 'CVE-2026-1' },
      { vulnerability: 'cve-2026-2' },
      { vulnerability: 'GHSA-aaaa-bbbb-cccc', package: 'openssl' },
      { vulnerability: 'CVE-2026-1', package: 'pkg:apk/alpine/musl' },
      { package: 'OpenSSL' },
      { package: 'pkg:apk/alpine/musl' },
      { package: 'log4j-core' },
    ]),
    scope: few<ImageException['scope']>([
      'any',
      { image: digestOf('a') },
      { image: digestOf('b') },
      { repository: 'registry.example/shop/*' },
      { repository: 'docker.io/**' },
    ]),
    days: fc.integer({ min: -5, max: 60 }),
    id: fc.integer({ min: 0, max: 1_000_000 }),
  })
  .map(({ about, scope, days, id }) =>
    exceptionOf({ ...about, exceptionId: `e-${id}`, scope, expiresAt: at(now + days * day) }),
  );

export const anyStatement: fc.Arbitrary<StoredStatement> = fc
  .record({
    author: few(['vendor', 'distributor']),
    vulnerability: few(names),
    aliases: fc.array(few(names), { maxLength: 1 }),
    status: few(['not_affected', 'affected', 'fixed', 'under_investigation'] as const),
    id: few([digestOf('a'), 'pkg:oci/web', 'pkg:apk/alpine/musl', 'pkg:apk/alpine/openssl@1']),
    inside: few<readonly string[]>([[], ['pkg:apk/alpine/musl']]),
    at: few([now - 3 * day, now - 2 * day, now - day]),
  })
  .map(({ id, inside, ...rest }) => ({ ...rest, products: [{ id, subcomponents: inside }] }));

/** An image with the results of one to three scanners. */
export const anyImage: fc.Arbitrary<JudgedImage> = fc
  .array(
    fc.record({
      findings: fc.array(anyFinding, { maxLength: 12 }),
      scannedAt: fc.integer({ min: -60, max: 0 }).map((days) => now + days * day),
      references: fc.subarray([
        'registry.example/shop/web:1',
        'registry.example/other/web:1',
        'web:2',
        'web.tar',
        'Not a reference',
      ]),
    }),
    { minLength: 1, maxLength: 3 },
  )
  .map((results) =>
    imageOf(
      ...results.map((each, index) => ({ ...each, scannerName: ['trivy', 'grype', 'x'][index] ?? 'y' })),
    ),
  );
