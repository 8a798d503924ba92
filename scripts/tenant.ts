/** `npm run tenant -- …`, for operators: invokes the operator function, which makes tenants and keys. */
import path from 'node:path';
import { invokeOperator, type OperatorAccess } from '../local/stack/operator.ts';
import { readState } from '../local/stack/state.ts';
import { type OperatorTarget, tenantCommand } from './tenant-command.ts';

async function accessTo(target: OperatorTarget): Promise<Pick<OperatorAccess, 'functionName'>> {
  if (target.kind === 'aws') return target;
  const state = await readState(path.resolve(target.dataDirectory));
  if (!state) throw new Error('The laptop stack is not running. Start it with: npm start');
  return state.operator;
}

process.exitCode = await tenantCommand(process.argv.slice(2), {
  invoke: async (target, event) => invokeOperator(await accessTo(target), event),
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
});
