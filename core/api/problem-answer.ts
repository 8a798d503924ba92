import type { Logger } from '@aws-lambda-powertools/logger';
import type { APIGatewayProxyResult } from 'aws-lambda';
import { Problem, problemBody, problemMediaType } from '../problem/problem.ts';

/** The problem+json answer to any error; what is not a Problem is logged and answered as INTERNAL, without its text. */
export function problemAnswer(error: unknown, requestId: string, logger: Logger): APIGatewayProxyResult {
  const problem = error instanceof Problem ? error : new Problem('INTERNAL', undefined, { cause: error });
  if (problem.status >= 500) logger.error(problem.code, { error: problem.cause ?? problem });
  return {
    statusCode: problem.status,
    headers: { 'Content-Type': problemMediaType, 'Cache-Control': 'no-store', ...problem.headers },
    body: JSON.stringify(problemBody(problem, requestId)),
  };
}
