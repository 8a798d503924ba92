// Triggered once at deploy and by a daily schedule; fetches what is lacking of upstream's manifests from GitHub into the bucket of public assets.
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import { Metrics } from '@aws-lambda-powertools/metrics';
import { logMetrics } from '@aws-lambda-powertools/metrics/middleware';
import middy from '@middy/core';
import { dependencies } from './deps.ts';
import { environment } from './env.ts';
import { figures, metricNamespace, refusalError, serviceName } from './figures.ts';
import { mirrorReleases } from './mirror-releases.ts';

const logger = new Logger({ serviceName });
const metrics = new Metrics({ namespace: metricNamespace, serviceName });
const deps = dependencies(environment.parse(process.env));

/** Answers what it stored; whatever event triggers it is not looked at. Throws when a manifest was refused, after it has tried them all: the platform then tries again, and the alarm rings. */
export const handler = middy()
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .use(logMetrics(metrics))
  .handler(async () => {
    const { stored, present, refused } = await mirrorReleases(deps);
    for (const { name, value } of figures({ stored, refused })) metrics.addMetric(name, 'Count', value);
    logger.info('releases mirrored', { stored, present, refused });
    const error = refusalError(refused);
    if (error) throw error;
    return { stored, present };
  });
