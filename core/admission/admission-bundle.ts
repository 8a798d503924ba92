import * as z from 'zod';
import { imagePolicy } from '../image/image-policy-schema.ts';
import { type AdmissionView, readyRules } from '../image/image-rules.ts';
import { digest, verdict } from '../image/image-schema.ts';
import { admissionPolicy } from './admission-policy.ts';
import type { KnownImage } from './known-image.ts';

/** `typ` of the JWS's header: a signature over something else is not one over a bundle (RFC 8725 §3.11). */
export const bundleType = 'cattery-admission-bundle+jws';

/** Findings that each reason of a bundle tells. */
export const maxBundledFindings = 3;

/** Epoch milliseconds. */
const moment = z.int().min(0);

const reasons = z.array(
  z.object({
    rule: z.string(),
    total: z.int().min(0),
    findings: z
      .array(
        z.object({
          vulnerability: z.string(),
          package: z.string(),
          version: z.string(),
          fix: z.object({ versions: z.array(z.string()) }),
        }),
      )
      .max(maxBundledFindings),
  }),
);

/** A name under which an image was scanned, on a platform (`''`: the report does not say), when last. */
const bundledName = z.object({ alias: z.string(), platform: z.string(), scannedAt: moment });
export type BundledName = z.infer<typeof bundledName>;

/** A scanned image with its verdict, now and later: time alone makes a verdict worse, never better. */
const bundledImage = z.object({
  digest,
  names: z.array(bundledName),
  scannedAt: moment,
  verdict,
  reasons,
  worsens: z.array(z.object({ at: moment, verdict, reasons })),
  /** From then on nothing is known of it any more. */
  expiresAt: moment,
});
export type BundledImage = z.infer<typeof bundledImage>;

const settings = {
  mode: z.enum(['enforce', 'audit']),
  unscanned: verdict,
};

/** What of the image policy admission itself asks: what unscanned images get, and whether it enforces. */
const admissionRules = z.object({
  ...settings,
  overrides: z.array(
    z.object({
      repositories: z.array(z.string()).min(1),
      mode: settings.mode.optional(),
      unscanned: settings.unscanned.optional(),
    }),
  ),
});
export type AdmissionRules = z.infer<typeof admissionRules>;

/**
 * Payload of one part of a bundle: all verdicts of a tenant (`full`), or what has changed since an earlier bundle
 * (`delta`). A bundle is whole once the part without `next` is there: all its parts have the same `asOf`, `kind`,
 * `since` and `revisions`, and `part` counts them from 0. `rules` and `policy` of the newest bundle hold, whatever its
 * kind. Unknown members are left out, but for those of `policy`: who does not know them must not guess.
 */
export const admissionBundle = z.object({
  /** Base URL of the API that signed. */
  iss: z.string(),
  /** The tenant. */
  sub: z.string(),
  /** Epoch seconds (RFC 7519 NumericDate). */
  iat: z.int().min(0),
  kind: z.enum(['full', 'delta']),
  /** The state that the whole bundle brings to: opaque; `since` of the next question. */
  asOf: z.string(),
  /** Of a delta: the `asOf` of the bundle that it continues. */
  since: z.string().optional(),
  part: z.int().min(0),
  /** `cursor` of the question for the next part; absent in the last. */
  next: z.string().optional(),
  revisions: z.object({ rules: z.int(), admission: z.int() }),
  rules: admissionRules,
  policy: admissionPolicy,
  images: z.array(bundledImage),
  /** Of a delta: digests of images that are known no more. */
  removed: z.array(digest).optional(),
});
export type AdmissionBundle = z.infer<typeof admissionBundle>;

/** What the bundle's rules say about each repository: `settings` of `decide`. Throws for what is no policy. */
export function settingsOf(rules: AdmissionRules): (path: string) => AdmissionView {
  const policy = imagePolicy.parse(rules);
  return readyRules({ revision: 0, policy, exceptions: [], statements: [] }).admission;
}

/** A name that some image has: one entry of an alias. */
export type NameOfImage = Omit<BundledName, 'alias'> & { readonly digest: string };

/**
 * The images that an alias stands for: on each platform the one that was scanned last under it (of equally late ones the
 * greater digest, so that every order of uploads ends alike), as core/image/image-name-repository.ts keeps them.
 */
export function resolveNames(named: Iterable<NameOfImage>): string[] {
  const owners = new Map<string, NameOfImage>();
  for (const name of named) {
    const owner = owners.get(name.platform);
    if (!owner || isLater(name, owner)) owners.set(name.platform, name);
  }
  return [...new Set([...owners.values()].map((owner) => owner.digest))];
}

/** Of two images that have a name on one platform, whether the first owns it. */
export const isLater = (one: NameOfImage, other: NameOfImage): boolean =>
  one.scannedAt > other.scannedAt || (one.scannedAt === other.scannedAt && one.digest > other.digest);

/** An image as `decide` takes it, judged at a moment; undefined once it has expired. */
export function knownAt(entry: BundledImage, now: number): KnownImage | undefined {
  if (now >= entry.expiresAt) return undefined;
  const { digest: name, scannedAt } = entry;
  const { verdict: judged, reasons: why } = entry.worsens.findLast(({ at }) => at <= now) ?? entry;
  return { digest: name, scannedAt, verdict: judged, reasons: why };
}
