import type { SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import type { ServerCertificates } from '../core/certificate/server-certificates.ts';
import type { AccessRuleRepository } from '../core/access/access-rule-repository.ts';
import type { ClusterRepository } from '../core/cluster/cluster-repository.ts';
import type { BearerVerifier } from '../core/credential/bearer-verifier.ts';
import type { CallerRefresh } from '../core/credential/caller-refresh.ts';
import type { CertificateDirectoryRepository } from '../core/directory/certificate-directory-repository.ts';
import type { TunnelDirectoryRepository } from '../core/directory/tunnel-directory-repository.ts';
import type { startAccess } from './access/server.ts';
import { AcceptedCertificates } from './agent/accepted-certificates.ts';
import { identification } from './agent/identity.ts';
import { RevocationWatch } from './agent/revocation-watch.ts';
import { TunnelServer, type TunnelServerOptions } from './agent/tunnel-server.ts';
import { Tunnels } from './agent/tunnels.ts';
import { WindowMemory, type WindowMemoryOptions } from './agent/window-memory.ts';
import type { AuditRepository } from './audit/audit-repository.ts';
import { AuditTrail } from './audit/audit-trail.ts';
import { CertificateStore } from './certificates/certificate-store.ts';
import type { ServerCertificatesRepository } from './certificates/server-certificates-repository.ts';
import { monotonicNonce, TunnelAnnouncement } from './directory/announcement.ts';
import { TaskLeaseKeeper } from './directory/lease.ts';
import { OneTaskRouter } from './directory/router.ts';
import { health } from './health.ts';
import { ByteBudget } from './ingest/byte-budget.ts';
import { FlowIngest } from './ingest/flow-ingest.ts';
import { LogEndpoint } from './ingest/log-endpoint.ts';
import type { LogRepository } from './ingest/log-repository.ts';
import { InternalServer } from './internal-server.ts';
import { defaultTenantLimits, type TenantLimits } from './limits/tenant-limits.ts';
import { TenantUsage } from './limits/tenant-usage.ts';
import { Observation } from './metrics/observation.ts';

export type ServerDependencies = {
  readonly certificates: Pick<ServerCertificatesRepository, 'read'>;
  readonly certificateDirectory: Pick<CertificateDirectoryRepository, 'find' | 'revokedSince'>;
  readonly tunnelDirectory: Pick<
    TunnelDirectoryRepository,
    'announce' | 'withdraw' | 'locate' | 'lease' | 'renewLease'
  >;
  readonly clusters: Pick<ClusterRepository, 'find'>;
  readonly accessRules: Pick<AccessRuleRepository, 'all'>;
  readonly logs: Pick<LogRepository, 'put'>;
  readonly audit: Pick<AuditRepository, 'put'>;
  readonly verify: BearerVerifier;
  readonly refresh: CallerRefresh;
  readonly startAccess: typeof startAccess;
  readonly logger: Logger;
  /** Writes a line to standard output, where CloudWatch looks for figures; default: not written. */
  readonly writeFigures?: (line: string) => void;
  /** Of this task; new with every start. */
  readonly taskId: string;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** 0 ≤ random() < 1. */
  readonly random: () => number;
};

export type ServerOptions = {
  readonly listen: {
    readonly host: string;
    readonly tunnelPort: number;
    readonly accessPort: number;
    readonly healthPort: number;
    /** The figures in Prometheus' format; no load balancer leads here. */
    readonly metricsPort: number;
  };
  /** How often the secret, the revocations and the lease are looked after, ms. */
  readonly certificatePollMs?: number;
  readonly revocationPollMs?: number;
  readonly leaseRenewMs?: number;
  readonly leaseValidMs?: number;
  /** Between two samples of every tunnel's round trip, ms. */
  readonly sampleMs?: number;
  /** Memory for uploads, bytes. */
  readonly ingestBytes?: number;
  readonly ingestBytesPerCluster?: number;
  readonly maxBodyBytes?: number;
  /** Memory for what clusters send through their tunnels and nobody has read yet. */
  readonly windowMemory?: WindowMemoryOptions;
  /** Of each tenant. */
  readonly limits?: TenantLimits;
  readonly agent?: Pick<TunnelServerOptions, 'handshakeTimeoutMs' | 'pace' | 'refusals' | 'tunnel'>;
};

export type RunningServer = {
  readonly ports: {
    readonly tunnel: number;
    readonly access: number;
    readonly health: number;
    readonly metrics: number;
  };
  readonly tunnels: Tunnels;
  readonly limits: Pick<TenantUsage, 'refused'>;
  /** What uploads hold in memory now. */
  readonly budget: Pick<ByteBudget, 'inUse'>;
  /** What clusters may leave unread in memory now. */
  readonly windowMemory: Pick<WindowMemory, 'inUse'>;
  /**
   * Stops in order: not ready, no new connections, running requests end (watches and followed logs are ended after 5 s,
   * what else still runs after `deadlineMs` is cut), running uploads are stored, tunnels are closed and withdrawn.
   */
  drain(deadlineMs: number): Promise<void>;
};

/** How long uploads that run may take after the users' requests have ended, ms. */
const uploadDrainMs = 10_000;

/** How long the last audit records may take after that, ms. */
const auditDrainMs = 8_000;

/** Puts the rooms together: the agents' port, the users' port, what clusters send, the directory. Rejects when it cannot start. */
export async function startServer(
  dependencies: ServerDependencies,
  options: ServerOptions,
): Promise<RunningServer> {
  const { clusters, verify, logger, taskId, now, random } = dependencies;
  const { listen } = options;
  const undo: (() => unknown)[] = [];
  let state: 'starting' | 'ready' | 'draining' = 'starting';
  try {
    const healthServer = new InternalServer({
      listen: { host: listen.host, port: listen.healthPort },
      answer: health(() => state === 'ready'),
      onError: (error) => logger.error({ err: error }, 'the health port failed'),
    });
    undo.push(() => healthServer.close());
    const healthPort = await healthServer.listen();

    const observation = new Observation({
      listen: { host: listen.host, port: listen.metricsPort },
      logger,
      now,
      random,
      ...(options.sampleMs === undefined ? {} : { sampleMs: options.sampleMs }),
      ...(dependencies.writeFigures ? { write: dependencies.writeFigures } : {}),
    });
    undo.push(() => observation.close());
    const metricsPort = await observation.listen();
    const tunnelDirectory = observation.ofTunnelDirectory(dependencies.tunnelDirectory);
    const certificateDirectory = observation.ofCertificateDirectory(dependencies.certificateDirectory);

    const certificates = await CertificateStore.load({
      repository: dependencies.certificates,
      logger,
      random,
      ...(options.certificatePollMs === undefined ? {} : { pollMs: options.certificatePollMs }),
    });
    undo.push(() => certificates.close());

    const lease = new TaskLeaseKeeper({
      directory: tunnelDirectory,
      taskId,
      address: '',
      now,
      logger,
      ...(options.leaseRenewMs === undefined ? {} : { renewMs: options.leaseRenewMs }),
      ...(options.leaseValidMs === undefined ? {} : { validMs: options.leaseValidMs }),
    });
    await lease.start();
    undo.push(() => lease.close());

    const nonce = monotonicNonce(now);
    const tunnels = new Tunnels({
      logger,
      now,
      announce: ({ clusterId, identity: { fingerprint }, openedAt }, onSuperseded) =>
        new TunnelAnnouncement({
          directory: tunnelDirectory,
          clusterId,
          fingerprint,
          taskId,
          nonce: nonce(),
          since: openedAt,
          now,
          logger,
          onSuperseded,
        }),
    });
    const budget = new ByteBudget({
      totalBytes: options.ingestBytes ?? 268_435_456,
      clusterBytes: options.ingestBytesPerCluster ?? 67_108_864,
    });
    const ingest = new FlowIngest({
      logs: observation.ofObjects(dependencies.logs, 'flows'),
      budget,
      logger,
      now,
      onUpload: observation.onUpload,
      ...(options.maxBodyBytes === undefined ? {} : { maxBodyBytes: options.maxBodyBytes }),
    });
    const logEndpoint = new LogEndpoint({
      certificate: certificates.current.logEndpoint,
      ingest,
      logger,
    });

    const accepted = new AcceptedCertificates({ now });
    const revocations = new RevocationWatch({
      directory: certificateDirectory,
      tunnels,
      accepted,
      now,
      logger,
      ...(options.revocationPollMs === undefined ? {} : { intervalMs: options.revocationPollMs }),
    });
    revocations.start();
    undo.push(() => revocations.close());

    const limits = new TenantUsage({ limits: options.limits ?? defaultTenantLimits, now });
    const audit = new AuditTrail({
      sink: observation.ofObjects(dependencies.audit, 'audit'),
      taskId,
      now,
      logger,
    });
    undo.push(() => audit.close(0));

    const access = await dependencies.startAccess({
      tls: () => accessTls(certificates.current),
      listen: { host: listen.host, port: listen.accessPort },
      verify,
      refresh: dependencies.refresh,
      clusters,
      rulesOf: (tenantId) => dependencies.accessRules.all(tenantId),
      limits,
      audit,
      router: new OneTaskRouter({ links: tunnels, directory: tunnelDirectory, now }),
      logger,
      now,
      onRequest: observation.onRequest,
      onDropped: observation.onDropped,
      onRefused: observation.onRefused,
    });
    undo.push(() => access.close());

    const windowMemory = new WindowMemory(options.windowMemory);
    const agents = new TunnelServer({
      listen: { host: listen.host, port: listen.tunnelPort },
      certificate: certificates.current.tunnel,
      identify: identification({ directory: certificateDirectory, accepted, now }),
      tunnels,
      limits,
      windowMemory,
      observer: observation.tunnels,
      onStream: (stream, tunnel) => {
        const release = limits.admitClusterStream(tunnel.tenantId);
        if (!release) {
          // RST, never an end of the tunnel: the cluster may try again.
          stream.reset();
          return;
        }
        stream.once('close', release);
        logEndpoint.accept(stream, tunnel);
      },
      logger,
      now,
      ...options.agent,
    });
    undo.push(() => agents.close());
    const tunnelPort = await agents.listen();

    observation.start({
      tunnels,
      agents,
      access,
      revocations,
      certificates,
      ingestMemory: budget,
      windowMemory,
      audit,
      limits,
    });

    certificates.onChange(({ tunnel, logEndpoint: endpoint }) => {
      agents.useCertificate(tunnel);
      logEndpoint.useCertificate(endpoint);
      access.reloadTls();
    });

    const drain = async (deadlineMs: number) => {
      state = 'draining';
      // One step that fails must not keep the next from running: tunnels that are cut instead of closed restart pods.
      const steps: readonly (() => Promise<void> | void)[] = [
        () => agents.close(),
        () => access.drain(deadlineMs),
        () =>
          Promise.all([logEndpoint.drain(uploadDrainMs), audit.close(auditDrainMs)]).then(() => undefined),
        () => tunnels.closeAll('SHUTDOWN'),
        () => revocations.close(),
        () => lease.close(),
        // Its last reading may take a while; nobody waits for it by now.
        () => certificates.close(),
        () => access.close(),
        () => observation.close(),
        () => healthServer.close(),
      ];
      for (const step of steps) {
        try {
          await step();
        } catch (error) {
          logger.error({ err: error }, 'a part did not stop in order');
        }
      }
    };
    let draining: Promise<void> | undefined;
    state = 'ready';
    return {
      ports: { tunnel: tunnelPort, access: access.port, health: healthPort, metrics: metricsPort },
      tunnels,
      limits,
      budget,
      windowMemory,
      drain: (deadlineMs) => (draining ??= drain(deadlineMs)),
    };
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

const accessTls = ({ access }: ServerCertificates): SecureContextOptions => ({
  cert: access.certificate,
  key: access.key,
});
