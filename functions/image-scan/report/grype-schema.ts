import * as z from 'zod';
import { baseScore, list, optional, purl, text } from './members.ts';

const vector = optional(text(512));

/** Grype's JSON has no schema; its members are those that its versions since 2020 have written. */
const cvss = z.object({
  source: optional(text(256)),
  version: optional(text(16)),
  vector,
  metrics: z.object({ baseScore }),
});

/** Until 2021: one object for each version, from NVD. */
const oldCvss = optional(z.object({ baseScore, vector }));

const probability = z.number().min(0).max(1);

const metadata = z.object({
  id: text(128).min(1),
  namespace: optional(text(256)),
  cvss: list(cvss, 1_000),
  epss: list(z.object({ epss: probability, percentile: optional(probability) }), 1_000),
  knownExploited: list(z.unknown(), 1_000),
});
export type Metadata = z.infer<typeof metadata>;

const vulnerability = metadata.extend({
  severity: optional(text(64)),
  cvssV2: oldCvss,
  cvssV3: oldCvss,
  fixedInVersion: optional(text(512)),
  fix: optional(z.object({ state: optional(text(64)), versions: list(text(512), 1_000) })),
});
export type Vulnerability = z.infer<typeof vulnerability>;

const location = z.object({
  path: optional(text(4_096)),
  annotations: optional(z.object({ evidence: optional(text(64)) })),
});

const match = z.object({
  vulnerability,
  relatedVulnerabilities: list(metadata, 1_000),
  artifact: z.object({
    name: text(512),
    version: optional(text(512)),
    type: optional(text(64)),
    purl,
    locations: list(location),
  }),
});
export type Match = z.infer<typeof match>;

const ignoreRule = z.object({
  vulnerability: optional(text(128)),
  reason: optional(z.string()),
  namespace: optional(text(256)),
  'fix-state': optional(text(64)),
  'match-type': optional(text(64)),
  'vex-status': optional(text(64)),
  'vex-justification': optional(z.string()),
  package: optional(
    z.object({
      name: optional(text(512)),
      version: optional(text(512)),
      type: optional(text(64)),
      location: optional(text(4_096)),
    }),
  ),
});
export type IgnoreRule = z.infer<typeof ignoreRule>;

/** Of images; directories, files, SBOMs and package URLs have a string in its place, which names no image. */
const target = optional(
  z.object({
    userInput: optional(text(1_024)),
    imageID: optional(text(128)),
    manifestDigest: optional(text(128)),
    tags: list(text(1_024), 1_000),
    // Since 2021; empty is a word of its own: no registry has given one.
    repoDigests: optional(list(text(1_024), 1_000)),
    mediaType: optional(text(256)),
    os: optional(text(64)),
    architecture: optional(text(64)),
    architectureVariant: optional(text(64)),
  }),
);
export type Target = z.infer<typeof target>;

const built = optional(text(64));

export const grypeReport = z.object({
  matches: list(match),
  ignoredMatches: list(match.extend({ appliedIgnoreRules: list(ignoreRule, 1_000) })),
  source: optional(
    z.object({ target: z.preprocess((given) => (typeof given === 'string' ? undefined : given), target) }),
  ),
  descriptor: optional(
    z.object({
      version: optional(text(128)),
      timestamp: optional(text(64)),
      db: optional(
        z.object({
          built,
          // Since its database's version 6 (2025).
          status: optional(z.object({ built })),
          providers: optional(z.object({ kev: z.unknown().optional() })),
        }),
      ),
    }),
  ),
});
