import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent, request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { KubeApiAccess } from '../../local/demo-cluster/agent-proxy.ts';
import { logEndpointName } from '../tunnel-fargate/certificates.ts';
import { GoProcess } from './go-process.ts';

type AgentOptions = {
  /** `host:port` */
  readonly tunnelAddress: string;
  /** PEM, as registration answers them. */
  readonly certificate: string;
  readonly key: string;
  readonly trustBundle: string;
  readonly kubeApi: KubeApiAccess;
  /** On the way to the tunnel; `roots`: of an https proxy. */
  readonly proxy?: { readonly url: string; readonly roots?: string };
  /** Further flags of the agent; without any it keeps Guardian's times. */
  readonly flags?: Readonly<Record<string, string>>;
};

/** The Go agent with the files that Guardian would find mounted. */
export type GoAgent = { readonly go: GoProcess; close(): Promise<void> };

export async function startGoAgent(options: AgentOptions): Promise<GoAgent> {
  const directory = await mkdtemp(path.join(tmpdir(), 'cattery-go-agent-'));
  const file = async (name: string, text: string) => {
    await writeFile(path.join(directory, name), text, { mode: 0o600 });
    return path.join(directory, name);
  };
  const { tunnelAddress, certificate, key, trustBundle, kubeApi, proxy, flags } = options;
  const go = new GoProcess('agent', {
    tunnel: tunnelAddress,
    trust: await file('management-cluster.crt', trustBundle),
    certificate: await file('managed-cluster.crt', certificate),
    key: await file('managed-cluster.key', key),
    'kube-url': kubeApi.url,
    'kube-ca': await file('ca.crt', kubeApi.ca),
    'kube-token': await file('token', kubeApi.token),
    ...(proxy ? { proxy: proxy.url, 'proxy-roots': await file('proxy.crt', proxy.roots ?? '') } : {}),
    ...flags,
  });
  const close = async () => {
    await go.stop();
    await rm(directory, { recursive: true, force: true });
  };
  return { go, close };
}

/**
 * One POST of flows to the agent's own listener, verified as Goldmane verifies it; gives the status. Goldmane keeps its
 * connection; `close` asks for `Connection: close`.
 */
export function postFlows(address: string, roots: string, body: string, close = false): Promise<number> {
  const [host, port] = address.split(':');
  const agent = new Agent({ keepAlive: !close });
  return new Promise((resolve, reject) => {
    const request = httpsRequest({
      host,
      port,
      agent,
      servername: logEndpointName,
      ca: roots,
      method: 'POST',
      path: '/api/v1/flows/bulk',
      headers: {
        host: 'guardian.calico-system.svc.cluster.local:443',
        'content-type': 'application/x-ndjson',
        'content-length': Buffer.byteLength(body),
      },
    });
    request.on('error', reject);
    request.on('response', (response) => {
      response.resume().on('end', () => {
        agent.destroy();
        resolve(response.statusCode ?? 0);
      });
    });
    request.end(body);
  });
}
