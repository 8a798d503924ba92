import * as z from 'zod';
import { page, pageQuery } from '../api/page.ts';
import { finding, severity, suppression, verdict, verdictRules } from './image-schema.ts';

/** `scanner`: its name alone; without it the findings of all, one scanner after the other. */
export const findingsQuery = pageQuery.extend({
  scanner: z
    .string()
    .min(1)
    .max(64)
    .optional()
    .meta({ description: 'name of one scanner', example: 'trivy' }),
  severity: severity.optional(),
  fixable: z
    .enum(['true', 'false'])
    .optional()
    .meta({ description: 'whether there is a version without it' }),
});
export type FindingsQuery = z.infer<typeof findingsQuery>;

export const imageFinding = finding
  .extend({
    scanner: z.string().meta({ description: 'name of the scanner that found it' }),
    verdict: verdict.meta({ description: 'what it alone makes of the image now' }),
    rules: z.array(z.enum(verdictRules)).meta({ description: 'the rules by which it does; none for pass' }),
    suppressed: suppression
      .optional()
      .meta({ description: 'why it does not count now: by the report, a VEX statement or an exception' }),
  })
  .meta({ id: 'ImageFinding' });
export type ImageFinding = z.infer<typeof imageFinding>;

export const findingsPage = page(imageFinding).meta({
  id: 'ImageFindings',
  description: "each scanner's worst first; a page may be short, or empty, and have a next one",
});
