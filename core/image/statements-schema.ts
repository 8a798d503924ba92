import * as z from 'zod';
import { pageQuery } from '../api/page.ts';
import type { StoredStatement } from './exception-schema.ts';

/** What has become of a VEX document. */
export const statementsTaken = z
  .object({
    author: z.string(),
    statements: z.object({
      stored: z.int().meta({ description: 'new ones, or newer than what the same author has said before' }),
      unchanged: z.int().meta({ description: 'those that are stored already' }),
      outdated: z.int().meta({ description: 'those of which a newer one of the same author is stored' }),
      superseded: z.int().meta({ description: 'stored before, and replaced by these' }),
    }),
  })
  .meta({ id: 'StatementsTaken' });
export type StatementsTaken = z.infer<typeof statementsTaken>;

export const statementId = z.string().regex(/^[a-z2-7]{26}$/);

/** VEX' words (OpenVEX 0.2, "Status Labels"). */
const status = z.enum([
  'not_affected',
  'affected',
  'fixed',
  'under_investigation',
] satisfies readonly StoredStatement['status'][]);
/** Whoever a document says has made it, as it is written there. */
const author = z.string().min(1).max(512);

/** What an author says about a vulnerability in one product, and has not replaced since. */
export const listedStatement = z
  .object({
    statementId: statementId.meta({
      description: 'the same for whatever this author says about this vulnerability in this product',
    }),
    author: z.string(),
    vulnerability: z.string(),
    aliases: z.array(z.string()),
    product: z.object({
      id: z.string().meta({
        description:
          'an image by digest, pkg:oci/… or bill of materials (urn:cdx:…), or a package by package URL',
      }),
      subcomponents: z
        .array(z.string())
        .meta({ description: 'not empty: it is about these in the image alone; the first 100' }),
      more: z.int().optional().meta({ description: 'how many further sub-components there are' }),
    }),
    status: status.meta({ description: 'not_affected and fixed take findings out of verdicts' }),
    justification: z.string().optional(),
    at: z.iso
      .datetime()
      .meta({ description: 'when the author has said so; 1970 where the document has no time' }),
  })
  .meta({ id: 'ListedImageStatement' });
export type ListedStatement = z.infer<typeof listedStatement>;

export const statementsQuery = pageQuery.extend({
  vulnerability: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .meta({ description: 'by this name, or alias, in any case' }),
  author: author.optional().meta({ description: 'as the document has it' }),
  status: status.optional(),
});
export type StatementsQuery = z.infer<typeof statementsQuery>;

export const statementsOfAuthor = z.object({
  author: author.meta({ description: 'as the document has it; all that it has said' }),
});
