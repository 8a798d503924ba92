import * as z from 'zod';

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
