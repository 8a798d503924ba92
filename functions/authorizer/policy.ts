import type { APIGatewayAuthorizerResult } from 'aws-lambda';

/**
 * What API Gateway caches of a decision. It is about the whole stage: a policy on one route, cached with the token,
 * would refuse the next route. Scopes are checked in the function, from the one route table (design.md 3).
 */
export function stagePolicy(
  effect: 'Allow' | 'Deny',
  /** `arn:aws:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>` */
  methodArn: string,
  principalId: string,
  context?: Readonly<Record<string, string>>,
): APIGatewayAuthorizerResult {
  const [api, stage] = methodArn.split('/');
  if (!api || !stage) throw new Error('not the ARN of a method');
  return {
    principalId,
    policyDocument: {
      Version: '2012-10-17',
      Statement: [{ Action: 'execute-api:Invoke', Effect: effect, Resource: `${api}/${stage}/*/*` }],
    },
    ...(context ? { context } : {}),
  };
}
