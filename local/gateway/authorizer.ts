import QuickLRU from 'quick-lru';
import * as z from 'zod';
import type { Invoke } from '../function/function-process.ts';
import type { Api, ApiAuthorizer } from '../template/api.ts';
import { laptop } from '../template/intrinsics.ts';
import { GatewayError } from './gateway-response.ts';
import { proxyEvent } from './proxy-event.ts';

const answerSchema = z.object({
  principalId: z.string(),
  policyDocument: z.object({
    Statement: z.array(
      z.object({
        Effect: z.enum(['Allow', 'Deny']),
        Action: z.union([z.string(), z.array(z.string())]),
        Resource: z.union([z.string(), z.array(z.string())]),
      }),
    ),
  }),
  context: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
});
type Answer = z.infer<typeof answerSchema>;

/** A request as an authorizer is asked about it. */
type Asked = Omit<Parameters<typeof proxyEvent>[0], 'body' | 'authorizer'>;

/**
 * Runs Lambda authorizers of type REQUEST, whose one identity source is the header Authorization, as API Gateway does:
 * without that header nothing runs, and what the authorizer answers is kept by that header's text.
 */
export class Authorizers {
  readonly #api: Api;
  readonly #invoke: Invoke;
  readonly #now: () => number;
  readonly #cache = new QuickLRU<string, { answer: Answer; until: number }>({ maxSize: 10_000 });

  constructor(api: Api, invoke: Invoke, now: () => number = Date.now) {
    this.#api = api;
    this.#invoke = invoke;
    this.#now = now;
  }

  /** The authorizer's context for the function; throws the GatewayError that the client gets. */
  async authorize(id: string, asked: Asked): Promise<Record<string, unknown>> {
    const authorizer = this.#api.authorizers.get(id);
    if (!authorizer) throw new GatewayError('API_CONFIGURATION_ERROR');
    const { request, path } = asked;
    if (!request.headers.authorization) throw new GatewayError('UNAUTHORIZED');
    const methodArn = `arn:aws:execute-api:${laptop.region}:${laptop.accountId}:${this.#api.id}/${this.#api.stage}/${request.method ?? 'GET'}${path}`;
    const { policyDocument, principalId, context } = await this.#answer(authorizer, asked, methodArn);
    const matching = policyDocument.Statement.filter(
      ({ Action, Resource }) =>
        [Action].flat().some((action) => matches(action, 'execute-api:Invoke')) &&
        [Resource].flat().some((resource) => matches(resource, methodArn)),
    );
    const allowed =
      matching.some(({ Effect }) => Effect === 'Allow') && !matching.some(({ Effect }) => Effect === 'Deny');
    if (!allowed) throw new GatewayError('ACCESS_DENIED');
    return { ...context, principalId, integrationLatency: 0 };
  }

  async #answer(authorizer: ApiAuthorizer, asked: Asked, methodArn: string): Promise<Answer> {
    const {
      body: _body,
      isBase64Encoded: _coding,
      ...event
    } = proxyEvent({
      ...asked,
      body: Buffer.alloc(0),
      authorizer: undefined,
    });
    const key = JSON.stringify([authorizer.id, asked.request.headersDistinct.authorization]);
    const cached = this.#cache.get(key);
    if (cached && cached.until > this.#now()) return cached.answer;
    const result = await this.#invoke(authorizer.functionArn, {
      ...event,
      type: 'REQUEST',
      methodArn,
    });
    // The one error text that API Gateway turns into 401.
    if ('error' in result)
      throw new GatewayError(
        result.error.errorMessage === 'Unauthorized' ? 'UNAUTHORIZED' : 'AUTHORIZER_FAILURE',
      );
    const answer = answerSchema.safeParse(result.value);
    if (!answer.success) throw new GatewayError('AUTHORIZER_FAILURE');
    if (authorizer.cacheMs > 0)
      this.#cache.set(key, { answer: answer.data, until: this.#now() + authorizer.cacheMs });
    return answer.data;
  }
}

/** IAM's wildcards: `*` any text, `?` one character. */
function matches(pattern: string, text: string): boolean {
  const source = pattern
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, 'i').test(text);
}
