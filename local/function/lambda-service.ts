import type { Answer, AwsCall, AwsService } from '../aws/aws-call.ts';
import { jsonFailure } from '../aws/aws-call.ts';
import { AwsError, notServed } from '../aws/aws-error.ts';
import { accessDeniedException, type Authoriser } from '../aws/iam/authoriser.ts';
import type { FunctionRunner } from './function-runner.ts';

const invocations = /^\/2015-03-31\/functions\/([^/]+)\/invocations$/;

/** Lambda's `Invoke`, so that operators reach the operator function by IAM here as they do in AWS. */
export function lambdaService(runner: FunctionRunner, authoriser: Authoriser): AwsService {
  async function handle(call: AwsCall): Promise<Answer> {
    const name = invocations.exec(call.rawPath)?.[1];
    if (call.method !== 'POST' || name === undefined)
      throw notServed('lambda', `${call.method} ${call.rawPath}`);
    const spec = runner.find(decodeURIComponent(name));
    if (!spec) throw new AwsError('ResourceNotFoundException', `Function not found: ${name}`, 404);
    await authoriser.require(
      call.caller,
      [{ action: 'lambda:InvokeFunction', resource: spec.arn }],
      accessDeniedException,
    );
    const result = await runner.invoke(spec.arn, JSON.parse(call.body?.toString('utf8') || '{}') as unknown);
    const failed = 'error' in result;
    return {
      status: 200,
      headers: {
        'content-type': 'application/json',
        ...(failed ? { 'x-amz-function-error': 'Unhandled' } : {}),
      },
      body: JSON.stringify(failed ? result.error : result.value),
    };
  }
  return { handle, failure: jsonFailure('1.1') };
}
