import * as z from 'zod';

export const digestPattern = /^sha256:[0-9a-f]{64}$/;
export const digest = z.string().regex(digestPattern).meta({ description: 'sha256: and 64 hex digits' });

export const severities = ['critical', 'high', 'medium', 'low', 'negligible', 'unknown'] as const;
export const severity = z.enum(severities);
export type Severity = z.infer<typeof severity>;
/** Severities that a policy can name. */
export const severityWord = z.enum(['critical', 'high', 'medium', 'low']);
export type SeverityWord = z.infer<typeof severityWord>;

export const verdicts = ['pass', 'warn', 'fail'] as const;
export const verdict = z.enum(verdicts);
export type Verdict = z.infer<typeof verdict>;

const score = z.number().min(0).max(10);

const cvssScore = z.object({
  version: z.enum(['2.0', '3.0', '3.1', '4.0']),
  score,
  vector: z.string().optional(),
  source: z.string().meta({ description: 'who scored, in lower case', example: 'nvd' }),
});

export const suppression = z
  .object({
    status: z.enum(['not_affected', 'fixed', 'ignored', 'excepted']).meta({
      description:
        "ignored: a rule of the scanner's; excepted: an exception of yours; the others are VEX' words",
    }),
    justification: z.string().optional(),
    source: z.string().optional().meta({ description: 'the document, its author, or the rule' }),
    exceptionId: z.string().optional(),
    until: z.iso.datetime().optional().meta({ description: 'when the exception expires' }),
  })
  .meta({ id: 'Suppression', description: 'why a finding does not count' });
export type Suppression = z.infer<typeof suppression>;

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
    suppressed: suppression.optional(),
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

/** A finding as it is judged: all but its scores by source. */
export const judgedFinding = finding.omit({ cvss: true }).meta({ id: 'JudgedFinding' });
export type JudgedFinding = z.infer<typeof judgedFinding>;

export const verdictRules = [
  'cvss-fail',
  'severity-fail',
  'epss-fail',
  'known-exploited-fail',
  'cvss-warn',
  'severity-warn',
  'epss-warn',
  'known-exploited-warn',
  'grace',
  'scan-age',
  'unscanned',
] as const;
export type VerdictRule = (typeof verdictRules)[number];

export const reason = z
  .object({
    rule: z.enum(verdictRules).meta({
      description:
        'grace: would fail, but has become known too recently; scan-age: the latest scan is too old; unscanned: there is none',
    }),
    threshold: z
      .union([z.number(), severityWord])
      .optional()
      .meta({ description: 'CVSS score, severity, probability (epss), or days (grace, scan-age)' }),
    findings: z
      .array(judgedFinding)
      .meta({ description: 'the findings that met the threshold, worst first; at most 50' }),
    total: z.int().meta({ description: 'how many findings met the threshold' }),
  })
  .meta({ id: 'VerdictReason' });
export type VerdictReason = z.infer<typeof reason>;

export const suppressed = z
  .object({
    total: z.int(),
    excepted: z.int().meta({ description: 'how many of them by exceptions' }),
    findings: z.array(judgedFinding).meta({ description: 'the worst first; at most 20' }),
  })
  .meta({
    id: 'SuppressedFindings',
    description:
      'findings that the verdict does not include: by the report, by VEX statements, by exceptions',
  });
export type SuppressedFindings = z.infer<typeof suppressed>;

const changesAt = z
  .array(z.object({ at: z.iso.datetime(), verdict }))
  .meta({ description: 'when the verdict becomes worse if nothing changes but the time; at most 2' });

export const scanResult = z
  .object({
    scanId: z.string(),
    digest,
    verdict,
    reasons: z.array(reason),
    changesAt,
    counts,
    suppressed,
    latest: z
      .boolean()
      .meta({ description: "false: a newer result of this scanner's is stored, and the image shows that" }),
  })
  .meta({ id: 'ScanResult', description: 'what this report alone makes of the image' });
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
  reportSha256: z.string().meta({ description: 'hex SHA-256 of the report as it came, decompressed' }),
});

export const image = scan
  .extend({
    digest,
    image: z.string().optional().meta({ description: 'reference under which it was scanned' }),
    aliases: imageAliases,
    verdict,
    reasons: z.array(reason),
    changesAt,
    counts,
    suppressed,
    firstSeenAt: z.iso.datetime().meta({ description: 'when the first report about it came' }),
    names: z
      .array(z.object({ name: z.string(), platform: z.string().optional(), scannedAt: z.iso.datetime() }))
      .meta({
        description:
          'what the admission of workloads knows it by, beside its digest; the latest first, at most 32',
      }),
    clusters: z
      .array(z.object({ clusterId: z.string(), lastSeenAt: z.iso.datetime() }))
      .meta({ description: 'where it runs, as uploads with ?cluster= have said' }),
    scans: z
      .array(scan.extend({ verdict, counts }))
      .meta({ description: 'the latest result of each scanner; the first decided, and is shown above' }),
  })
  .meta({ id: 'Image' });
export type ImageView = z.infer<typeof image>;
