import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Session } from './sessions.ts';
import { AwsError } from './aws-error.ts';

/** One authenticated request to one service. */
export type AwsCall = {
  readonly service: string;
  readonly requestId: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  /** The path as sent, still encoded. */
  readonly rawPath: string;
  readonly query: URLSearchParams;
  readonly caller: Session;
  /** The body, already checked against the signature; undefined for S3, which reads the request's stream itself. */
  readonly body: Buffer | undefined;
  /** What the signature covers of an S3 body: a hex SHA-256, `UNSIGNED-PAYLOAD` or `STREAMING-…`. */
  readonly payloadHash: string;
};

export type Answer = {
  status: number;
  headers?: Record<string, string | number>;
  body?: string | Buffer;
};

/** One service behind the endpoint. Either returns an answer or writes to `call.response` itself and returns nothing. */
export type AwsService = {
  handle(call: AwsCall): Promise<Answer | undefined>;
  /** The error shape of the service's protocol. */
  failure(error: AwsError, requestId: string): Answer;
};

/** The operation's name in the AWS JSON protocols: `X-Amz-Target: Service_20120810.Operation`. */
export function jsonOperation(call: AwsCall): string {
  const target = call.request.headers['x-amz-target'];
  const operation = typeof target === 'string' ? target.slice(target.lastIndexOf('.') + 1) : '';
  if (!/^[A-Z][A-Za-z]+$/.test(operation))
    throw new AwsError('UnknownOperationException', 'The request names no operation.');
  return operation;
}

/** The body of an AWS JSON request. Throws SerializationException. */
export function jsonInput(call: AwsCall): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(call.body?.toString('utf8') || '{}');
  } catch {
    throw new AwsError('SerializationException', 'The request body is not JSON.');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new AwsError('SerializationException', 'The request body is not a JSON object.');
  }
  return parsed as Record<string, unknown>;
}

/** `version`: 1.0 for DynamoDB, 1.1 for KMS and Secrets Manager. */
export const jsonAnswer = (version: '1.0' | '1.1', value: unknown): Answer => ({
  status: 200,
  headers: { 'content-type': `application/x-amz-json-${version}` },
  body: JSON.stringify(value),
});

export const jsonFailure =
  (version: '1.0' | '1.1', namespace = '') =>
  (error: AwsError): Answer => ({
    status: error.status,
    headers: {
      'content-type': `application/x-amz-json-${version}`,
      'x-amzn-errortype': error.code,
      ...error.headers,
    },
    body: JSON.stringify({
      __type: namespace ? `${namespace}#${error.code}` : error.code,
      message: error.message,
      ...error.members,
    }),
  });
