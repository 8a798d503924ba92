/** Triggered by `npm run tenant` (an IAM-authorised invocation); makes tenants and one-day owner's keys, invites and removes members. */
import { dependencies } from './deps.ts';
import { environment } from './env.ts';
import { operate } from './operate.ts';
import type { OperatorAnswer } from './operator-request.ts';

const deps = dependencies(environment.parse(process.env));

export const handler = (event: unknown): Promise<OperatorAnswer> => operate(deps, event);
