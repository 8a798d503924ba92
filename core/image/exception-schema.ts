import * as z from 'zod';
import { imageGlobText } from './image-glob.ts';
import { digest } from './image-schema.ts';
import { partsOf, qualifierTextOf } from './package-url.ts';

const day = 86_400_000;
/** An exception ends: somebody has to look at it again once a year. */
export const maxExceptionDays = 366;

/** CVE-2019-14697, GHSA-…, RUSTSEC-…, ALAS-…: what scanners name vulnerabilities by. */
const vulnerability = z
  .string()
  .max(128)
  .regex(/^[A-Za-z][A-Za-z0-9]*(?:[-_.:][A-Za-z0-9]+)+$/, { error: 'must be a name such as CVE-2019-14697' })
  .meta({ description: 'in any case; a finding with this name, or with this alias, is meant' });

const packageName = z
  .string()
  .max(512)
  .regex(/^[\x21-\x7e]+$/, { error: 'must be a name, or a package URL, of printable ASCII characters' })
  .refine((given) => !given.startsWith('pkg:') || isPlainPurl(given), {
    error: 'must be a package URL without version, qualifiers and subpath',
  })
  .meta({
    description: 'name as findings have it, or package URL without version; in any case',
    example: 'pkg:apk/alpine/musl',
  });

function isPlainPurl(given: string): boolean {
  const parts = partsOf(given);
  return (
    parts !== undefined &&
    parts.version === undefined &&
    qualifierTextOf(given) === '' &&
    !given.includes('#')
  );
}

export const exceptionScope = z.union([
  z.strictObject({ image: digest }).meta({ description: 'an image under any of its digests' }),
  z
    .strictObject({ repository: imageGlobText })
    .meta({ description: 'images that are known under a repository that matches, <registry>/<repository>' }),
  z.literal('any'),
]);
export type ExceptionScope = z.infer<typeof exceptionScope>;

const members = {
  vulnerability: vulnerability.optional(),
  package: packageName.optional(),
  scope: exceptionScope,
  justification: z
    .string()
    .trim()
    .min(1)
    .max(500)
    // Line ends, escape sequences and the like have no place in what is printed in tables.
    .regex(/^\P{Cc}*$/u, { error: 'must have no control characters' }),
  expiresAt: z.iso
    .datetime({
      offset: true,
      error: 'must be an RFC 3339 time with its zone, such as 2027-12-31T23:59:59Z',
    })
    .meta({
      description: `when it stops counting; in the future, at most ${maxExceptionDays} days from now`,
    }),
};

const namesSomething = (given: { vulnerability?: string | undefined; package?: string | undefined }) =>
  given.vulnerability !== undefined || given.package !== undefined;
const namesNothing = { error: 'vulnerability or package must be given', path: ['vulnerability'] };

/**
 * Asks that findings no longer count. Whether `expiresAt` lies in the future, and not too far, is for who knows the time:
 * `expiryFault`.
 */
export const exceptionRequest = z
  .strictObject(members)
  .refine(namesSomething, namesNothing)
  .meta({ id: 'ImageExceptionRequest' });
export type ExceptionRequest = z.infer<typeof exceptionRequest>;

export const exception = z
  .object({
    exceptionId: z.string(),
    ...members,
    author: z.string().meta({ description: 'who has made it' }),
    createdAt: z.iso.datetime(),
  })
  .meta({ id: 'ImageException' });
/** As it is stored; `expiresAt` any RFC 3339 time. */
export type ImageException = z.infer<typeof exception>;

/** What is wrong with an exception's end, in words that follow its name; undefined: nothing. `now`: epoch milliseconds. */
export function expiryFault(expiresAt: string, now: number): string | undefined {
  const at = Date.parse(expiresAt);
  if (at <= now) return 'must be in the future';
  if (at > now + maxExceptionDays * day) return `must be at most ${maxExceptionDays} days from now`;
  return undefined;
}

/**
 * A VEX statement as it is kept. `products`: an image by its digest, by `pkg:oci/…` or by its bill of materials
 * (`urn:cdx:<serial>/<version>`), or a package by package URL; with subcomponents it is about those inside the image alone.
 */
export type StoredStatement = {
  /** Whoever the document says has made it. */
  readonly author: string;
  readonly vulnerability: string;
  readonly aliases: readonly string[];
  readonly products: readonly { readonly id: string; readonly subcomponents: readonly string[] }[];
  readonly status: 'not_affected' | 'affected' | 'fixed' | 'under_investigation';
  readonly justification?: string;
  /** Epoch milliseconds; of one author's the latest counts. */
  readonly at: number;
};
