import type { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import type { CertificateEntry, Revocation } from '../../core/directory/certificate-directory-repository.ts';
import type {
  AnnouncedTunnel,
  TaskLease,
  TunnelEntry,
} from '../../core/directory/tunnel-directory-repository.ts';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { ServerDependencies, ServerOptions } from '../../tunnel-fargate/server.ts';
import { startServer } from '../../tunnel-fargate/server.ts';
import type { LogObject } from '../../tunnel-fargate/ingest/log-repository.ts';
import type { Router } from '../../tunnel-fargate/directory/router.ts';
import { FakeAuditSink } from './audit/audit-fixture.ts';
import { makeCa, makeServerCertificates, type TestCa, type TestPair } from './certificates.ts';

export const tenantA = 't-aaaaaaaaaaaaaaaaaaaa';
export const tenantB = 't-bbbbbbbbbbbbbbbbbbbb';
export const clusterA = 'c-aaaaaaaaaaaaaaaaaaaa';
export const clusterB = 'c-bbbbbbbbbbbbbbbbbbbb';

/** Polls for a condition. */
export async function until(condition: () => boolean, ms = 10_000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${condition.toString()}`);
    await delay(5);
  }
}

/** Resolves when a stream or socket is closed, with or without an error before. */
export const closing = (stream: Pick<EventEmitter, 'once'>): Promise<void> =>
  new Promise((resolve) => stream.once('close', () => resolve()));

/** The directory table's two repositories, in memory, with the conditions that count. */
export class FakeDirectory {
  readonly certificates = new Map<string, CertificateEntry>();
  readonly revocations: Revocation[] = [];
  readonly tunnels = new Map<string, TunnelEntry>();
  readonly leases = new Map<string, TaskLease>();
  failing = false;
  finds = 0;
  /** From when on revocations were last asked for. */
  since = 0;
  /** Questions of any kind. */
  asked = 0;

  find(fingerprint: string): Promise<CertificateEntry | undefined> {
    this.finds += 1;
    return this.#answer(() => this.certificates.get(fingerprint));
  }
  revokedSince(since: number): Promise<readonly Revocation[]> {
    this.since = since;
    return this.#answer(() => this.revocations.filter(({ revokedAt }) => revokedAt >= since));
  }
  announce({ now, ...entry }: AnnouncedTunnel): Promise<boolean> {
    return this.#answer(() => {
      const other = this.tunnels.get(entry.clusterId);
      if (other && other.nonce >= entry.nonce) return false;
      this.tunnels.set(entry.clusterId, { ...entry, state: 'connected', since: now });
      return true;
    });
  }
  withdraw({
    clusterId,
    taskId,
    nonce,
    now,
  }: {
    clusterId: string;
    taskId: string;
    nonce: number;
    now: number;
  }): Promise<boolean> {
    return this.#answer(() => {
      const entry = this.tunnels.get(clusterId);
      if (entry?.taskId !== taskId || entry.nonce !== nonce) return false;
      this.tunnels.set(clusterId, { ...entry, state: 'disconnected', since: now });
      return true;
    });
  }
  locate(clusterId: string): Promise<TunnelEntry | undefined> {
    return this.#answer(() => this.tunnels.get(clusterId));
  }
  lease(taskId: string): Promise<TaskLease | undefined> {
    return this.#answer(() => this.leases.get(taskId));
  }
  renewLease(lease: TaskLease): Promise<void> {
    return this.#answer(() => void this.leases.set(lease.taskId, lease));
  }

  /** Registers a certificate. */
  publish({ fingerprint }: TestPair, changed: Partial<CertificateEntry> = {}): void {
    this.certificates.set(fingerprint, {
      fingerprint,
      tenantId: tenantA,
      clusterId: clusterA,
      notAfter: Date.now() + 3_600_000,
      ...changed,
    });
  }

  revoke({ fingerprint }: TestPair, clusterId = clusterA): void {
    const entry = this.certificates.get(fingerprint);
    const revokedAt = Date.now();
    if (entry) this.certificates.set(fingerprint, { ...entry, revokedAt });
    this.revocations.push({ fingerprint, clusterId, revokedAt });
  }

  async #answer<Value>(value: () => Value): Promise<Value> {
    this.asked += 1;
    await Promise.resolve();
    if (this.failing) throw new Error('the directory does not answer');
    return value();
  }
}

/** Log objects in memory; `hold` delays, `failing` refuses. */
export class FakeLogs {
  readonly objects: LogObject[] = [];
  failing = false;
  hold: Promise<void> | undefined;
  waiting = 0;

  async put(object: LogObject): Promise<void> {
    this.waiting += 1;
    await this.hold;
    this.waiting -= 1;
    if (this.failing) throw new Error('S3 does not answer');
    this.objects.push(object);
  }
}

export type LogLine = Record<string, unknown> & { level: number; event?: string; reason?: string };

export function recordingLogger() {
  const lines: LogLine[] = [];
  const logger = pino(
    { level: 'debug', base: null },
    { write: (line) => lines.push(JSON.parse(line) as LogLine) },
  );
  return { logger, lines };
}

/** An access side that serves nobody and notes when it is drained. */
export class FakeAccess {
  router: Router | undefined;
  certificates: unknown[] = [];
  drained: (() => void)[] = [];
  drainedFor: number | undefined;
  onDrain: () => Promise<void> = () => Promise.resolve();
  reloads = 0;
  onRequest: Parameters<ServerDependencies['startAccess']>[0]['onRequest'];
  onDropped: Parameters<ServerDependencies['startAccess']>[0]['onDropped'];

  readonly start: ServerDependencies['startAccess'] = ({ router, tls, onRequest, onDropped }) => {
    this.router = router;
    this.onRequest = onRequest;
    this.onDropped = onDropped;
    this.certificates.push(tls().cert);
    return Promise.resolve({
      port: 0,
      inFlight: 0,
      drain: async (deadlineMs: number) => {
        this.drainedFor = deadlineMs;
        await this.onDrain();
      },
      close: () => Promise.resolve(),
      reloadTls: () => {
        this.reloads += 1;
        this.certificates.push(tls().cert);
      },
    });
  };
}

export type Fixture = Awaited<ReturnType<typeof startTunnel>>;

/** The whole server on loopback, fakes where AWS would be. */
export async function startTunnel(
  changed: Partial<ServerOptions> & {
    ca?: TestCa;
    directory?: FakeDirectory;
    dependencies?: Partial<ServerDependencies>;
  } = {},
) {
  const { ca = await makeCa(), directory = new FakeDirectory(), dependencies, ...options } = changed;
  const secret = { versionId: '1', certificates: await makeServerCertificates(ca) };
  const logs = new FakeLogs();
  const access = new FakeAccess();
  const audit = new FakeAuditSink();
  const { logger, lines } = recordingLogger();
  const figures: string[] = [];
  const server = await startServer(
    {
      certificates: { read: () => Promise.resolve({ ...secret }) },
      certificateDirectory: directory,
      tunnelDirectory: directory,
      clusters: { find: (): Promise<ClusterRecord | undefined> => Promise.resolve(undefined) },
      accessRules: { all: () => Promise.resolve([]) },
      logs,
      audit,
      verify: () => Promise.reject(new Problem('UNAUTHENTICATED')),
      refresh: (caller) => Promise.resolve(caller),
      startAccess: access.start,
      logger,
      writeFigures: (line) => figures.push(line),
      taskId: 'task-1',
      now: Date.now,
      random: () => 0.5,
      ...dependencies,
    },
    {
      listen: { host: '127.0.0.1', tunnelPort: 0, accessPort: 0, healthPort: 0, metricsPort: 0 },
      revocationPollMs: 20,
      certificatePollMs: 20,
      ...options,
      agent: {
        refusals: { delayMs: 30, maxParked: 100, graceMs: 500 },
        ...options.agent,
        tunnel: { pongDelayMs: 20, ...options.agent?.tunnel },
      },
    },
  );
  const port = server.ports.tunnel;
  return {
    server,
    port,
    ca,
    roots: ca.certificate,
    secret,
    directory,
    budget: server.budget,
    logs,
    access,
    audit,
    lines,
    /** Minute lines for CloudWatch. */
    figures,
    /** A certificate that the directory knows. */
    async register(
      entry: Partial<CertificateEntry> = {},
      validity: { notBefore?: number; notAfter?: number } = {},
    ) {
      const pair = await ca.issue({ usage: 'client', ...validity });
      directory.publish(pair, entry);
      return pair;
    },
    /** The link of a cluster, once it is connected. */
    async link(clusterId = clusterA) {
      await until(() => server.tunnels.get(clusterId) !== undefined);
      const link = server.tunnels.get(clusterId);
      if (!link) throw new Error('not connected');
      return link;
    },
    closed: () => lines.filter(({ event }) => event === 'tunnel closed').map(({ reason }) => reason),
    refused: () => lines.filter(({ event }) => event === 'tunnel refused').map(({ reason }) => reason),
    close: () => server.drain(100),
  };
}
