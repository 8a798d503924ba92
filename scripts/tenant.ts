/** `npm run tenant -- …`, for operators: invokes the operator function, which makes tenants and keys. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import * as z from 'zod';
import { type OperatorTarget, tenantCommand } from './tenant-command.ts';

/** `operator.json` as the running laptop stack writes it. */
const laptopAccess = z.object({
  endpoint: z.url(),
  region: z.string(),
  functionName: z.string(),
  credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string(), sessionToken: z.string() }),
});

async function clientFor(target: OperatorTarget): Promise<{ lambda: LambdaClient; functionName: string }> {
  if (target.kind === 'aws') return { lambda: new LambdaClient(), functionName: target.functionName };
  const file = path.resolve(target.dataDirectory, 'operator.json');
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new Error('The laptop stack is not running. Start it with: npm start', { cause: error });
  }
  const { functionName, ...options } = laptopAccess.parse(JSON.parse(text));
  return { lambda: new LambdaClient(options), functionName };
}

async function invoke(target: OperatorTarget, event: object): Promise<unknown> {
  const { lambda, functionName } = await clientFor(target);
  try {
    const { Payload, FunctionError } = await lambda.send(
      new InvokeCommand({ FunctionName: functionName, Payload: JSON.stringify(event) }),
    );
    const answer = JSON.parse(Buffer.from(Payload ?? []).toString('utf8') || 'null') as unknown;
    if (FunctionError) {
      throw new Error(
        (answer as { errorMessage?: string } | null)?.errorMessage ?? 'The operator function failed.',
      );
    }
    return answer;
  } finally {
    lambda.destroy();
  }
}

process.exitCode = await tenantCommand(process.argv.slice(2), {
  invoke,
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
});
