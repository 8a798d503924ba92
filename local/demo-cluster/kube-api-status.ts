import type { JsonObject } from './kube-json.ts';

const codes = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  InternalError: 500,
  Timeout: 504,
} as const;

/** The machine-readable cause of a failure, as `metav1.Status.reason` names it. */
export type StatusReason = keyof typeof codes;

/** A failure that the API answers as a `metav1.Status`; `reason` is its stable code. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  readonly reason: StatusReason;
  readonly details: JsonObject | undefined;

  constructor(reason: StatusReason, message: string, details?: JsonObject) {
    super(message);
    this.reason = reason;
    this.details = details;
  }

  get code(): number {
    return codes[this.reason];
  }

  /** The body: `metav1.Status` with status Failure. */
  toStatus(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details ? { details: this.details } : {}),
      code: this.code,
    };
  }
}

/** How the API names a resource in its messages: `pods`, `deployments.apps`. */
export function qualifiedName(resource: { group: string; plural: string }): string {
  return resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
}

export function notFound(resource: { group: string; plural: string }, name: string): KubeError {
  return new KubeError('NotFound', `${qualifiedName(resource)} "${name}" not found`, {
    name,
    ...(resource.group ? { group: resource.group } : {}),
    kind: resource.plural,
  });
}

/** What the API answers for a path that no resource serves. */
export function noSuchPath(): KubeError {
  return new KubeError('NotFound', 'the server could not find the requested resource', {});
}

export function conflict(resource: { group: string; plural: string }, name: string, why: string): KubeError {
  return new KubeError(
    'Conflict',
    `Operation cannot be fulfilled on ${qualifiedName(resource)} "${name}": ${why}`,
    {
      name,
      ...(resource.group ? { group: resource.group } : {}),
      kind: resource.plural,
    },
  );
}

/** 422 with one cause, as field validation reports it. */
export function invalid(
  resource: { group: string; kind: string },
  name: string,
  field: string,
  why: string,
): KubeError {
  const kind = resource.group ? `${resource.kind}.${resource.group}` : resource.kind;
  return new KubeError('Invalid', `${kind} "${name}" is invalid: ${field}: ${why}`, {
    name,
    ...(resource.group ? { group: resource.group } : {}),
    kind: resource.kind,
    causes: [{ reason: 'FieldValueInvalid', message: why, field }],
  });
}
