/** Triggered by the API before every route that needs a credential; binds an invited user's first sign-in, else changes nothing. */
import type { APIGatewayAuthorizerResult, APIGatewayTokenAuthorizerEvent } from 'aws-lambda';
import { authorize } from './authorize.ts';
import { dependencies } from './deps.ts';
import { environment } from './env.ts';

const deps = dependencies(environment.parse(process.env));

export const handler = (event: APIGatewayTokenAuthorizerEvent): Promise<APIGatewayAuthorizerResult> =>
  authorize(deps, event);
