// Triggered by the REST API (rows of role image-scan in core/api/route-table.ts); changes the tenant's scan reports in S3, and its images and image policy in DynamoDB.
import { apiFunction } from '../../core/api/api-function.ts';
import { dependencies } from './deps.ts';
import { environment } from './env.ts';
import { handlers } from './routes.ts';

export const handler = apiFunction({
  role: 'image-scan',
  handlers: handlers(dependencies(environment.parse(process.env))),
});
