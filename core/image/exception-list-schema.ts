import * as z from 'zod';
import { pageQuery } from '../api/page.ts';
import { exception } from './exception-schema.ts';

export const exceptionId = z.string().regex(/^[a-z2-7]{16}$/);

/** An exception as the API shows it. */
export const listedException = exception
  .extend({
    exceptionId,
    state: z.enum(['active', 'expired']).meta({ description: 'expired: it no longer counts' }),
    daysLeft: z.int().meta({ description: 'whole days until it expires; 0 for one that has' }),
  })
  .meta({ id: 'ListedImageException' });
export type ListedException = z.infer<typeof listedException>;

export const exceptionsQuery = pageQuery.extend({
  vulnerability: z.string().min(1).max(128).optional().meta({ description: 'by this name, in any case' }),
  state: z.enum(['active', 'expired', 'all']).default('all'),
});
export type ExceptionsQuery = z.infer<typeof exceptionsQuery>;

/** Rows of one import, and its bytes. */
export const [maxImportRows, maxImportBytes] = [5_000, 1024 * 1024];
/** Columns of an import, in any order. */
export const exceptionColumns = [
  'vulnerability',
  'package',
  'image',
  'repository',
  'justification',
  'expires',
] as const;
export type ExceptionColumn = (typeof exceptionColumns)[number];

export const exceptionImportQuery = z.object({
  dryRun: z
    .enum(['true', 'false'])
    .default('false')
    .meta({ description: 'true: says what would happen, and changes nothing' }),
});

export const exceptionImport = z
  .object({
    dryRun: z.boolean(),
    totals: z.object({
      rows: z.int(),
      new: z.int(),
      duplicate: z.int(),
      existing: z.int(),
      faulty: z.int(),
    }),
    items: z.array(
      z.object({
        row: z.int().meta({ description: 'as a spreadsheet counts: the header is row 1' }),
        outcome: z.enum(['new', 'duplicate', 'existing', 'faulty']),
        sameAs: z.int().optional().meta({ description: 'duplicate: the earlier row that says the same' }),
        exceptionId: exceptionId
          .optional()
          .meta({ description: 'existing: the exception that says the same; new: absent in a dry run' }),
        errors: z.array(z.object({ column: z.string(), message: z.string() })).optional(),
      }),
    ),
  })
  .meta({ id: 'ImageExceptionImport' });
export type ExceptionImport = z.infer<typeof exceptionImport>;
