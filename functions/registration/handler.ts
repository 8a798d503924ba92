/** Triggered by the API (tokens, registrations, clusters); changes the tenant's clusters, their credentials and the directory. */
import { apiFunction } from '../../core/api/api-function.ts';
import { dependencies } from './deps.ts';
import { environment } from './env.ts';
import { handlers } from './routes.ts';

const deps = dependencies(environment.parse(process.env));

export const handler = apiFunction({ role: 'registration', handlers: handlers(deps), logger: deps.logger });
