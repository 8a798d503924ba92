/** An HTTPS server that answers as a test says, in the place of an API server; and an account's directory for it. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { renewed } from '../../../admission-webhook/tls/tls-material.ts';

export type ApiServer = {
  readonly url: string;
  readonly accountDirectory: string;
  readonly setToken: (token: string) => Promise<void>;
  readonly close: () => Promise<void>;
};

export async function startApiServer(
  serve: (incoming: IncomingMessage, outgoing: ServerResponse, body: string) => void,
): Promise<ApiServer> {
  const made = await renewed(undefined, {
    names: ['127.0.0.1'],
    now: Date.now(),
    random: randomBytes,
    trusted: '',
  });
  if (!made) throw new Error('no certificate');
  const { ca, leaf } = made.material;
  const server = createServer({ cert: leaf.certificate, key: leaf.key }, (incoming, outgoing) => {
    let body = '';
    incoming.setEncoding('utf8').on('data', (text: string) => (body += text));
    incoming.on('end', () => serve(incoming, outgoing, body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accountDirectory = await mkdtemp(path.join(tmpdir(), 'cattery-account-'));
  const setToken = (token: string) => writeFile(path.join(accountDirectory, 'token'), `${token}\n`);
  await writeFile(path.join(accountDirectory, 'ca.crt'), ca.certificate);
  await setToken('first-token');
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accountDirectory,
    setToken,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      await rm(accountDirectory, { recursive: true, force: true });
    },
  };
}
