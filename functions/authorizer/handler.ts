/** Triggered by the API before every route that needs a credential; binds an invited user's first sign-in, notes the day on which an API key was used, else changes nothing. */
import type { APIGatewayAuthorizerResult, APIGatewayRequestAuthorizerEvent } from 'aws-lambda';
import { authorize } from './authorize.ts';
import { dependencies } from './deps.ts';
import { environment } from './env.ts';

const deps = dependencies(environment.parse(process.env));

export const handler = (event: APIGatewayRequestAuthorizerEvent): Promise<APIGatewayAuthorizerResult> =>
  authorize(deps, event);
