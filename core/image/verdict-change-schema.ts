import * as z from 'zod';
import { verdict } from './image-schema.ts';

export const verdictChange = z
  .object({
    at: z.iso.datetime(),
    from: verdict.optional().meta({ description: 'absent: the image was not known before' }),
    to: verdict,
    cause: z.enum(['scan', 'policy', 'time']).meta({
      description:
        'scan: a new result; policy: policy, exceptions or VEX statements were changed; time: a grace or an exception ended, or the scan became too old',
    }),
    scanId: z.string().meta({ description: 'the upload that made the change, or came after it and saw it' }),
    scanner: z.string().meta({ description: 'its scanner: name and version', example: 'trivy 0.72.0' }),
  })
  .meta({ id: 'VerdictChange' });
export type VerdictChangeView = z.infer<typeof verdictChange>;
