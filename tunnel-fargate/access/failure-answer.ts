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
  408: 'Timeout',
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
    /\.k8s\.io\b|vnd\.kubernetes|proto-openapi/i.test(accept) ||
    // Both ways of asking for exec, attach and port-forward, where kubectl does not give its name.
    /\.k8s\.io\b/i.test(
      String(headers['sec-websocket-protocol'] ?? headers['x-stream-protocol-version'] ?? ''),
    )
  );
}

/** Codes of gRPC by HTTP status (https://grpc.github.io/grpc/core/md_doc_statuscodes.html). */
const grpcCodes: Readonly<Record<number, number>> = {
  400: 3, // INVALID_ARGUMENT
  401: 16, // UNAUTHENTICATED
  403: 7, // PERMISSION_DENIED
  404: 5, // NOT_FOUND
  405: 12, // UNIMPLEMENTED
  408: 4, // DEADLINE_EXCEEDED
  409: 10, // ABORTED
  413: 8, // RESOURCE_EXHAUSTED
  415: 3,
  429: 8,
  431: 8,
  500: 13, // INTERNAL
  501: 12,
  502: 14, // UNAVAILABLE
  503: 14,
  504: 4,
};

/** What a gRPC client reads: a head without a body that carries the code and the words (“Trailers-Only”). */
export function grpcFailureAnswer(problem: Problem, requestId: string): FailureAnswer {
  const message = encodeURIComponent(`${problem.message} [${problem.code}, request ${requestId}]`);
  return {
    status: 200,
    headers: {
      'Content-Type': 'application/grpc',
      'Grpc-Status': String(grpcCodes[problem.status] ?? 2),
      'Grpc-Message': message.replaceAll('%20', ' '),
      'Cache-Control': 'no-store',
      'X-Request-Id': requestId,
    },
    body: '',
  };
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
  // 429 it repeats rightly: API servers answer so themselves.
  if (problem.status !== 429) delete headers['Retry-After'];
  const message = `${problem.message} [${problem.code}, request ${requestId}]`;
  if (problem.code === 'NOT_OFFERED') {
    // Documents of the API client-go reads raw: of an error it then shows the text, and only where it is one.
    headers['Content-Type'] = 'text/plain; charset=utf-8';
    return { status: problem.status, headers, body: message };
  }
  headers['Content-Type'] = 'application/json';
  const status = {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
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
