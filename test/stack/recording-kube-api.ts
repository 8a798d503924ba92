import { once } from 'node:events';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { KubeApiAccess } from '../../local/demo-cluster/agent-proxy.ts';
import { makeServerCertificate } from '../../local/demo-cluster/kube-api-certificate.ts';

export type Received = {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** As sent, name and value in turn. */
  readonly raw: readonly string[];
};

/** A cluster's API server that only says what reached it: every list is empty, every watch begins with one event and stays. */
export type RecordingKubeApi = KubeApiAccess & {
  readonly received: Received[];
  close(): Promise<void>;
};

const event = { type: 'ADDED', object: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'recorded' } } };

export async function startRecordingKubeApi(): Promise<RecordingKubeApi> {
  const { ca, key, certificate } = await makeServerCertificate(new Date());
  const received: Received[] = [];
  const server = createServer({ key, cert: certificate }, (request, response) => {
    const { method = '', url = '', headers, rawHeaders: raw } = request;
    received.push({ method, url, headers, raw });
    response.writeHead(200, { 'content-type': 'application/json' });
    if (url.includes('watch=')) response.write(`${JSON.stringify(event)}\n`);
    else response.end(JSON.stringify({ apiVersion: 'v1', kind: 'PodList', metadata: {}, items: [] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca,
    token: 'the-own-token-of-the-agent',
    received,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
