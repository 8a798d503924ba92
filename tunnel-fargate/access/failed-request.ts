import type { Logger } from 'pino';
import { Problem } from '../../core/problem/problem.ts';
import type { Exchange } from './exchange.ts';
import { failureAnswer, grpcFailureAnswer, isKubernetesClient } from './failure-answer.ts';
import { speaksGrpc } from './statistics.ts';

/**
 * Answers a failure, if somebody is left to read it, and says which it was; undefined when the client simply went away.
 * What is not a Problem is a mistake of ours: logged, and answered as INTERNAL without its text.
 */
export function answerFailure(
  exchange: Exchange,
  error: unknown,
  logger: Pick<Logger, 'error'>,
): Problem | undefined {
  if (exchange.gone.aborted) return undefined;
  const problem = error instanceof Problem ? error : new Problem('INTERNAL', undefined, { cause: error });
  if (problem.status >= 500 && problem.cause !== undefined) {
    logger.error({ err: problem.cause, code: problem.code, requestId: exchange.requestId }, problem.message);
  }
  if (exchange.headSent) {
    exchange.reset();
    return problem;
  }
  if (exchange.isHttp2 && speaksGrpc(exchange)) {
    const { status, headers } = grpcFailureAnswer(problem, exchange.requestId);
    exchange.answer(status, headers);
    return problem;
  }
  const kubernetes = isKubernetesClient(exchange.headers);
  const { status, headers, body } = failureAnswer(problem, { requestId: exchange.requestId, kubernetes });
  exchange.answer(status, { ...headers, 'Content-Length': String(Buffer.byteLength(body)) }, body);
  return problem;
}
