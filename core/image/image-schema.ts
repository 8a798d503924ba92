import * as z from 'zod';

export const digestPattern = /^sha256:[0-9a-f]{64}$/;
export const digest = z.string().regex(digestPattern).meta({ description: 'sha256: and 64 hex digits' });

export const severities = ['critical', 'high', 'medium', 'low', 'negligible', 'unknown'] as const;
export const severity = z.enum(severities);
export type Severity = z.infer<typeof severity>;

export const verdicts = ['pass', 'warn', 'fail'] as const;
export const verdict = z.enum(verdicts);
export type Verdict = z.infer<typeof verdict>;

const score = z.number().min(0).max(10);

/** A score at or above a threshold meets it; `failAt` must not be below `warnAt`. */
export const imagePolicy = z
  .strictObject({
    warnAt: score.meta({ description: 'CVSS score from which a finding warns (inclusive)' }),
    failAt: score.meta({ description: 'CVSS score from which a finding fails the image (inclusive)' }),
  })
  .refine((policy) => policy.warnAt <= policy.failAt, {
    message: 'warnAt must not be above failAt',
    path: ['warnAt'],
  })
  .meta({ id: 'ImagePolicy' });
export type ImagePolicy = z.infer<typeof imagePolicy>;

export const defaultImagePolicy: ImagePolicy = { warnAt: 4, failAt: 9 };

const cvssScore = z.object({
  version: z.enum(['2.0', '3.0', '3.1', '4.0']),
  score,
  vector: z.string().optional(),
  source: z.string().meta({ description: 'who scored, in lower case', example: 'nvd' }),
});

export const finding = z
  .object({
    vulnerability: z.string().meta({ example: 'CVE-2019-14697' }),
    aliases: z.array(z.string()).meta({ description: 'other names of the same, CVE and GHSA among them' }),
    package: z.string(),
    version: z.string(),
    purl: z.string().optional(),
    location: z.string().meta({
      description: "file of the package, else where the report found it; never the image's tag",
    }),
    severity,
    score: score.optional().meta({ description: 'highest CVSS v3 or v4 base score, else v2' }),
    cvss: z.array(cvssScore).meta({ description: 'the scores of all sources; the highest 8' }),
    epss: z
      .object({ score: z.number(), percentile: z.number().optional() })
      .optional()
      .meta({ description: 'probability of exploitation in the next 30 days, 0–1' }),
    knownExploited: z
      .boolean()
      .optional()
      .meta({ description: "in CISA's catalogue; absent: the report does not say" }),
    fix: z.object({
      state: z.enum(['fixed', 'not-fixed', 'wont-fix', 'deferred', 'end-of-life', 'unknown']),
      versions: z.array(z.string()).meta({ description: 'versions that have it fixed; at most 20' }),
    }),
    publishedAt: z.iso.datetime().optional().meta({ description: 'when it became known' }),
    suppressed: z
      .object({
        status: z.enum(['not_affected', 'fixed', 'ignored']),
        justification: z.string().optional(),
        source: z.string().optional(),
      })
      .optional()
      .meta({ description: 'why it does not count: the report says so' }),
  })
  .meta({ id: 'Finding' });
export type Finding = z.infer<typeof finding>;

export const counts = z
  .object({
    critical: z.int(),
    high: z.int(),
    medium: z.int(),
    low: z.int(),
    negligible: z.int(),
    unknown: z.int(),
  })
  .meta({ id: 'SeverityCounts' });
export type SeverityCounts = z.infer<typeof counts>;

export const reason = z
  .object({
    rule: z.enum(['cvss-fail', 'cvss-warn']),
    threshold: score,
    findings: z
      .array(finding)
      .meta({ description: 'the findings that met the threshold, worst first; at most 50' }),
    total: z.int().meta({ description: 'how many findings met the threshold' }),
  })
  .meta({ id: 'VerdictReason' });
export type VerdictReason = z.infer<typeof reason>;

export const suppressed = z
  .object({
    total: z.int(),
    findings: z.array(finding).meta({ description: 'the worst first; at most 20' }),
  })
  .meta({
    id: 'SuppressedFindings',
    description: 'findings that neither counts nor verdict include, as the report says',
  });
export type SuppressedFindings = z.infer<typeof suppressed>;

export const scanResult = z
  .object({ scanId: z.string(), digest, verdict, reasons: z.array(reason), counts, suppressed })
  .meta({ id: 'ScanResult' });
export type ScanResult = z.infer<typeof scanResult>;

export const scanResults = z
  .object({
    items: z.array(scanResult).meta({ description: 'each image, with at most 3 findings of each reason' }),
    skipped: z
      .array(
        z.object({
          image: z.string().optional(),
          code: z.literal('REPORT_DIGEST_MISSING'),
          findings: z.int().meta({ description: 'how many findings the report has of it' }),
        }),
      )
      .meta({
        description: 'images that are not stored: the report names none, or several, of their digests',
      }),
  })
  .meta({ id: 'ScanResults' });
export type ScanResults = z.infer<typeof scanResults>;

export const imageAliases = z
  .object({
    references: z.array(z.string()).meta({ description: 'references with tags and digests; at most 20' }),
    digests: z.array(digest).meta({ description: 'of its index and in other repositories; at most 20' }),
    imageId: digest.optional().meta({ description: 'digest of its configuration' }),
    platform: z.string().optional().meta({ example: 'linux/amd64' }),
  })
  .meta({ id: 'ImageAliases', description: "the image's other names, as its latest report has them" });
export type ImageAliases = z.infer<typeof imageAliases>;

const scan = z.object({
  scanId: z.string(),
  scanner: z.string().meta({ description: 'name and version', example: 'trivy 0.72.0' }),
  databaseAt: z.iso
    .datetime()
    .optional()
    .meta({ description: "when the scanner's database was made, if the report says" }),
  scannedAt: z.iso.datetime(),
});

export const image = scan
  .extend({
    digest,
    image: z.string().optional().meta({ description: 'reference under which it was scanned' }),
    aliases: imageAliases,
    verdict,
    reasons: z.array(reason),
    counts,
    suppressed,
    scans: z
      .array(scan.extend({ verdict, counts }))
      .meta({ description: 'the latest result of each scanner; the first decided, and is shown above' }),
  })
  .meta({ id: 'Image' });
export type ImageView = z.infer<typeof image>;
