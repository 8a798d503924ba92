// Triggered by the REST API (rows of role admission in core/api/route-table.ts); changes the tenant's admission policy in DynamoDB.
import { apiFunction } from '../../core/api/api-function.ts';
import { dependencies } from './deps.ts';
import { environment } from './env.ts';
import { handlers } from './routes.ts';

export const handler = apiFunction({
  role: 'admission',
  handlers: handlers(dependencies(environment.parse(process.env))),
});
