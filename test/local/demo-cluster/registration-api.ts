import 'reflect-metadata';
import type { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import * as x509 from '@peculiar/x509';
import { hintCertificate, TestCa, tunnelName } from './tunnel-server.ts';

export type Received = { path: string; headers: IncomingHttpHeaders; body: Record<string, unknown> };
/** What the API does with a request: answer as the API does, answer something else, or cut the connection. */
export type Behaviour =
  'register' | 'cut' | { status: number; body: unknown; headers?: Record<string, string> };

export type RegistrationApi = {
  url: string;
  /** What it tells; a test may set it once its tunnel listens. */
  tunnelAddress: string;
  ca: TestCa;
  received: Received[];
  /** For the requests in turn; then 'register'. */
  behaviours: Behaviour[];
  close: () => Promise<void>;
};

/** A registration API for tests: signs the CSR it is sent, under a base URL with a path. */
export async function startRegistrationApi(): Promise<RegistrationApi> {
  const ca = await TestCa.make('api root');
  const identity = await ca.issue(['localhost']);
  const trustBundle = `${await hintCertificate([tunnelName])}\n${ca.pem}`;
  const received: Received[] = [];
  const behaviours: Behaviour[] = [];
  const server = createServer({ key: identity.key, cert: identity.certificate }, (request, response) => {
    const answer = async () => {
      let text = '';
      for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
      const body = JSON.parse(text) as Record<string, unknown>;
      received.push({ path: request.url ?? '', headers: request.headers, body });
      const behaviour = behaviours.shift() ?? 'register';
      if (behaviour === 'cut') {
        // Registered, but the answer is lost on its way.
        response.writeHead(201, { 'content-length': 1000 });
        response.write('{"clusterId":');
        request.socket.destroy();
      } else if (behaviour === 'register') {
        const csr = new x509.Pkcs10CertificateRequest(String(body.csr));
        if (!(await csr.verify())) throw new Error('the CSR is not signed by its key');
        const certificate = await ca.sign((await csr.publicKey.export()) as webcrypto.CryptoKey, []);
        response.writeHead(201, { 'content-type': 'application/json' });
        response.end(
          JSON.stringify({
            clusterId: 'c-aaaaaaaaaaaaaaaaaaaaaaaa',
            clusterName: body.clusterName,
            certificate,
            trustBundle,
            logTrust: ca.pem,
            tunnelAddress: api.tunnelAddress,
            clusterToken: 'ccr_secret',
          }),
        );
      } else {
        response.writeHead(behaviour.status, {
          'content-type': 'application/problem+json',
          ...behaviour.headers,
        });
        response.end(JSON.stringify(behaviour.body));
      }
    };
    void answer();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const api: RegistrationApi = {
    tunnelAddress: 'tunnel.test:9000',
    url: `https://localhost:${(server.address() as AddressInfo).port}/stage`,
    ca,
    received,
    behaviours,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
  return api;
}
