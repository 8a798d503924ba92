/** The API and the tunnel port as install.sh sees them: real certificates and a real connect manifest, memory for tables. */
import { createHash, verify, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createServer as createTlsServer } from 'node:tls';
import * as z from 'zod';
import { registration } from '../../../../core/cluster/cluster-schema.ts';
import { type ProgressReport, progressReport } from '../../../../core/cluster/progress-schema.ts';
import { readPart } from '../../../../core/api/request-parts.ts';
import { newToken } from '../../../../core/credential/token.ts';
import { Problem, problemBody, problemMediaType } from '../../../../core/problem/problem.ts';
import { catalogue } from '../../../../core/release/catalogue.ts';
import { type InstallationQuery, installationQuery } from '../../../../core/release/installation-schema.ts';
import { newClusterId } from '../../../../core/tenant/identifier.ts';
import { connectManifest } from '../../../../functions/install-assets/connect-manifest.ts';
import { installationPatch } from '../../../../functions/install-assets/installation-patch.ts';
import { installerOf, readScript } from '../../../../functions/install-assets/installer.ts';
import { readCertificateRequest } from '../../../../functions/registration/certificate-request.ts';
import {
  beginningOf,
  endOf,
  fingerprintOfPem,
  makeClusterCertificate,
} from '../../../../functions/registration/cluster-certificate.ts';
import { softwareSigner } from '../../../core/certificate/software-signer.ts';
import { makeCa } from '../../../tunnel-fargate/certificates.ts';
import { manifestText, releaseDetailOf } from './calico-manifests.ts';

export type Received = {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: string;
};
type Reply = {
  readonly status?: number;
  readonly type?: string;
  readonly body?: string;
  readonly lost?: boolean;
};

type Registered = {
  readonly clusterId: string;
  readonly clusterName: string;
  readonly clusterToken: string;
  readonly keyHash: string;
  certificates: string[];
};

const renewal = z.strictObject({ csr: z.string(), proof: z.string() });
const json = (value: unknown, status = 200): Reply => ({
  status,
  type: 'application/json',
  body: JSON.stringify(value),
});

export class ControlPlane {
  readonly url: string;
  readonly tunnelAddress: string;
  /** PEM file of who signed the API's certificate. */
  readonly caFile: string;
  readonly requests: Received[] = [];
  readonly reports: ProgressReport[] = [];
  /** What does not fit the schema of a report. */
  readonly badReports: string[] = [];
  readonly clusters = new Map<string, Registered>();
  /** A good registration token; a cluster may be registered with it, once. */
  readonly token = newToken('registration-token').text;
  /** How far the API's clock is ahead, ms. */
  aheadMs = 0;
  /** Instead of the answer: a fault. */
  instead: (received: Received) => Reply | Problem | undefined = () => undefined;
  /** Whether the answer is lost on its way: everything is done, and the connection cut. */
  lose: (received: Received) => boolean = () => false;
  /** Whether a cluster's tunnel is up, and the certificate that it uses, PEM. */
  connected: (clusterId: string) => string | undefined = () => undefined;
  readonly #signer = softwareSigner();
  readonly #close: () => Promise<void>;

  private constructor(url: string, tunnelAddress: string, caFile: string, close: () => Promise<void>) {
    this.url = url;
    this.tunnelAddress = tunnelAddress;
    this.caFile = caFile;
    this.#close = close;
  }

  static async start(): Promise<ControlPlane> {
    const directory = await mkdtemp(path.join(tmpdir(), 'cattery-api-'));
    const ca = await makeCa();
    const { certificate: cert, key } = await ca.issue({ names: ['127.0.0.1', 'localhost'], usage: 'server' });
    const caFile = path.join(directory, 'ca.pem');
    await writeFile(caFile, ca.certificate);
    const api = createServer({ cert, key });
    // As ours: a client's certificate is asked for, by whomever it is issued, and refused later.
    const tunnel = createTlsServer({ cert, key, requestCert: true, rejectUnauthorized: false }, (socket) =>
      socket.on('error', () => undefined).resume(),
    );
    const plane = new ControlPlane(
      `https://127.0.0.1:${await listening(api)}`,
      `127.0.0.1:${await listening(tunnel)}`,
      caFile,
      async () => {
        api.closeAllConnections();
        for (const server of [api, tunnel]) server.close();
        await rm(directory, { recursive: true });
      },
    );
    api.on('request', (request, response) => {
      void plane.#receive(request).then(({ status = 200, type = 'text/plain', body = '', lost = false }) => {
        if (lost) {
          response.destroy();
          return;
        }
        const date = new Date(Date.now() + plane.aheadMs).toUTCString();
        response
          .writeHead(status, { 'Content-Type': type, Date: date, 'Cache-Control': 'no-store' })
          .end(body);
      });
    });
    return plane;
  }

  close(): Promise<void> {
    return this.#close();
  }

  /** install.sh as it is served. */
  async script(): Promise<string> {
    const addresses = { API_URL: this.url, TUNNEL_ADDRESS: this.tunnelAddress };
    return installerOf(await readScript(), addresses).script.text;
  }

  async #receive(request: IncomingMessage): Promise<Reply> {
    let body = '';
    for await (const chunk of request.setEncoding('utf8')) body += String(chunk);
    const { method = '', url = '', headers } = request;
    const received = { method, path: url, authorization: headers.authorization, body };
    this.requests.push(received);
    try {
      const fault = this.instead(received);
      if (fault instanceof Problem) throw fault;
      return fault ?? { ...(await this.#answer(received)), lost: this.lose(received) };
    } catch (error) {
      const problem = error instanceof Problem ? error : new Problem('INTERNAL', String(error));
      return { ...json(problemBody(problem, 'request-7'), problem.status), type: problemMediaType };
    }
  }

  async #answer({ method, path: target, authorization, body }: Received): Promise<Reply> {
    const { pathname, searchParams } = new URL(target, this.url);
    const asked = `${method} ${pathname}`;
    if (asked === 'GET /healthz') return json({ status: 'ok' });
    if (asked === 'GET /install.sh') return { body: await this.script() };
    if (asked === 'GET /v1/releases') return json({ items: catalogue().releases });
    const [, version = '', name] = /^GET \/v1\/releases\/(v[\d.]+)(?:\/manifests\/(.+))?$/.exec(asked) ?? [];
    if (name !== undefined) return { type: 'application/yaml', body: manifestText(version, name) ?? '' };
    if (version !== '') {
      const detail = releaseDetailOf(version, this.url);
      if (!detail) throw new Problem('NOT_FOUND');
      return json(detail);
    }
    if (asked === 'GET /v1/install/installation-patch') {
      const query = readPart(
        installationQuery,
        Object.fromEntries(searchParams),
        'query',
      ) as InstallationQuery;
      return { type: 'application/merge-patch+json', body: JSON.stringify(installationPatch(query)) };
    }
    if (asked === 'POST /v1/registrations') return json(await this.#register(authorization, body), 201);
    const [, clusterId = '', rest = ''] = /^\/v1\/clusters\/(c-[a-z2-7]{20})(.*)$/.exec(pathname) ?? [];
    const known = this.clusters.get(clusterId);
    if (!known || authorization !== `Bearer ${known.clusterToken}`) throw new Problem('UNAUTHENTICATED');
    return this.#ofCluster(known, `${method} ${rest}`, body);
  }

  async #ofCluster(known: Registered, asked: string, body: string): Promise<Reply> {
    const { clusterId, clusterName } = known;
    const inUse = this.connected(clusterId);
    switch (asked) {
      case 'GET ':
        return json({
          ...{ clusterId, clusterName, state: inUse === undefined ? 'pending' : 'connected' },
          since: new Date().toISOString(),
          certificate: view(inUse ?? known.certificates.at(-1) ?? '', inUse),
        });
      case 'DELETE ':
        this.clusters.delete(clusterId);
        return { status: 204 };
      case 'GET /manifest': {
        const certificate = inUse ?? known.certificates.at(-1) ?? '';
        const trust = { trustBundle: 'trust bundle\n', roots: 'roots\n' };
        const cluster = { clusterId, clusterName, certificate };
        return {
          type: 'application/yaml',
          body: connectManifest({ cluster, trust, tunnelAddress: this.tunnelAddress }),
        };
      }
      case 'POST /progress': {
        const report = progressReport.safeParse(JSON.parse(body));
        if (!report.success) {
          this.badReports.push(`${z.prettifyError(report.error)}: ${body}`);
          throw new Problem('INVALID_REQUEST');
        }
        this.reports.push(report.data);
        const { attempt, sequence } = report.data;
        return json({ attempt, sequence, current: true, state: 'running' });
      }
      case 'POST /certificates': {
        const { csr, proof } = renewal.parse(JSON.parse(body));
        if (!proven(known.certificates.at(-1) ?? '', clusterId, csr, proof))
          throw new Problem('ACCESS_DENIED', 'The proof is not by the key of the current certificate.');
        const certificate = await this.#certify(clusterId, csr);
        known.certificates.push(certificate);
        return json({ certificate, ...view(certificate) }, 201);
      }
      default: {
        const [, retired] = /^DELETE \/certificates\/([0-9a-f]{64})$/.exec(asked) ?? [];
        if (retired === undefined) throw new Problem('NOT_FOUND');
        if (inUse !== undefined && fingerprintOfPem(inUse) === retired)
          throw new Problem('CONFLICT', 'The tunnel uses it.');
        known.certificates = known.certificates.filter((each) => fingerprintOfPem(each) !== retired);
        return { status: 204 };
      }
    }
  }

  async #register(authorization: string | undefined, body: string) {
    if (authorization !== `Bearer ${this.token}`) throw new Problem('UNAUTHENTICATED');
    const asked = registration.safeParse(JSON.parse(body));
    if (!asked.success) throw new Problem('INVALID_REQUEST', z.prettifyError(asked.error));
    const { clusterName, csr } = asked.data;
    const { keyHash } = await readCertificateRequest(csr);
    let known = [...this.clusters.values()].at(0);
    if (known && known.keyHash !== keyHash) throw new Problem('TOKEN_SPENT');
    if (!known) {
      const clusterId = newClusterId();
      const clusterToken = newToken('cluster').text;
      const certificates = [await this.#certify(clusterId, csr)];
      known = { clusterId, clusterName, clusterToken, keyHash, certificates };
      this.clusters.set(clusterId, known);
    }
    const { clusterId, clusterToken, certificates } = known;
    return {
      ...{ clusterId, clusterName, certificate: certificates[0], clusterToken },
      ...{ trustBundle: 'trust bundle\n', logTrust: 'roots\n', tunnelAddress: this.tunnelAddress },
    };
  }

  async #certify(clusterId: string, csr: string): Promise<string> {
    const { spki } = await readCertificateRequest(csr);
    return makeClusterCertificate(this.#signer, {
      ...{ tenantId: 't-aaaaaaaaaaaaaaaaaaaa', clusterId, trustDomain: 'cattery.test', spki },
      serial: createHash('sha256').update(spki).digest('hex').slice(0, 30).replace(/^./, '1'),
      notBefore: beginningOf(Date.now()),
    });
  }
}

const view = (certificate: string, connected?: string) => ({
  fingerprint: fingerprintOfPem(certificate),
  notAfter: new Date(endOf(beginningOf(Date.now()))).toISOString(),
  daysLeft: 397,
  ...(connected === undefined ? {} : { connected: fingerprintOfPem(connected) }),
});

/** Whether the JWS is as the contract of renewals has it, signed by the certificate's key. */
function proven(certificate: string, clusterId: string, csr: string, proof: string): boolean {
  const [header = '', payload = '', signature = ''] = proof.split('.');
  const parsed = z
    .strictObject({ sub: z.literal(clusterId), iat: z.int(), csr_sha256: z.string() })
    .safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString()));
  const { alg } = z
    .looseObject({ alg: z.string() })
    .parse(JSON.parse(Buffer.from(header, 'base64url').toString()));
  if (!parsed.success || alg !== 'ES256' || Math.abs(Date.now() / 1000 - parsed.data.iat) > 300) return false;
  if (parsed.data.csr_sha256 !== createHash('sha256').update(csr).digest('hex')) return false;
  const key = new X509Certificate(certificate).publicKey;
  const signed = Buffer.from(`${header}.${payload}`);
  return verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url'));
}

export async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}
