import type { IncomingHttpHeaders } from 'node:http2';
import { type Problem, problemBody, problemMediaType } from '../../core/problem/problem.ts';

export type FailureAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

/** `reason` of metav1.Status by HTTP status; kubectl prints it: "Error from server (Forbidden): …". */
const reasons: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  409: 'Conflict',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  429: 'TooManyRequests',
  431: 'BadRequest',
  500: 'InternalError',
  501: 'NotImplemented',
  502: 'BadGateway',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** Whether a client reads errors as Kubernetes writes them: by its name, or by the media types that only it asks for. */
export function isKubernetesClient(headers: IncomingHttpHeaders): boolean {
  const agent = headers['user-agent'] ?? '';
  const accept = headers.accept ?? '';
  return (
    /\b(?:kubectl|kubernetes|client-go|k9s|helm)\b/i.test(agent) ||
    /\.k8s\.io\b|vnd\.kubernetes|proto-openapi/i.test(accept)
  );
}

/** problem+json, or for a Kubernetes client the same as `kind: Status` with our code in `details.causes`. */
export function failureAnswer(
  problem: Problem,
  { requestId, kubernetes }: { requestId: string; kubernetes: boolean },
): FailureAnswer {
  const headers: Record<string, string> = { 'Cache-Control': 'no-store', 'X-Request-Id': requestId };
  Object.assign(headers, problem.headers);
  if (!kubernetes) {
    headers['Content-Type'] = problemMediaType;
    return { status: problem.status, headers, body: JSON.stringify(problemBody(problem, requestId)) };
  }
  // client-go repeats an answer with this header up to ten times before it shows its text: kubectl would hang for
  // minutes on a cluster that is away. It finds the same number in the body.
  const retryAfterSeconds = Number(headers['Retry-After'] ?? 0);
  delete headers['Retry-After'];
  headers['Content-Type'] = 'application/json';
  const status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `${problem.message} [${problem.code}, request ${requestId}]`,
    reason: reasons[problem.status] ?? 'Unknown',
    details: {
      causes: [
        { reason: problem.code, message: problem.message },
        { reason: 'RequestId', message: requestId },
      ],
      ...(retryAfterSeconds > 0 ? { retryAfterSeconds } : {}),
    },
    code: problem.status,
  };
  return { status: problem.status, headers, body: JSON.stringify(status) };
}
