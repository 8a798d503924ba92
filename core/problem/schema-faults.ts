import type * as z from 'zod';
import type { ProblemBody } from './problem.ts';

/** What of a request does not fit its schema, and where; at most 20. Never what stands there. */
export const schemaFaults = (error: z.ZodError): NonNullable<ProblemBody['errors']> =>
  error.issues.slice(0, 20).map(({ path, message }) => ({ path: `/${path.map(String).join('/')}`, message }));
