import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

/** An issuer on loopback of which a test decides everything: it speaks no flow, it only answers. */
export type FakeIssuer = {
  readonly issuer: string;
  /** Added to its discovery document. */
  metadata: Record<string, unknown>;
  /** Answers a request for tokens. */
  onToken: (response: ServerResponse, form: URLSearchParams) => void;
  idToken(claims?: Record<string, unknown>): Promise<string>;
  close(): void;
};

export const clientId = 'cli';
export const subject = 'me';

export const sendJson = (response: ServerResponse, body: unknown, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
};

export async function fakeIssuer(): Promise<FakeIssuer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), alg: 'ES256', kid: '1' };
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    request.on('end', () => {
      if (request.url === '/token') fake.onToken(response, new URLSearchParams(text));
      else if (request.url === '/jwks') sendJson(response, { keys: [jwk] });
      else {
        const endpoints = { authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token` };
        const jwks = { jwks_uri: `${issuer}/jwks`, id_token_signing_alg_values_supported: ['ES256'] };
        sendJson(response, { issuer, ...endpoints, ...jwks, ...fake.metadata });
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const fake: FakeIssuer = {
    issuer,
    metadata: {},
    onToken: (response) => sendJson(response, { error: 'invalid_grant' }, 400),
    idToken: (claims = {}) =>
      new SignJWT({ email: 'me@demo.example', sub: subject, aud: clientId, ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: '1' })
        .setIssuer(issuer)
        .setIssuedAt()
        .setExpirationTime('1h')
        .sign(privateKey),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return fake;
}
