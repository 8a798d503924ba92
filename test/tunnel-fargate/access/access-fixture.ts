import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { type RequestOptions, request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ClusterRecord } from '../../../core/cluster/cluster-repository.ts';
import type { Caller } from '../../../core/credential/caller.ts';
import { type Role, roleScopes } from '../../../core/credential/scope.ts';
import { Problem } from '../../../core/problem/problem.ts';
import { type AccessOptions, type AccessServer, startAccess } from '../../../tunnel-fargate/access/server.ts';
import type { ClusterLink } from '../../../tunnel-fargate/agent/cluster-link.ts';
import type { Route } from '../../../tunnel-fargate/directory/router.ts';
import { type AuditOptions, AuditTrail } from '../../../tunnel-fargate/audit/audit-trail.ts';
import { defaultTenantLimits, type TenantLimits } from '../../../tunnel-fargate/limits/tenant-limits.ts';
import { TenantUsage } from '../../../tunnel-fargate/limits/tenant-usage.ts';
import { FakeAuditSink } from '../audit/audit-fixture.ts';
import { makeCa, type TestCa } from '../certificates.ts';

export const tenantId = `t-${'a'.repeat(20)}`;
export const otherTenantId = `t-${'b'.repeat(20)}`;
export const clusterId = `c-${'a'.repeat(20)}`;
export const otherClusterId = `c-${'b'.repeat(20)}`;

export const recordOf = (id: string): ClusterRecord => ({
  clusterId: id,
  clusterName: 'one',
  registeredAt: 0,
  facts: { kubernetesVersion: 'v1.33.5', calicoVersion: 'v3.32.1', distribution: 'test', nodeCount: 1 },
  certificate: '',
  fingerprint: '',
  notAfter: 0,
  tokenHash: '',
});

export const callerOf = (role: Role, tenant = tenantId): Caller => ({
  kind: 'user',
  tenantId: tenant,
  principal: `user:${role}`,
  scopes: new Set(roleScopes[role]),
  roles: [role],
});

/** Of a link that serves requests only. */
export const noUpgrade: ClusterLink['upgrade'] = () =>
  Promise.reject(new Error('there are no upgrades here'));

/** A cluster's API server without TLS, and the link to it. */
export type Cluster = {
  readonly link: ClusterLink;
  /** Requests as they came in. */
  readonly seen: IncomingHttpHeaders[];
  /** What it was asked of its Guardian's rights, and its answer: all of them unless a test says otherwise. */
  readonly asked: ReviewSpec[];
  grants: (spec: ReviewSpec) => boolean;
  close(): Promise<void>;
};

export type ReviewSpec = { resourceAttributes?: Record<string, string> };
const reviewPath = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

function answerReview(stream: ServerHttp2Stream, grants: Cluster['grants'], asked: ReviewSpec[]): void {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    const { spec } = JSON.parse(Buffer.concat(chunks).toString()) as { spec: ReviewSpec };
    asked.push(spec);
    stream.respond({ ':status': 201, 'content-type': 'application/json' });
    stream.end(JSON.stringify({ kind: 'SelfSubjectAccessReview', spec, status: { allowed: grants(spec) } }));
  });
}

export type Serve = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void;

/** `through`: puts something between the link and the cluster, from the cluster's port to its own. */
export async function startCluster(
  serve: Serve,
  id = clusterId,
  tenant = tenantId,
  through: (port: number) => Promise<number> = (port) => Promise.resolve(port),
): Promise<Cluster> {
  const seen: IncomingHttpHeaders[] = [];
  const asked: ReviewSpec[] = [];
  const server = createServer();
  server.on('session', (session) => session.on('error', () => undefined));
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined);
    if (headers[':method'] === 'POST' && headers[':path'] === reviewPath) {
      answerReview(stream, (spec) => cluster.grants(spec), asked);
      return;
    }
    seen.push(headers);
    serve(stream, headers);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const session = connect(`http://127.0.0.1:${await through((server.address() as AddressInfo).port)}`);
  session.on('error', () => undefined);
  const cluster: Cluster = {
    seen,
    asked,
    grants: () => true,
    link: {
      clusterId: id,
      tenantId: tenant,
      request: (headers, { endStream, waitForTrailers = false, signal }) => {
        signal?.throwIfAborted();
        return Promise.resolve(
          session.request(headers, { endStream, waitForTrailers, ...(signal ? { signal } : {}) }),
        );
      },
      upgrade: noUpgrade,
    },
    close: async () => {
      session.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return cluster;
}

/** Answers everything with 200 and a JSON body that says what arrived. */
export const echo: Serve = (stream, headers) => {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.on('end', () => {
    if (stream.destroyed) return;
    stream.respond({ ':status': 200, 'content-type': 'application/json' });
    stream.end(JSON.stringify({ path: headers[':path'], body: Buffer.concat(chunks).toString() }));
  });
};

export type Answer = { status: number; headers: Record<string, unknown>; text: string };
export const jsonOf = ({ text }: Answer) => JSON.parse(text) as Record<string, unknown>;

export type Access = {
  readonly server: AccessServer;
  readonly ca: TestCa;
  readonly port: number;
  readonly logged: Record<string, unknown>[];
  readonly verified: string[];
  readonly audit: FakeAuditSink;
  readonly trail: AuditTrail;
  readonly usage: TenantUsage;
  readonly found: string[];
  /** What the router answers; `undefined`: that the cluster has never been connected. */
  route: Route;
  /** An HTTP/2 client session of its own. */
  session(): ClientHttp2Session;
  h2(path: string, options?: CallOptions): Promise<Answer>;
  h1(path: string, options?: CallOptions): Promise<Answer>;
  close(): Promise<void>;
};

export type CallOptions = {
  readonly method?: string;
  /** Bearer token: a role, or `<role>-other` of the other tenant; null: none. */
  readonly token?: string | null;
  readonly headers?: Record<string, string>;
  readonly body?: string;
};

/** For an access side that lets nobody in. */
const nobody = () => {
  throw new Error('nobody was to be let in');
};
export const unused: Pick<AccessOptions, 'refresh' | 'limits' | 'audit' | 'rulesOf'> = {
  refresh: nobody,
  rulesOf: nobody,
  limits: { admitRequest: nobody },
  audit: { admit: nobody, assertTakesChanges: nobody, countRefusal: nobody },
};

let authority: Promise<TestCa> | undefined;

/** The access side in front of a cluster, with callers by the names of roles. */
export async function startFixture(
  cluster: Cluster | undefined,
  options: Partial<
    Pick<
      AccessOptions,
      | 'timing'
      | 'verify'
      | 'refresh'
      | 'clusters'
      | 'rulesOf'
      | 'router'
      | 'now'
      | 'pace'
      | 'maxPerAddress'
      | 'onDropped'
      | 'onRequest'
      | 'onRefused'
      | 'refusalPace'
    >
  > & {
    limits?: Partial<TenantLimits>;
    audit?: Partial<AuditOptions>;
  } = {},
): Promise<Access> {
  const ca = await (authority ??= makeCa());
  const pair = await ca.issue({ names: ['127.0.0.1', 'localhost'], usage: 'server' });
  const [logged, verified, found]: [Record<string, unknown>[], string[], string[]] = [[], [], []];
  const log = (entry: unknown) => void logged.push(entry as Record<string, unknown>);
  const sessions = new Set<ClientHttp2Session>();
  const fixture = {
    route: (cluster ? { kind: 'link', link: cluster.link } : { kind: 'absent', since: undefined }) as Route,
  };
  const { limits, audit, ...rest } = options;
  const { now = Date.now } = rest;
  const usage = new TenantUsage({ limits: { ...defaultTenantLimits, ...limits }, now });
  const sink = new FakeAuditSink();
  const logger = { info: log, error: log };
  const trail = new AuditTrail({
    sink,
    taskId: 'task-1',
    now,
    logger,
    timing: { batchMs: 10, retryMs: 10 },
    ...audit,
  });
  const server = await startAccess({
    tls: () => ({ cert: pair.certificate, key: pair.key }),
    listen: { host: '127.0.0.1', port: 0 },
    verify: (bearer) => {
      verified.push(bearer);
      const [role = '', other] = bearer.split('-');
      if (!(role in roleScopes)) return Promise.reject(new Problem('UNAUTHENTICATED'));
      return Promise.resolve(callerOf(role as Role, other ? otherTenantId : tenantId));
    },
    clusters: {
      find: (tenant, id) => {
        found.push(`${tenant} ${id}`);
        const own = tenant === tenantId ? clusterId : otherClusterId;
        return Promise.resolve(id === own ? recordOf(id) : undefined);
      },
    },
    rulesOf: () => Promise.resolve([]),
    router: { route: () => Promise.resolve(fixture.route) },
    refresh: (caller) => Promise.resolve(caller),
    limits: usage,
    audit: trail,
    logger,
    ...rest,
  });
  const url = `https://127.0.0.1:${server.port}`;
  const session = () => {
    const opened = connect(url, { ca: ca.certificate });
    opened.on('error', () => undefined);
    sessions.add(opened);
    return opened;
  };
  const headersOf = ({ token = 'editor', headers = {} }: CallOptions) => ({
    ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    ...headers,
  });
  return Object.assign(fixture, {
    server,
    ca,
    port: server.port,
    logged,
    verified,
    audit: sink,
    trail,
    usage,
    found,
    session,
    h2: async (path: string, call: CallOptions = {}) => {
      const opened = session();
      const stream = opened.request(
        { ':method': call.method ?? 'GET', ':path': path, ...headersOf(call) },
        { endStream: call.body === undefined },
      );
      if (call.body !== undefined) stream.end(call.body);
      const answer = await answerOf(stream);
      opened.close();
      return answer;
    },
    h1: (path: string, call: CallOptions = {}) =>
      h1Answer(
        {
          host: '127.0.0.1',
          port: server.port,
          path,
          ca: ca.certificate,
          method: call.method ?? 'GET',
          headers: headersOf(call),
          agent: false,
        },
        call.body,
      ),
    close: async () => {
      for (const opened of sessions) opened.destroy();
      await server.close();
      await trail.close(1_000);
    },
  });
}

export async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return { status: Number(headers[':status']), headers, text: Buffer.concat(chunks).toString() };
}

async function h1Answer(options: RequestOptions, body: string | undefined): Promise<Answer> {
  const request = httpsRequest(options);
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text: Buffer.concat(chunks).toString(),
  };
}

/** Starts a request without waiting for its answer. */
export function open(session: ClientHttp2Session, path: string, headers: OutgoingHttpHeaders = {}) {
  const stream = session.request({ ':path': path, authorization: 'Bearer editor', ...headers });
  stream.on('error', () => undefined);
  return stream;
}

/** Waits until a condition holds; the test's own timeout ends a wait in vain. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}
