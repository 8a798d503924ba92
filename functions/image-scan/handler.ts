// Triggered by the REST API (rows of role image-scan in core/api/route-table.ts) and, when a large report has been put into the scan bucket, by EventBridge; changes the tenant's scan reports in S3, and its images, image policy and uploads in DynamoDB.
import type { APIGatewayProxyEvent, Context } from 'aws-lambda';
import { apiFunction } from '../../core/api/api-function.ts';
import { dependencies } from './deps.ts';
import { environment } from './env.ts';
import { handlers } from './routes.ts';
import { objectCreated, takeUpload } from './take-upload.ts';

const deps = dependencies(environment.parse(process.env));
const answer = apiFunction({ role: 'image-scan', handlers: handlers(deps) });

/** A request of the API never has these members at its top: what is in it stands in `body`, `headers` and the like. */
export const handler = async (event: unknown, context: Context): Promise<unknown> => {
  const created = objectCreated.safeParse(event);
  if (created.success) return takeUpload(deps, created.data);
  return answer(event as APIGatewayProxyEvent, context);
};
