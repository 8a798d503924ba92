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

export const finding = z
  .object({
    vulnerability: z.string().meta({ example: 'CVE-2019-14697' }),
    package: z.string(),
    version: z.string(),
    purl: z.string().optional(),
    location: z.string().meta({
      description: "file of the package, else where the report found it; never the image's tag",
    }),
    severity,
    score: score.optional().meta({ description: 'highest CVSS v3 or v4 base score, else v2' }),
    fixedIn: z.string().optional(),
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

export const scanResult = z
  .object({ scanId: z.string(), digest, verdict, reasons: z.array(reason), counts })
  .meta({ id: 'ScanResult' });
export type ScanResult = z.infer<typeof scanResult>;

export const image = z
  .object({
    digest,
    image: z.string().optional().meta({ description: 'reference under which it was scanned' }),
    verdict,
    reasons: z.array(reason),
    counts,
    scanId: z.string(),
    scanner: z.string(),
    scannedAt: z.iso.datetime(),
  })
  .meta({ id: 'Image' });
export type ImageView = z.infer<typeof image>;
