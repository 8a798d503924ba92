import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { run } from '../../cli/program.ts';
import type { ListedCluster } from '../../cli/clusters.ts';
import type { Progress } from '../../core/cluster/progress-schema.ts';
import type { Session } from '../../cli/sign-in/session.ts';
import type { Surroundings } from '../../cli/surroundings.ts';
import { Problem, type ProblemCode, problemBody } from '../../core/problem/problem.ts';
import { audience } from '../../local/identity-provider/id-token.ts';
import { browser } from '../local/identity-provider/browser.ts';
import { type RunningIssuer, startIssuer } from '../local/identity-provider/running-issuer.ts';

export const stranger = 'stranger@elsewhere.example';
export const apiKey = 'cak_of-the-fake-api';

export const clusterNamed = (clusterName: string, letter: string): ListedCluster => ({
  clusterId: `c-${letter.repeat(20)}`,
  clusterName,
  state: 'connected',
  since: '2026-11-23T08:00:00.000Z',
  registeredAt: '2026-11-20T08:00:00.000Z',
  cluster: { kubernetesVersion: 'v1.33.2', calicoVersion: 'v3.32.1', distribution: 'kubeadm', nodeCount: 3 },
  certificate: { fingerprint: 'f'.repeat(64), notAfter: '2027-11-20T08:00:00.000Z', daysLeft: 398 },
});

/** A deployment as far as the command line sees it: the laptop's real issuer, and an API that verifies its tokens. */
export type FakeDeployment = {
  readonly apiUrl: string;
  readonly issuer: RunningIssuer;
  readonly clusters: ListedCluster[];
  /** `METHOD path` of every request, and its body. */
  readonly requests: { readonly line: string; readonly body: string }[];
  /** What is told of the progress of any cluster, one an answer, the last again and again; a code: that problem. */
  progress: (Progress | ProblemCode | (() => ProblemCode))[];
  /** What the sign-in facts say instead. */
  facts: Record<string, unknown>;
  /** Answers the next request, of any path, with this problem. */
  failNext?: ProblemCode | undefined;
  close(): Promise<void>;
};

export async function fakeDeployment({ idTokenSeconds = 3_600 } = {}): Promise<FakeDeployment> {
  const issuer = await startIssuer({ idTokenSeconds });
  const keys = createRemoteJWKSet(new URL((await issuer.discovery()).jwks_uri ?? ''));
  const server = createServer((request, response) => {
    answer(request).then(
      ({ status = 200, body }) => send(response, status, body),
      (error: unknown) => {
        if (!(error instanceof Problem)) throw error;
        send(response, error.status, problemBody(error, 'request-7'));
      },
    );
  });
  await listening(server);
  const apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const deployment: FakeDeployment = {
    apiUrl,
    issuer,
    clusters: [clusterNamed('stock', 'b'), clusterNamed('shop', 'a')],
    requests: [],
    progress: [],
    facts: {},
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await issuer.close();
    },
  };
  return deployment;

  async function answer(request: IncomingMessage): Promise<{ status?: number; body?: unknown }> {
    const url = new URL(request.url ?? '/', apiUrl);
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
    deployment.requests.push({ line: `${request.method ?? ''} ${url.pathname}${url.search}`, body });
    const { failNext } = deployment;
    deployment.failNext = undefined;
    if (failNext) throw new Problem(failNext);
    if (url.pathname === '/v1/sign-in') {
      const facts = { issuer: issuer.issuer, clientId: audience, scopes: ['openid', 'email'] };
      return { body: { ...facts, accessUrl: 'https://access.example', ...deployment.facts } };
    }
    const principal = await verified(request);
    const [, id = '', what] = /^\/v1\/clusters\/([^/]+)\/(\w+)$/.exec(url.pathname) ?? [];
    if (url.pathname === '/v1/me') {
      return { body: { tenantId: 't-aaaaaaaaaaaaaaaaaaaa', principal, scopes: ['clusters:read'] } };
    }
    if (what === 'kubeconfig') return { body: kubeconfigOf(id) };
    if (what === 'progress') {
      const next = deployment.progress.length > 1 ? deployment.progress.shift() : deployment.progress[0];
      const told = typeof next === 'function' ? next() : next;
      if (!told || typeof told === 'string') throw new Problem(told ?? 'NOT_FOUND');
      return { body: told };
    }
    if (url.pathname === '/v1/clusters') {
      // One a page, so that whoever stops at the first page is caught.
      const at = Number(url.searchParams.get('cursor') ?? 0);
      const next = at + 1 < deployment.clusters.length ? { nextCursor: String(at + 1) } : {};
      return { body: { items: deployment.clusters.slice(at, at + 1), ...next } };
    }
    if (url.pathname === '/v1/registration-tokens' && request.method === 'POST') {
      const expiresAt = '2026-11-23T09:00:00.000Z';
      return { status: 201, body: { tokenId: 't'.repeat(16), token: 'crt_shown-once', expiresAt } };
    }
    const keyOf = { keyId: 'k'.repeat(16), scopes: ['scans:write'], expiresAt: '2027-02-21T08:00:00.000Z' };
    if (url.pathname === '/v1/api-keys' && request.method === 'POST') {
      return { status: 201, body: { ...keyOf, key: 'cak_shown-once' } };
    }
    if (url.pathname === '/v1/api-keys') {
      const more = {
        name: 'ci',
        state: 'active',
        createdAt: '2026-11-23T08:00:00.000Z',
        createdBy: 'user:a',
      };
      const unused = {
        ...keyOf,
        ...more,
        keyId: 'n'.repeat(16),
        name: 'new',
        createdAt: '2026-11-22T08:00:00.000Z',
      };
      return { body: { items: [{ ...keyOf, ...more, lastUsedOn: '2026-11-23' }, unused] } };
    }
    if (url.pathname === `/v1/api-keys/${keyOf.keyId}` && request.method === 'DELETE') return { status: 204 };
    throw new Problem('NOT_FOUND');
  }

  async function verified({ headers }: IncomingMessage): Promise<string> {
    const token = (headers.authorization ?? '').replace(/^Bearer /, '');
    if (token === apiKey) return 'api-key:fake';
    const { payload } = await jwtVerify(token, keys, { issuer: issuer.issuer, audience }).catch(() => {
      throw new Problem('UNAUTHENTICATED');
    });
    if (payload.email === stranger) throw new Problem('NOT_A_MEMBER');
    return `user:${payload.sub ?? ''}`;
  }
}

const kubeconfigOf = (clusterId: string): string => `apiVersion: v1
kind: Config
clusters:
  - name: ${clusterId}
    cluster:
      server: https://access.example/clusters/${clusterId}
      certificate-authority-data: Q0E=
users:
  - name: user@${clusterId}
    user: { exec: { command: sh, args: [-c, "never run"] } }
`;

function send(response: ServerResponse, status: number, body: unknown): void {
  const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
  const type = status >= 400 ? 'application/problem+json' : 'application/json';
  response.writeHead(status, { 'content-type': type }).end(text);
}

const listening = (server: Server): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });

/** A URL at which nobody listens. */
export async function closedPort(): Promise<string> {
  const server = createServer();
  await listening(server);
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${port}`;
}

type Result = { readonly code: number; readonly out: string; readonly err: string };

/** One user's laptop: a home of its own, and a browser in which they sign in with their address. */
export class Laptop {
  readonly home: string;
  readonly email: string;
  readonly env: Record<string, string> = {};
  readonly trusted: string[] = [];
  /** Each pause that a command made, ms. */
  readonly waited: number[] = [];
  /** What the browser showed at the end. */
  readonly shown: { status: number; text: string }[] = [];
  /** What the browser does with the address; by default it signs in. */
  opens: (url: string) => Promise<void> = (url) => this.signIn(url);

  /** Sees what is said while it is said. */
  reads: (text: string) => void = () => undefined;

  private constructor(home: string, email: string) {
    this.home = home;
    this.email = email;
  }

  static async of(email = 'owner@demo.example'): Promise<Laptop> {
    return new Laptop(await mkdtemp(path.join(tmpdir(), 'cattery-cli-')), email);
  }

  async cattery(...given: string[]): Promise<Result> {
    let [out, err] = ['', ''];
    let opening: Promise<void> | undefined;
    const surroundings: Surroundings = {
      version: '0.0.0-test',
      env: this.env,
      home: this.home,
      out: (text) => (out += text),
      err: (text) => {
        err += text;
        this.reads(text);
      },
      now: Date.now,
      loopbackPorts: [0],
      openBrowser: (url) => (opening = this.opens(url)),
      trust: (pem) => this.trusted.push(pem),
      uninterrupted: (work) => work(),
      wait: (ms) => {
        this.waited.push(ms);
        return Promise.resolve();
      },
      self: { command: 'cattery', args: [] },
    };
    const code = await run(given, surroundings);
    // The browser shows its last page after the command has gone on.
    await opening?.catch(() => undefined);
    return { code, out, err };
  }

  /** Throws unless it ends with 0. */
  async ok(...given: string[]): Promise<Result> {
    const result = await this.cattery(...given);
    if (result.code !== 0) throw new Error(`cattery ${given.join(' ')}: ${result.code}\n${result.err}`);
    return result;
  }

  async signIn(url: string): Promise<void> {
    const { page, back } = await this.upToReturn(url);
    const last = await page.get(back);
    this.shown.push({ status: last.status, text: await last.text() });
  }

  /** Through the issuer's pages; gives the address to which the browser is led back, without going there. */
  async upToReturn(url: string) {
    const page = browser();
    const next = (answered: Response) => answered.headers.get('location') ?? '';
    const form = new URL(next(await page.get(url)), url).href;
    const resume = next(await page.post(form, { email: this.email }));
    return { page, back: next(await page.get(resume)) };
  }

  within(...names: string[]): string {
    return path.join(this.home, '.config', 'cattery', ...names);
  }

  async session(): Promise<Session> {
    return JSON.parse(await readFile(this.within('session.json'), 'utf8')) as Session;
  }

  async putSession(session: Session): Promise<void> {
    await mkdir(this.within(), { recursive: true });
    await writeFile(this.within('session.json'), JSON.stringify(session));
  }

  async changeSession(change: Partial<Session>): Promise<void> {
    await this.putSession({ ...(await this.session()), ...change });
  }

  /** As if an hour had gone by. */
  ageSession(): Promise<void> {
    return this.changeSession({ refreshAt: Date.now() - 1_000, expiresAt: Date.now() - 1_000 });
  }

  /** The token that kubectl would get now. */
  async token(): Promise<string> {
    const { out } = await this.ok('token');
    return (JSON.parse(out) as { status: { token: string } }).status.token;
  }

  async remove(): Promise<void> {
    await rm(this.home, { recursive: true, force: true });
  }
}
