// Triggered by the REST API (rows of role install-assets in core/api/route-table.ts, and whatever no row matches); changes nothing.
import { apiFunction } from '../../core/api/api-function.ts';
import { dependencies } from './deps.ts';
import { environment } from './env.ts';
import { otherwise } from './otherwise.ts';
import { handlers } from './routes.ts';

export const handler = apiFunction({
  role: 'install-assets',
  handlers: handlers(dependencies(environment.parse(process.env))),
  otherwise,
});
