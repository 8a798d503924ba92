import * as z from 'zod';
import { ImagePattern, PatternFault } from './image-pattern.ts';
import { readSelector, SelectorFault } from './label-selector.ts';

/** Of one policy, and of one rule: what a function reads for each review. */
const [maxRules, maxValues] = [50, 50];

/** Adds what a reader refuses as a fault of the schema: `the pattern has a group that does not end`. */
const readable = (what: string, read: (text: string) => unknown) =>
  z.string().superRefine((text, context) => {
    try {
      read(text);
    } catch (error) {
      if (!(error instanceof PatternFault || error instanceof SelectorFault)) throw error;
      context.addIssue({ code: 'custom', message: `the ${what} ${error.message}` });
    }
  });
const selector = readable('selector', readSelector)
  .default('all()')
  .meta({ description: "selector of Calico's", example: "environment == 'production'" });
const pattern = readable('pattern', (text) => new ImagePattern(text));

export const scanStatuses = ['Pass', 'Warn', 'Fail', 'Unknown'] as const;
export type ScanStatus = (typeof scanStatuses)[number];

const oneOf = <T extends z.ZodType>(value: T) =>
  z.strictObject({
    operator: z.enum(['IsOneOf', 'IsNoneOf']),
    values: z.array(value).min(1).max(maxValues),
  });

const span = z.int().min(0).max(36_500).optional();
const timeMatch = z
  .strictObject({
    operator: z.enum(['gt', 'lt']).meta({ description: 'gt: scanned later than that; lt: earlier' }),
    duration: z
      .strictObject({ days: span, months: span, years: span })
      .optional()
      .meta({ description: 'before now' }),
    time: z
      .string()
      .refine((text) => !Number.isNaN(momentOf(text)), { error: 'must be a time as 2026-01-31T12:00:00Z' })
      .optional(),
  })
  .refine(({ duration, time }) => (duration === undefined) !== (time === undefined), {
    error: 'must have either duration or time',
  });

const rule = z
  .strictObject({
    action: z.enum(['Allow', 'Reject']),
    imagePath: oneOf(pattern)
      .optional()
      .meta({ description: 'regular expressions (RE2) over <registry>/<repository>, docker.io written out' }),
    imageScanStatus: oneOf(z.enum(scanStatuses)).optional(),
    imageLastScan: timeMatch.optional(),
  })
  .meta({ description: 'matches an image that meets all of its criteria; without any, every image' });
export type AdmissionRule = z.infer<typeof rule>;

/** `spec` of the CR. Unknown members are refused: a criterion that is misspelt would make its rule match every image. */
export const containerAdmissionSpec = z.strictObject({
  order: z.number().optional().meta({ description: 'the lowest is asked first; without one: last' }),
  selector,
  namespaceSelector: selector,
  rules: z.array(rule).min(1).max(maxRules).meta({ description: 'the first that matches decides' }),
});

/** What Calico Cloud's ContainerAdmissionPolicy says (docs.tigera.io, its reference of that name), with its name. */
export const containerAdmissionPolicy = containerAdmissionSpec
  .extend({ name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/) })
  .meta({ id: 'ContainerAdmissionPolicy' });
export type ContainerAdmissionPolicy = z.infer<typeof containerAdmissionPolicy>;

/** The earliest moment, in epoch milliseconds, that is still within the criterion. */
export function limitOf({ duration, time }: z.infer<typeof timeMatch>, now: number): number {
  if (time !== undefined) return momentOf(time);
  const { days = 0, months = 0, years = 0 } = duration ?? {};
  const limit = new Date(now);
  // A day that the month lacks runs over into the next, as Go's AddDate has it.
  limit.setUTCFullYear(
    limit.getUTCFullYear() - years,
    limit.getUTCMonth() - months,
    limit.getUTCDate() - days,
  );
  return limit.getTime();
}

/** Go reads hours of one digit too, and the documentation writes one; NaN for what is no time. */
function momentOf(text: string): number {
  const parts = /^(\d{4}-\d{2}-(\d{2}))T(\d{1,2})(:\d{2}:\d{2}(?:\.\d{1,9})?)(Z|[+-]\d{2}:\d{2})$/.exec(text);
  if (!parts) return NaN;
  const [, date = '', day = '', hours = '', rest = '', zone = ''] = parts;
  // JavaScript takes the 31st of February for the 3rd of March.
  if (new Date(`${date}T00:00:00Z`).getUTCDate() !== Number(day)) return NaN;
  return Date.parse(`${date}T${hours.padStart(2, '0')}${rest}${zone}`);
}
