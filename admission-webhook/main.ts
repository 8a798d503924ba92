// The container's other entry: started by a user's cluster, runs until SIGTERM. Answers its API server's reviews; writes one Secret and one caBundle.
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Logger, pino } from 'pino';
import * as z from 'zod';
import { bundleKeySet } from '../core/admission/bundle-key.ts';
import { type Environment, environment } from './env.ts';
import { kubeApi } from './kubernetes/kube-api.ts';
import { bundleClient } from './knowledge/bundle-client.ts';
import type { BundleOrigin } from './knowledge/bundle-part.ts';
import { BundleStore } from './knowledge/bundle-store.ts';
import { type RunningWebhook, startWebhook } from './webhook.ts';

/** Until every API server has learned that this replica ends. */
const drainMs = 10_000;

const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'message' });

function start(env: Environment): Promise<RunningWebhook> {
  const host = env.KUBERNETES_SERVICE_HOST;
  const kube = kubeApi({
    url: `https://${host.includes(':') ? `[${host}]` : host}:${env.KUBERNETES_SERVICE_PORT}`,
    accountDirectory: env.SERVICE_ACCOUNT_DIRECTORY,
    now: Date.now,
  });
  const origin = async (): Promise<BundleOrigin> => ({
    keys: bundleKeySet.parse(JSON.parse(await readFile(env.BUNDLE_KEYS_FILE, 'utf8'))),
    issuer: env.API_URL,
    tenantId: env.TENANT_ID,
  });
  return startWebhook(
    {
      kube,
      ask: bundleClient({
        apiUrl: env.API_URL,
        readKey: async () => (await readFile(env.API_KEY_FILE, 'utf8')).trim(),
      }),
      store: new BundleStore(env.DATA_DIRECTORY),
      origin,
      logger,
      now: Date.now,
      random: Math.random,
      randomBytes,
    },
    {
      listen: {
        ...(env.LISTEN_ADDRESS === undefined ? {} : { host: env.LISTEN_ADDRESS }),
        reviewPort: env.REVIEW_PORT,
        internalPort: env.INTERNAL_PORT,
      },
      tls: {
        secret: `/api/v1/namespaces/${env.NAMESPACE}/secrets/${env.TLS_SECRET}`,
        configuration: `/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/${env.WEBHOOK_CONFIGURATION}`,
        names: env.TLS_NAMES,
      },
      tlsEveryMs: env.CERTIFICATE_CHECK_SECONDS * 1_000,
      pollEveryMs: env.BUNDLE_POLL_SECONDS * 1_000,
    },
  );
}

/** Answers on for a while after the first signal, leaves at once on the second. */
function stopOnSignal(running: () => Promise<RunningWebhook>): void {
  let isAsked = false;
  const stop = (signal: NodeJS.Signals) => {
    if (isAsked) process.exit(1);
    isAsked = true;
    logger.info({ event: 'stopping', signal }, 'stopping');
    void running()
      .then((webhook) => webhook.close(drainMs))
      .then(
        () => process.exit(0),
        (error: unknown) => fail(logger, 'could not stop in order', error),
      );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

function fail(log: Logger, message: string, error: unknown): never {
  log.fatal({ err: error }, message);
  process.exit(1);
}

// A process whose state is unknown must not go on deciding; the kubelet starts another, which knows what is on its disk.
process.on('uncaughtException', (error) => fail(logger, 'uncaught exception', error));
process.on('unhandledRejection', (error) => fail(logger, 'unhandled rejection', error));

const parsed = environment.safeParse(process.env);
if (!parsed.success) {
  fail(logger, `the environment does not fit: ${z.prettifyError(parsed.error)}`, undefined);
}
const starting = start(parsed.data);
stopOnSignal(() => starting);
try {
  const { internalPort, reviewPort } = await starting;
  logger.info({ event: 'started', internalPort }, 'started');
  logger.info({ event: 'listening', reviewPort: await reviewPort }, 'reviews can be asked');
} catch (error) {
  fail(logger, 'could not start', error);
}
