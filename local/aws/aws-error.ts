/**
 * An error that a caller is answered with, in the words of the AWS service. Each service turns it into its own protocol's
 * shape (`service-answer.ts`); whatever is not an AwsError is a fault of ours and is answered 500 InternalFailure.
 */
export class AwsError extends Error {
  readonly code: string;
  readonly status: number;
  /** Further members of the error's body, such as `Item` of a failed condition. */
  readonly members: Record<string, unknown>;
  /** Further headers of the answer. */
  readonly headers: Record<string, string>;

  constructor(
    code: string,
    message: string,
    status = 400,
    more: { members?: Record<string, unknown>; headers?: Record<string, string> } = {},
  ) {
    super(message);
    this.name = code;
    this.code = code;
    this.status = status;
    this.members = more.members ?? {};
    this.headers = more.headers ?? {};
  }
}

/** An operation that the stand-in does not have. Says so instead of pretending. */
export const notServed = (service: string, operation: string): AwsError =>
  new AwsError(
    service === 's3' ? 'NotImplemented' : 'UnknownOperationException',
    `The laptop stack's ${service} does not serve ${operation}.`,
    service === 's3' ? 501 : 400,
  );
