import type { SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import type { ServerCertificates } from '../core/certificate/server-certificates.ts';
import type { ClusterRepository } from '../core/cluster/cluster-repository.ts';
import type { BearerVerifier } from '../core/credential/bearer-verifier.ts';
import type { CertificateDirectoryRepository } from '../core/directory/certificate-directory-repository.ts';
import type { TunnelDirectoryRepository } from '../core/directory/tunnel-directory-repository.ts';
import type { startAccess } from './access/server.ts';
import { RevocationWatch } from './agent/revocation-watch.ts';
import { TunnelServer, type TunnelServerOptions } from './agent/tunnel-server.ts';
import { Tunnels } from './agent/tunnels.ts';
import { CertificateStore } from './certificates/certificate-store.ts';
import type { ServerCertificatesRepository } from './certificates/server-certificates-repository.ts';
import { monotonicNonce, TunnelAnnouncement } from './directory/announcement.ts';
import { TaskLeaseKeeper } from './directory/lease.ts';
import { OneTaskRouter } from './directory/router.ts';
import { HealthServer } from './health.ts';
import { ByteBudget } from './ingest/byte-budget.ts';
import { LogEndpoint } from './ingest/log-endpoint.ts';
import type { LogRepository } from './ingest/log-repository.ts';

export type ServerDependencies = {
  readonly certificates: Pick<ServerCertificatesRepository, 'read'>;
  readonly certificateDirectory: Pick<CertificateDirectoryRepository, 'find' | 'revokedSince'>;
  readonly tunnelDirectory: Pick<
    TunnelDirectoryRepository,
    'announce' | 'withdraw' | 'locate' | 'lease' | 'renewLease'
  >;
  readonly clusters: Pick<ClusterRepository, 'find'>;
  readonly logs: Pick<LogRepository, 'put'>;
  readonly verify: BearerVerifier;
  readonly startAccess: typeof startAccess;
  readonly logger: Logger;
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
  };
  /** How often the secret, the revocations and the lease are looked after, ms. */
  readonly certificatePollMs?: number;
  readonly revocationPollMs?: number;
  readonly leaseRenewMs?: number;
  readonly leaseValidMs?: number;
  /** Memory for uploads, bytes. */
  readonly ingestBytes?: number;
  readonly ingestBytesPerCluster?: number;
  readonly maxBodyBytes?: number;
  readonly agent?: Pick<TunnelServerOptions, 'handshakeTimeoutMs' | 'pace' | 'refusals' | 'tunnel'>;
};

export type RunningServer = {
  readonly ports: { readonly tunnel: number; readonly access: number; readonly health: number };
  readonly tunnels: Tunnels;
  /** What uploads hold in memory now. */
  readonly budget: Pick<ByteBudget, 'inUse'>;
  /**
   * Stops in order: not ready, no new connections, running requests end (watches and followed logs are ended after 5 s,
   * what else still runs after `deadlineMs` is cut), running uploads are stored, tunnels are closed and withdrawn.
   */
  drain(deadlineMs: number): Promise<void>;
};

/** How long uploads that run may take after the users' requests have ended, ms. */
const uploadDrainMs = 10_000;

/** Puts the rooms together: the agents' port, the users' port, what clusters send, the directory. Rejects when it cannot start. */
export async function startServer(
  dependencies: ServerDependencies,
  options: ServerOptions,
): Promise<RunningServer> {
  const { tunnelDirectory, certificateDirectory, clusters, verify, logger, taskId, now, random } =
    dependencies;
  const { listen } = options;
  const undo: (() => unknown)[] = [];
  let state: 'starting' | 'ready' | 'draining' = 'starting';
  try {
    const health = new HealthServer({
      listen: { host: listen.host, port: listen.healthPort },
      ready: () => state === 'ready',
    });
    undo.push(() => health.close());
    const healthPort = await health.listen();

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
      announce: ({ clusterId, openedAt }, onSuperseded) =>
        new TunnelAnnouncement({
          directory: tunnelDirectory,
          clusterId,
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
    const logEndpoint = new LogEndpoint({
      certificate: certificates.current.logEndpoint,
      logs: dependencies.logs,
      budget,
      logger,
      now,
      ...(options.maxBodyBytes === undefined ? {} : { maxBodyBytes: options.maxBodyBytes }),
    });

    const revocations = new RevocationWatch({
      directory: certificateDirectory,
      tunnels,
      now,
      logger,
      ...(options.revocationPollMs === undefined ? {} : { intervalMs: options.revocationPollMs }),
    });
    revocations.start();
    undo.push(() => revocations.close());

    const access = await dependencies.startAccess({
      tls: () => accessTls(certificates.current),
      listen: { host: listen.host, port: listen.accessPort },
      verify,
      clusters,
      router: new OneTaskRouter({ links: tunnels, directory: tunnelDirectory, now }),
      logger,
      now,
    });
    undo.push(() => access.close());

    const agents = new TunnelServer({
      listen: { host: listen.host, port: listen.tunnelPort },
      certificate: certificates.current.tunnel,
      directory: certificateDirectory,
      tunnels,
      onStream: (stream, tunnel) => logEndpoint.accept(stream, tunnel),
      logger,
      now,
      ...options.agent,
    });
    undo.push(() => agents.close());
    const tunnelPort = await agents.listen();

    certificates.onChange(({ tunnel, logEndpoint: endpoint }) => {
      agents.useCertificate(tunnel);
      logEndpoint.useCertificate(endpoint);
      access.reloadTls();
    });

    const drain = async (deadlineMs: number) => {
      state = 'draining';
      // One step that fails must not keep the next from running: tunnels that are cut instead of closed restart pods.
      const steps: readonly (() => Promise<void> | void)[] = [
        () => certificates.close(),
        () => agents.close(),
        () => access.drain(deadlineMs),
        () => logEndpoint.drain(uploadDrainMs),
        () => tunnels.closeAll('SHUTDOWN'),
        () => revocations.close(),
        () => lease.close(),
        () => access.close(),
        () => health.close(),
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
      ports: { tunnel: tunnelPort, access: access.port, health: healthPort },
      tunnels,
      budget,
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
