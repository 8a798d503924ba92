import * as z from 'zod';

export const release = z
  .object({
    version: z.string().meta({ example: 'v3.32.1' }),
    default: z.boolean(),
    support: z.enum(['current', 'maintained', 'ending']),
    released: z.iso.date(),
    operatorVersion: z.string(),
    quirks: z.array(z.string()).meta({ description: 'what bites users of this release' }),
  })
  .meta({ id: 'Release' });
export type Release = z.infer<typeof release>;
