import type { APIGatewayProxyEvent } from 'aws-lambda';
import type * as z from 'zod';
import { Problem } from '../problem/problem.ts';
import { schemaFaults } from '../problem/schema-faults.ts';

/** A header by its name in lower case: the gateway passes names on as the client wrote them. */
export const headerOf = ({ headers }: APIGatewayProxyEvent, name: string): string | undefined =>
  Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];

/** The body's bytes, which the gateway passes on in base64 for binary media types. */
export const bodyOf = ({ body, isBase64Encoded }: APIGatewayProxyEvent): Buffer =>
  Buffer.from(body ?? '', isBase64Encoded ? 'base64' : 'utf8');

/** Checks path parameters or query; a path that does not fit is a thing that does not exist. */
export function readPart(schema: z.ZodType | undefined, value: unknown, part: 'path' | 'query'): unknown {
  if (!schema) return undefined;
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  if (part === 'path') throw new Problem('NOT_FOUND');
  throw new Problem('INVALID_REQUEST', 'The query does not fit.', { errors: schemaFaults(result.error) });
}

/** Parses and checks a JSON body: 415 for another media type, 400 for what is not JSON or does not fit. */
export function readJsonBody(schema: z.ZodType, event: APIGatewayProxyEvent): unknown {
  const type = headerOf(event, 'content-type');
  if (type !== undefined && !/^application\/(?:[\w.-]+\+)?json\s*(?:;|$)/i.test(type)) {
    throw new Problem('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/json.');
  }
  const text = bodyOf(event).toString('utf8');
  let json: unknown;
  try {
    json = text.trim() === '' ? {} : JSON.parse(text);
  } catch {
    // The parser's message quotes the body, which may hold a secret.
    throw new Problem('INVALID_JSON');
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  throw new Problem('INVALID_REQUEST', undefined, { errors: schemaFaults(result.error) });
}
