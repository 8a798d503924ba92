import * as z from 'zod';
import { severities, type Severity } from '../../../core/image/image-schema.ts';
import { Problem } from '../../../core/problem/problem.ts';
import { cvssVersions, type CvssScore } from './normal-form.ts';
import { storedLimits } from './report-limits.ts';

/** More findings than any real report has; what is above would be an attempt to keep us busy. readReport may allow fewer. */
export const maxFindings = storedLimits.findings;
/** PAYLOAD_TOO_LARGE for more findings than that, counted and suppressed ones together. */
export function guardFindings(count: number): void {
  if (count > maxFindings) {
    throw new Problem('PAYLOAD_TOO_LARGE', `A report may have ${maxFindings} findings.`);
  }
}

/** Go writes null for what is empty: both are absent. */
export const optional = <T extends z.ZodType>(schema: T) =>
  schema.nullish().transform((value) => value ?? undefined);

export const text = (max: number) => z.string().max(max);

/** Most faults that a refusal names, and so the most that are looked for: a fault costs more memory than its cause. */
const maxFaults = 20;

/**
 * An array, null or absent for none. It is read element by element and given up after 20 faults, where `z.array` would
 * keep a fault for each of a million. More than `max` elements are PAYLOAD_TOO_LARGE before any is read.
 */
export const list = <T extends z.ZodType>(schema: T, max = maxFindings) =>
  z
    .array(z.unknown())
    .nullish()
    .transform((items, context): z.output<T>[] => {
      const read: z.output<T>[] = [];
      if (!items) return read;
      if (items.length > max) {
        throw new Problem('PAYLOAD_TOO_LARGE', `A report may have ${max} elements in such an array.`);
      }
      for (const [index, item] of items.entries()) {
        const parsed = schema.safeParse(item);
        if (parsed.success) read.push(parsed.data);
        else {
          for (const { path, message } of parsed.error.issues.slice(0, maxFaults)) {
            context.addIssue({ code: 'custom', path: [index, ...path], message });
          }
          if (context.issues.length >= maxFaults) break;
        }
      }
      return read;
    });

export type Members = Readonly<Record<string, unknown>>;
export const isObject = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An object whose members' names are data (sources, digests), as pairs; read and given up as `list` does. */
export const pairs = <T extends z.ZodType>(schema: T) =>
  z
    .custom<Members>(isObject, 'Invalid input: expected object')
    .nullish()
    .transform((members, context): [name: string, value: z.output<T>][] => {
      const read: [string, z.output<T>][] = [];
      for (const [name, member] of Object.entries(members ?? {})) {
        const parsed = schema.safeParse(member);
        if (parsed.success) read.push([name, parsed.data]);
        else {
          for (const { path, message } of parsed.error.issues.slice(0, maxFaults)) {
            context.addIssue({ code: 'custom', path: [name, ...path], message });
          }
          if (context.issues.length >= maxFaults) break;
        }
      }
      return read;
    });

/** REPORT_MALFORMED with up to 20 faults: where they are, and what was expected; never what was there. */
export const malformed = (error: z.ZodError): Problem =>
  new Problem('REPORT_MALFORMED', undefined, {
    errors: error.issues.slice(0, maxFaults).map(({ path, message }) => ({
      path: `/${path.map((step) => word(String(step))).join('/')}`,
      message,
    })),
  });

/** Reads a report through its schema; REPORT_MALFORMED. */
export function readMembers<T extends z.ZodType>(schema: T, json: unknown): z.output<T> {
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw malformed(parsed.error);
  return parsed.data;
}

/** A short value of the report as it may be shown in an error. */
export function word(value: unknown): string {
  const shown = typeof value === 'string' || typeof value === 'number' ? String(value) : 'of an unknown kind';
  return shown.replace(/[^\w .:/+-]/g, '?').slice(0, 40);
}

const dateTime = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})$/;

/**
 * RFC 3339, with up to nanoseconds, as epoch milliseconds; Go's zero time, year 1, means that nobody set it.
 * `member` is its name for the REPORT_MALFORMED of what is no time.
 */
export function time(given: string | undefined, member = 'A time'): number | undefined {
  if (given === undefined || given === '') return undefined;
  const at = dateTime.test(given) ? Date.parse(given.toUpperCase()) : NaN;
  if (Number.isNaN(at)) throw new Problem('REPORT_MALFORMED', `${member} is not an RFC 3339 time.`);
  return at > 0 ? at : undefined;
}

/** As `time`, or a bare date, for what a report can do without: what is neither is absent. */
export function timeIfAny(given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  const whole = /^\d{4}-\d{2}-\d{2}$/.test(given) ? `${given}T00:00:00Z` : given;
  const at = dateTime.test(whole) ? Date.parse(whole.toUpperCase()) : NaN;
  return at > 0 ? at : undefined;
}

const known: ReadonlySet<string> = new Set(severities);
/** CycloneDX' and Harbor's words for what is no danger. */
const harmless: ReadonlySet<string> = new Set(['none', 'info', 'informational']);

/** A word for a severity in any case; what is none of ours is unknown. */
export function severityOf(given: string | undefined): Severity {
  const lower = given?.toLowerCase() ?? '';
  if (known.has(lower)) return lower as Severity;
  return harmless.has(lower) ? 'negligible' : 'unknown';
}

/** A base score, 0–10. */
export const baseScore = z.number().min(0).max(10);

/** Base scores have one decimal (CVSS v3.1 §7.1); what has more is rounded. */
export const tenth = (score: number): number => Math.round(score * 10) / 10;

/** A score in our form. Its version is that of its vector (v3.x and v4.0 begin with it), else the one given. */
export function cvssScore(given: {
  readonly source: string;
  readonly version: CvssScore['version'];
  readonly score: number;
  readonly vector?: string | undefined;
}): CvssScore {
  const named = given.vector === undefined ? undefined : /^CVSS:(\d\.\d)\//.exec(given.vector)?.[1];
  return {
    version: cvssVersions.find((each) => each === named) ?? given.version,
    score: tenth(given.score),
    ...(given.vector ? { vector: given.vector } : {}),
    source: given.source.toLowerCase(),
  };
}

/** Who logs in where (`https://bob:hunter2@…`), percent-encoded or not; everybody is `git` at Git's hosts. */
const userOfAddress = /((?::|%3a)(?:\/|%2f){2})(?!git(?:@|%40))(?:(?!\/|%2f)[^&#?\s])*(?:@|%40)/gi;

/**
 * A package URL as the report has it, without users and passwords of the addresses in its qualifiers; what is none (Grype
 * writes '') is absent: package and version stand for it.
 */
export const purl = optional(text(2_048)).transform((given) =>
  given !== undefined && /^pkg:[a-zA-Z][a-zA-Z0-9.+-]*\/./.test(given)
    ? given.replace(userOfAddress, '$1')
    : undefined,
);

/** Without repetitions and empty ones, in their order. */
export const distinct = (names: readonly (string | undefined)[]): string[] =>
  [...new Set(names.filter((name) => name !== undefined && name !== ''))] as string[];

/** The other names of a vulnerability, in their order. */
export const aliasesOf = (vulnerability: string, names: readonly (string | undefined)[]): string[] =>
  distinct(names).filter((name) => name !== vulnerability);

/**
 * A label of VEX' (`vulnerable_code_not_present`) or a short name of a rule; what people wrote is free text, and absent.
 */
export const label = (words: string | undefined): string | undefined =>
  words !== undefined && /^[A-Za-z][\w.-]{0,63}$/.test(words) ? words : undefined;

/** `sha256:…` in a name that ends in one, or that is one. */
export const digestIn = (name: string | undefined): string | undefined =>
  name === undefined ? undefined : /(?:^|@)(sha256:[0-9a-f]{64})$/.exec(name)?.[1];

/** A member that is left out where there is nothing to say: `...given('purl', purl)`. */
export const given = <K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> =>
  value === undefined ? {} : ({ [name]: value } as Record<K, V>);
