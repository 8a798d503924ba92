import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';

/** What it takes to invoke the operator function of a running stack. */
export type OperatorAccess = {
  readonly endpoint: string;
  readonly region: string;
  readonly functionName: string;
  readonly credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken: string;
  };
};

/** Invokes the operator function by IAM, where no more is said in AWS; throws the function's error. */
export async function invokeOperator(
  { functionName, ...client }: Pick<OperatorAccess, 'functionName'> & Partial<OperatorAccess>,
  event: unknown,
): Promise<unknown> {
  const lambda = new LambdaClient(client);
  try {
    const { Payload, FunctionError } = await lambda.send(
      new InvokeCommand({ FunctionName: functionName, Payload: JSON.stringify(event) }),
    );
    const answer: unknown = JSON.parse(Buffer.from(Payload ?? []).toString('utf8') || 'null');
    if (FunctionError) {
      const { errorMessage = 'The operator function failed.' } = (answer ?? {}) as { errorMessage?: string };
      throw new Error(errorMessage);
    }
    return answer;
  } finally {
    lambda.destroy();
  }
}
