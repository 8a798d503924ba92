/** Users' HTTPS on the access port: each request is verified, authorised and passed into its cluster; changes nothing of ours. */
import { once } from 'node:events';
import { type IncomingMessage, type ServerOptions, ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import type { SecureContextOptions } from 'node:tls';
import type { Logger } from 'pino';
import type { ClusterRepository } from '../../core/cluster/cluster-repository.ts';
import type { BearerVerifier } from '../../core/credential/bearer-verifier.ts';
import type { CallerRefresh } from '../../core/credential/caller-refresh.ts';
import type { CredentialKind } from '../../core/credential/credential-kind.ts';
import { RefusalPace } from '../../core/credential/refusal-pace.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { defaultPace } from '../agent/handshake-pace.ts';
import type { AuditTrail } from '../audit/audit-trail.ts';
import type { Router } from '../directory/router.ts';
import type { TenantUsage } from '../limits/tenant-usage.ts';
import { access, type AccessDependencies, type Finding } from './access.ts';
import { AccessRules, type RulesOfTenant } from './access-rules.ts';
import { type AccessTiming, defaultTiming } from './access-timing.ts';
import { authentication } from './authentication.ts';
import { Authorisation } from './authorisation.ts';
import { clusterLookup } from './cluster-lookup.ts';
import { Connections } from './connections.ts';
import { Discovery } from './discovery.ts';
import { Exchange, type UpgradeSocket } from './exchange.ts';
import { answerFailure } from './failed-request.ts';
import { GuardianRights } from './guardian-rights.ts';
import { paceHandshakes } from './paced-handshakes.ts';
import { rawFailure } from './raw-failure.ts';
import { slowingRefusals } from './refused-credentials.ts';
import { RefusedUpgrades } from './refused-upgrades.ts';
import { upgradeResponse } from './upgrade-response.ts';
import { endFactsOf, logLineOf } from './request-record.ts';
import { type RunningRequest, RunningRequests } from './running-requests.ts';

export type AccessOptions = {
  /** Certificate and key as they are now; asked again at `reloadTls`. */
  readonly tls: () => SecureContextOptions;
  readonly listen: { readonly host: string; readonly port: number };
  readonly verify: BearerVerifier;
  /** Asks again about callers whose requests run. */
  readonly refresh: CallerRefresh;
  readonly limits: Pick<TenantUsage, 'admitRequest'>;
  readonly audit: Pick<AuditTrail, 'admit' | 'assertTakesChanges' | 'countRefusal'>;
  readonly clusters: Pick<ClusterRepository, 'find'>;
  /** Reads all access rules of a tenant. */
  readonly rulesOf: RulesOfTenant;
  readonly router: Router;
  readonly logger: Pick<Logger, 'info' | 'error'>;
  /** Is told of each request that has ended, for the figures. */
  readonly onRequest?: (request: EndedRequest) => void;
  /** Is told of each connection that was dropped as one too many. */
  readonly onDropped?: () => void;
  /** Is told of each refused credential. */
  readonly onRefused?: (kind: CredentialKind) => void;
  /** Holds back what a refused credential is answered. */
  readonly refusalPace?: Pick<RefusalPace, 'refused'>;
  readonly pace?: typeof defaultPace;
  /** Connections of one address. */
  readonly maxPerAddress?: number;
  /** Epoch milliseconds. */
  readonly now?: () => number;
  readonly timing?: Partial<AccessTiming>;
  readonly maxConnections?: number;
};

export type EndedRequest = {
  /** Undefined: the client left before an answer began. */
  readonly status: number | undefined;
  readonly durationMs: number;
  /** It was one that does not end by itself: a watch, a followed log, an upgraded stream. */
  readonly endless: boolean;
};

export type AccessServer = {
  readonly port: number;
  /** Requests that run, those that do not end by themselves included. */
  readonly inFlight: number;
  /**
   * Lets what is running end by itself, and cuts it at the deadline (ms from now). Watches and followed logs, which do
   * not, are ended in order after 5 s: otherwise each would hold every drain up until its deadline.
   */
  drain(deadlineMs: number): Promise<void>;
  close(): Promise<void>;
  /** New connections get the new certificate; those that are open keep theirs. */
  reloadTls(): void;
};

type Running = RunningRequest & { readonly exchange: Exchange; readonly finding: Finding };

/** Starts the access side; rejects when the address cannot be listened on. */
export async function startAccess(options: AccessOptions): Promise<AccessServer> {
  const { logger, now = Date.now } = options;
  const timing = { ...defaultTiming, ...options.timing };
  const cache = { ttlMs: timing.cacheMs, now };
  const rules = new AccessRules({ read: options.rulesOf, now });
  const deps: AccessDependencies = {
    callerOf: slowingRefusals(authentication(options.verify, cache), {
      pace: options.refusalPace ?? new RefusalPace({ now, wait: (ms) => wait(ms) }),
      onRefused: options.onRefused,
    }),
    findCluster: clusterLookup(options.clusters, cache),
    authorisation: new Authorisation((tenantId) => rules.of(tenantId)),
    guardianRights: new GuardianRights({ now }),
    router: options.router,
    discovery: new Discovery({ now }),
    refusedUpgrades: new RefusedUpgrades(),
    limits: options.limits,
    audit: options.audit,
    routeWaitMs: timing.routeWaitMs,
    answerTimeoutMs: timing.answerTimeoutMs,
    bodyTimeoutMs: timing.bodyTimeoutMs,
    still: {
      request: { silentMs: timing.requestSilenceMs, stalledMs: timing.stalledMs },
      answer: { silentMs: timing.answerSilenceMs, stalledMs: timing.stalledMs },
    },
  };
  const running = new RunningRequests<Running>({
    refresh: options.refresh,
    now,
    timing,
    onError: (error) => logger.error({ err: error }, 'a running request could not be judged again'),
  });
  /** The last exchange of each HTTP/1.1 connection. */
  const answering = new WeakMap<Duplex, Exchange>();
  let draining = false;

  const http1Options: ServerOptions = {
    // A request may take for ever (a watch does), its head may not.
    headersTimeout: timing.headersTimeoutMs,
    requestTimeout: 0,
    keepAliveTimeout: 75_000,
    maxHeaderSize: 48 * 1024,
    connectionsCheckingInterval: Math.min(timing.headersTimeoutMs, 5_000),
    insecureHTTPParser: false,
  };
  const server = createSecureServer({
    ...options.tls(),
    minVersion: 'TLSv1.2',
    allowHTTP1: true,
    handshakeTimeout: timing.handshakeTimeoutMs,
    // Extended CONNECT stays off: upgrades are offered over HTTP/1.1.
    settings: {
      maxConcurrentStreams: 250,
      maxHeaderListSize: 64 * 1024,
      initialWindowSize: 256 * 1024,
      enableConnectProtocol: false,
    },
    maxHeaderListPairs: 256,
    http1Options,
  });
  server.maxConnections = options.maxConnections ?? 10_000;
  paceHandshakes(server, {
    ...(options.pace ? { pace: options.pace } : {}),
    ...(options.maxPerAddress === undefined ? {} : { maxPerAddress: options.maxPerAddress }),
    onDropped: options.onDropped,
  });
  const connections = new Connections(server, timing);

  async function serve(
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
    upgrade?: UpgradeSocket,
  ): Promise<void> {
    const startedAt = now();
    const exchange = new Exchange(request, response, () => draining, upgrade);
    const finding: Finding = {};
    const entry: Running = {
      exchange,
      finding,
      startedAt,
      get caller() {
        return finding.caller;
      },
      get reauthorise() {
        return finding.reauthorise;
      },
      revoke: () => revoke(entry),
    };
    running.add(entry);
    if (response instanceof ServerResponse) answering.set(request.socket, exchange);
    let problem: Problem | undefined;
    try {
      await access(exchange, deps, finding);
    } catch (error) {
      problem = answerFailure(exchange, error, logger);
    } finally {
      running.delete(entry);
      finding.admission?.release();
      finding.record?.end(endFactsOf(exchange, finding, { problem, durationMs: now() - startedAt }));
    }
    if (draining && response instanceof ServerResponse) {
      // A streamed answer is out by now; its head may have gone before it could say that it is the last one.
      if (response.closed) request.socket.end();
      else response.once('close', () => request.socket.end());
    }
    const durationMs = now() - startedAt;
    options.onRequest?.({ status: exchange.status, durationMs, endless: finding.endless === true });
    const outcome = exchange.gone.aborted ? { ended: (exchange.gone.reason as Error).name } : {};
    const code = problem ? { code: problem.code } : {};
    logger.info({ ...logLineOf(exchange, finding), ...code, ...outcome, ms: now() - startedAt }, 'request');
  }

  /** A mistake of ours in one request must end neither the process nor anybody's tunnel. */
  const begin = (...request: Parameters<typeof serve>) =>
    void serve(...request).catch((error: unknown) => {
      logger.error({ err: error }, 'a request could not be ended in order');
      request[0].socket.destroy();
    });

  server.on('request', (request, response) => begin(request, response));
  // Whether the body is wanted is for the cluster to say.
  server.on('checkContinue', (request, response) => begin(request, response));
  // Any other protocol that an HTTP/1.1 request asks for; which of them is offered is found out later.
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, early: Buffer) => {
    const response = upgradeResponse(request, socket);
    if (response) begin(request, response, { socket, early });
  });
  // CONNECT: over HTTP/2 a stream like any other, over HTTP/1.1 a bare socket.
  server.on('connect', (request: IncomingMessage | Http2ServerRequest, to: Http2ServerResponse | Duplex) => {
    if (to instanceof Http2ServerResponse) begin(request, to);
    else rawFailure(to, new Problem('METHOD_NOT_ALLOWED'));
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (answering.get(socket)?.isAnswering === true) {
      // An answer is on its way and there is no place for a second; the connection ends with it.
      socket.end(() => socket.destroy());
    } else if (error.code === 'HPE_HEADER_OVERFLOW') {
      rawFailure(socket, new Problem('HEADERS_TOO_LARGE'));
    } else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
      socket.destroy();
    } else {
      rawFailure(socket, new Problem('INVALID_REQUEST', 'This is not well-formed HTTP/1.1.'));
    }
  });

  server.listen(options.listen.port, options.listen.host);
  await once(server, 'listening');
  // What accepting a connection meets later (no descriptors left, say) must not end the process and every tunnel in it.
  server.on('error', (error) => logger.error({ err: error }, 'the access port failed'));

  const end = ({ exchange, finding }: Running) => {
    // What is endless may end anywhere; anything else that ends early must not look complete.
    if (finding.endless === true && finding.streamed) finding.streamed.finish();
    else exchange.reset();
  };
  const revoke = (entry: Running) => {
    // Its client does not take the end.
    if (entry.finding.revoked === true) entry.exchange.reset();
    else {
      entry.finding.revoked = true;
      end(entry);
    }
  };
  running.start();
  const told = new WeakSet<Running>();
  const endEndless = () => {
    for (const entry of running) {
      if (entry.finding.endless !== true) continue;
      // Its client does not take what was sent so far.
      if (told.has(entry)) entry.exchange.reset();
      else end(entry);
      told.add(entry);
    }
  };
  const endAll = () => {
    for (const entry of running) end(entry);
  };
  const drain = async (deadlineMs: number) => {
    draining = true;
    // More than once: connections that are still needed may bring new watches.
    const ending = setInterval(endEndless, timing.endlessDrainMs);
    try {
      await connections.drain(deadlineMs, endAll);
    } finally {
      clearInterval(ending);
      running.stop();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    get inFlight() {
      return [...running].length;
    },
    drain,
    close: () => drain(0),
    reloadTls: () => server.setSecureContext({ ...options.tls(), minVersion: 'TLSv1.2' }),
  };
}
