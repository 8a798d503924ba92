// Triggered at deploy, before the tunnel service starts, and by a schedule; makes and rotates our own certificates in Secrets Manager and their public half in the directory table.
import { Logger } from '@aws-lambda-powertools/logger';
import { injectLambdaContext } from '@aws-lambda-powertools/logger/middleware';
import middy from '@middy/core';
import { dependencies } from './deps.ts';
import { ensureCertificates } from './ensure-certificates.ts';
import { environment } from './env.ts';

const logger = new Logger({ serviceName: 'certificates' });
const deps = dependencies(environment.parse(process.env), (change) => {
  logger.info('certificate changed', change);
});

/** Answers what it changed; whatever event triggers it is not looked at. Errors propagate: the deployment stops, the schedule's alarm rings. */
export const handler = middy()
  .use(injectLambdaContext(logger, { resetKeys: true }))
  .handler(() => ensureCertificates(deps));
