import * as z from 'zod';
import { baseScore, list, optional, purl, text } from './members.ts';

const message = optional(z.object({ text: optional(z.string()) }));
const score = optional(baseScore);
const vector = optional(text(512));

const rule = z.object({
  id: text(1_024),
  name: optional(text(1_024)),
  help: message,
  properties: optional(
    z.object({
      tags: list(text(1_024), 1_000),
      'security-severity': optional(z.union([z.number(), text(64)])),
      purls: list(purl, 1_000),
      cvssv2_score: score,
      cvssv2_vector: vector,
      cvssv3_baseScore: score,
      cvssv3_vector: vector,
      cvssv40_baseScore: score,
      cvssv40_vector: vector,
    }),
  ),
});
export type Rule = z.infer<typeof rule>;

const location = z.object({
  physicalLocation: optional(
    z.object({ artifactLocation: optional(z.object({ uri: optional(text(8_192)) })) }),
  ),
  logicalLocations: list(z.object({ name: optional(text(4_096)) })),
});

const result = z.object({
  ruleId: optional(text(1_024)),
  ruleIndex: optional(z.int()),
  level: optional(text(64)),
  message,
  locations: list(location),
  suppressions: list(z.object({ status: optional(text(64)) }), 1_000),
});
export type Result = z.infer<typeof result>;

const run = z.object({
  tool: z.object({
    driver: z.object({ name: text(256), version: optional(text(128)), rules: list(rule) }),
  }),
  // Absent or null where the tool has not come to its end (SARIF 2.1.0 §3.14.23): that is not the same as none.
  results: z.array(z.unknown()).pipe(list(result) as z.ZodType<Result[], unknown[]>),
  properties: optional(
    z.object({
      imageName: optional(text(1_024)),
      imageID: optional(text(128)),
      repoTags: list(text(1_024), 1_000),
      repoDigests: list(text(1_024), 1_000),
    }),
  ),
});
export type Run = z.infer<typeof run>;

/** The members of SARIF 2.1.0 that Trivy and Grype write and that are read; texts are read only for the names in them. */
export const sarif = z.object({ version: text(64), runs: list(run, 100) });
