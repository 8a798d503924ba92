/**
 * Every error that a client may see: a stable code, its HTTP status and its title.
 * Codes are part of the API (RFC 9457 `code` member): they may be added, never renamed.
 */
export const problemCodes = {
  INVALID_REQUEST: [400, 'The request does not fit the schema'],
  INVALID_JSON: [400, 'The body is not valid JSON'],
  INVALID_CURSOR: [400, 'The cursor is not one of this list'],
  CSR_MALFORMED: [400, 'The certificate request cannot be read'],
  CSR_SIGNATURE_INVALID: [400, 'The certificate request is not signed by its own key'],
  CSR_KEY_WEAK: [400, 'The key of the certificate request is too weak or of a kind that Guardian cannot use'],
  CLUSTER_NAME_INVALID: [400, 'The cluster name is not 1 to 63 characters of [a-z0-9.-]'],
  CLUSTER_NAME_NOT_ALLOWED: [403, 'The registration token is bound to another cluster name'],
  REPORT_MALFORMED: [400, 'The scan report cannot be read'],
  REPORT_UNSUPPORTED: [400, 'The scan report is of a format that is not supported'],
  REPORT_DIGEST_MISMATCH: [400, 'The report is about another image than the request names'],
  REPORT_DIGEST_MISSING: [400, 'Neither the report nor the request names the digest of the image'],
  UNAUTHENTICATED: [401, 'The credential is missing or not valid'],
  ACCESS_DENIED: [403, 'The credential does not allow this'],
  CLUSTER_GRANTS_NO_SUCH_RIGHT: [403, 'The cluster has not granted this right to its Guardian'],
  PROOF_INVALID: [403, 'The proof is not that of a key of the cluster, for this request'],
  PROOF_STALE: [403, 'The proof was made more than 5 minutes ago, or later than now'],
  NOT_A_MEMBER: [403, 'The signed-in user belongs to no tenant'],
  NOT_FOUND: [404, 'There is no such thing'],
  ORIGIN_NOT_ALLOWED: [403, 'A page of another origin may not do this'],
  METHOD_NOT_ALLOWED: [405, 'The method is not allowed here'],
  NOT_OFFERED: [406, 'This form of the Kubernetes API is not offered through the tunnel'],
  REQUEST_TIMEOUT: [408, 'The request stopped before its end'],
  CLUSTER_NAME_TAKEN: [409, 'Another cluster of this tenant has that name'],
  TOKEN_SPENT: [409, 'The registration token has been used'],
  TOKEN_NOT_REVOCABLE: [409, 'The registration token has been used: disconnect its cluster instead'],
  LIMIT_REACHED: [409, 'There are as many of these as there may be'],
  CSR_KEY_REUSED: [409, 'The cluster has a certificate for this key: a renewal needs a new one'],
  CERTIFICATE_IN_USE: [409, 'The certificate is in use, or no newer one has connected'],
  CERTIFICATE_EXPIRED: [409, 'The cluster has no valid certificate any more'],
  CONFLICT: [409, 'Somebody else changed this at the same time'],
  PAYLOAD_TOO_LARGE: [413, 'The request is too large'],
  UNSUPPORTED_MEDIA_TYPE: [415, 'The media type of the body is not supported'],
  UPGRADE_NOT_SUPPORTED: [501, 'Connections are not upgraded to this protocol here'],
  TOO_MANY_REQUESTS: [429, 'Too many requests'],
  HEADERS_TOO_LARGE: [431, 'The request headers are too large'],
  INTERNAL: [500, 'Something went wrong here'],
  BAD_GATEWAY: [502, 'The cluster did not answer properly'],
  UNAVAILABLE: [503, 'A part that this needs does not answer'],
  AUDIT_UNAVAILABLE: [503, 'What is done cannot be recorded at present'],
  CLUSTER_NOT_CONNECTED: [503, 'The cluster is not connected'],
  TIMEOUT: [504, 'The answer took too long'],
} as const satisfies Record<string, readonly [status: number, title: string]>;

export type ProblemCode = keyof typeof problemCodes;

/** The body of an `application/problem+json` answer (RFC 9457 §3, with our `code` and `requestId`). */
export type ProblemBody = {
  type: string;
  title: string;
  status: number;
  code: ProblemCode;
  detail?: string;
  requestId: string;
  errors?: readonly { path: string; message: string }[];
};

type ProblemExtras = {
  /** Headers of the answer, e.g. `Retry-After`. */
  headers?: Readonly<Record<string, string>>;
  /** What is wrong with which member of the request. */
  errors?: readonly { path: string; message: string }[];
  cause?: unknown;
};

/** The one error class whose message may be shown to a client. Everything else is answered as INTERNAL. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly code: ProblemCode;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly errors: ProblemExtras['errors'];

  constructor(code: ProblemCode, detail?: string, extras: ProblemExtras = {}) {
    super(detail ?? problemCodes[code][1], { cause: extras.cause });
    this.code = code;
    this.status = problemCodes[code][0];
    this.headers = extras.headers ?? {};
    this.errors = extras.errors;
  }
}

export const problemMediaType = 'application/problem+json';

/** The RFC 9457 body of a problem. `requestId` is what the client quotes when it asks us about it. */
export function problemBody(problem: Problem, requestId: string): ProblemBody {
  const title = problemCodes[problem.code][1];
  return {
    type: `urn:cattery:problem:${problem.code}`,
    title,
    status: problem.status,
    code: problem.code,
    ...(problem.message === title ? {} : { detail: problem.message }),
    requestId,
    ...(problem.errors ? { errors: problem.errors } : {}),
  };
}
