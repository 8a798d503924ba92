/** The Kubernetes API of kube-player.ts over HTTPS, with namespaces that stay as they are: for webhooks in a process of their own. */
import { type ApiServer, startApiServer } from './kubernetes/api-server.ts';
import { KubeApiError } from '../../admission-webhook/kubernetes/kube-api.ts';
import type { KubePlayer } from './kube-player.ts';

export function startKubeServer(kube: KubePlayer): Promise<ApiServer> {
  const answer = async (method: string, path: string, body: string): Promise<unknown> => {
    if (path.startsWith('/api/v1/namespaces?')) {
      return { metadata: { resourceVersion: '1' }, items: [{ metadata: { name: 'shop' } }] };
    }
    if (method === 'PUT') await kube.replace(path, JSON.parse(body) as object);
    else if (method === 'PATCH') await kube.patch(path, JSON.parse(body) as object);
    else return kube.read(path);
    return {};
  };
  return startApiServer((incoming, outgoing, body) => {
    const { method = '', url = '' } = incoming;
    if (url.includes('watch=1')) {
      // A watch on which nothing happens.
      outgoing.writeHead(200).flushHeaders();
      return;
    }
    answer(method, url, body).then(
      (json) => outgoing.writeHead(json === undefined ? 404 : 200).end(JSON.stringify(json ?? {})),
      (error: unknown) => outgoing.writeHead(error instanceof KubeApiError ? error.status : 500).end('{}'),
    );
  });
}
