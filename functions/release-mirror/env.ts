import * as z from 'zod';

/** Environment of this function; lib/ sees only its type, so that a missing variable does not compile there. */
export const environment = z.object({
  ASSETS_BUCKET: z.string().min(1),
});
export type Environment = z.infer<typeof environment>;
