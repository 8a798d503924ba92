// The container's entry: started by ECS, runs until SIGTERM. Serves the tunnels of clusters, their users, their logs; writes the directory and S3.
import { randomBytes } from 'node:crypto';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { type Logger, pino } from 'pino';
import * as z from 'zod';
import { AccessRuleRepository } from '../core/access/access-rule-repository.ts';
import { patience } from '../core/aws/patience.ts';
import { ClusterRepository } from '../core/cluster/cluster-repository.ts';
import { bearerVerifier } from '../core/credential/bearer-verifier.ts';
import { callerRefresh } from '../core/credential/caller-refresh.ts';
import { IdentityRepository } from '../core/credential/identity-repository.ts';
import { KeyUse } from '../core/credential/key-use.ts';
import { CertificateDirectoryRepository } from '../core/directory/certificate-directory-repository.ts';
import { TunnelDirectoryRepository } from '../core/directory/tunnel-directory-repository.ts';
import { base32 } from '../core/tenant/identifier.ts';
import { documentClient, tenantAccess } from '../core/tenant/tenant-access.ts';
import { tenantObjects } from '../core/tenant/tenant-objects.ts';
import { startAccess } from './access/server.ts';
import { AuditRepository } from './audit/audit-repository.ts';
import { ServerCertificatesRepository } from './certificates/server-certificates-repository.ts';
import { type Environment, environment } from './env.ts';
import { LogRepository } from './ingest/log-repository.ts';
import { type TenantLimits, tenantLimitsText } from './limits/tenant-limits.ts';
import { startServer, type RunningServer } from './server.ts';

/**
 * For users' requests that run, of the 120 s between SIGTERM and SIGKILL: what is left must do for uploads, tunnels and
 * the directory. Watches do not use it up; the access side ends them after 5 s.
 */
const drainMs = 100_000;

const logger = pino({ base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'message' });

function start(env: Environment, limits: TenantLimits): Promise<RunningServer> {
  const dynamo = documentClient();
  const access = tenantAccess({
    roleArn: env.TENANT_ROLE_ARN,
    sessionName: 'tunnel',
    clients: tenantObjects,
  });
  const identities = new IdentityRepository(dynamo, env.IDENTITIES_TABLE);
  const keyUse = new KeyUse({
    identities,
    now: Date.now,
    failed: (error) => logger.warn({ err: error }, 'the day of use of an API key was not noted'),
  });
  return startServer(
    {
      certificates: new ServerCertificatesRepository(
        new SecretsManagerClient({ requestHandler: patience.answers }),
        env.TUNNEL_SECRET_ID,
      ),
      certificateDirectory: new CertificateDirectoryRepository(dynamo, env.DIRECTORY_TABLE),
      tunnelDirectory: new TunnelDirectoryRepository(dynamo, env.DIRECTORY_TABLE),
      clusters: new ClusterRepository(access, env.TENANT_TABLE),
      accessRules: new AccessRuleRepository(access, env.TENANT_TABLE),
      logs: new LogRepository(access, env.LOG_BUCKET),
      audit: new AuditRepository(access, env.LOG_BUCKET),
      verify: bearerVerifier({
        identities,
        issuer: env.OIDC_ISSUER,
        audience: env.OIDC_AUDIENCE,
        bindInvitations: false,
        // No request waits for it.
        used: (record) => void keyUse.note(record),
      }),
      refresh: callerRefresh({ identities, issuer: env.OIDC_ISSUER, now: Date.now }),
      startAccess,
      logger,
      writeFigures: (line) => void process.stdout.write(`${line}\n`),
      taskId: base32(randomBytes(10)),
      now: Date.now,
      random: Math.random,
    },
    {
      listen: {
        host: env.LISTEN_ADDRESS,
        tunnelPort: env.TUNNEL_PORT,
        accessPort: env.ACCESS_PORT,
        healthPort: env.HEALTH_PORT,
        metricsPort: env.METRICS_PORT,
      },
      limits,
    },
  );
}

/** Two signals of different kinds within this time are one wish to stop, ms. */
const sameStopMs = 1_000;

/** Drains on the first signal, leaves at once on the second. */
function stopOnSignal(running: () => Promise<RunningServer>): void {
  let asked: { readonly signal: NodeJS.Signals; readonly at: number } | undefined;
  const stop = (signal: NodeJS.Signals) => {
    // A terminal's Ctrl-C reaches a whole group: whoever supervises this process then sends it SIGTERM, too.
    if (asked && asked.signal !== signal && performance.now() - asked.at < sameStopMs) return;
    if (asked) {
      logger.warn({ event: 'stopped', signal }, 'second signal: stopped without draining');
      process.exit(1);
    }
    asked = { signal, at: performance.now() };
    logger.info({ event: 'draining', signal }, 'draining');
    void running()
      .then((server) => server.drain(drainMs))
      .then(
        () => {
          logger.info({ event: 'stopped', signal }, 'stopped');
          process.exit(0);
        },
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

// A process whose state is unknown must not go on serving tenants; ECS starts another.
process.on('uncaughtException', (error) => fail(logger, 'uncaught exception', error));
process.on('unhandledRejection', (error) => fail(logger, 'unhandled rejection', error));

const parsed = environment.safeParse(process.env);
if (!parsed.success) {
  fail(logger, `the environment does not fit: ${z.prettifyError(parsed.error)}`, undefined);
}
const limits = tenantLimitsText.safeParse(parsed.data.TENANT_LIMITS ?? '{}');
if (!limits.success) fail(logger, `TENANT_LIMITS does not fit: ${z.prettifyError(limits.error)}`, undefined);
const starting = start(parsed.data, limits.data);
stopOnSignal(() => starting);
try {
  const { ports } = await starting;
  logger.info({ event: 'started', ports }, 'started');
} catch (error) {
  fail(logger, 'could not start', error);
}
