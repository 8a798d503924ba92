import { createServer, type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { channelProtocols, Channels } from './kube-api-channels.ts';
import { serveAttach, serveExec } from './kube-api-exec.ts';
import type { PodLogs } from './kube-api-log.ts';
import { type Dial, portForwardProtocol, servePortForward } from './kube-api-port-forward.ts';
import type { ResourcePath } from './kube-api-request.ts';
import { resourceOf } from './kube-api-resource.ts';
import { KubeError, noSuchPath } from './kube-api-status.ts';
import type { KubeStore } from './kube-api-store.ts';
import { type KubeObject, listAt, numberAt, objectAt, textAt } from './kube-json.ts';
import { PodFiles } from './pod-files.ts';
import type { PodPlace } from './pod-shell.ts';

type UpgradeOptions = { readonly store: KubeStore; readonly logs: PodLogs };

export type Upgrades = {
  /** Answers on the bare socket. @throws KubeError before the first byte */
  serve: (
    call: { request: IncomingMessage; socket: Duplex; head: Buffer; query: URLSearchParams },
    path: ResourcePath,
  ) => void;
  close: () => void;
};

/** A refused upgrade's answer: the bare socket has no response object. */
export function refuseUpgrade(socket: Duplex, error: KubeError): void {
  const body = `${JSON.stringify(error.toStatus())}\n`;
  const head = [
    `HTTP/1.1 ${error.code} ${STATUS_CODES[error.code] ?? 'Error'}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.on('error', () => undefined);
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** exec, attach and port-forward of the demo's pods, over WebSocket. */
export function podUpgrades({ store, logs }: UpgradeOptions): Upgrades {
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: true,
    perMessageDeflate: false,
    maxPayload: 4 * 1024 * 1024,
  });
  const agreed = new WeakMap<IncomingMessage, string>();
  sockets.on('headers', (headers, request) => {
    headers.push(`Sec-WebSocket-Protocol: ${agreed.get(request) ?? ''}`);
  });
  /** Each pod's files by its UID. */
  const files = new Map<string, PodFiles>();
  const web = createServer((request, response) => {
    const { pod = 'a pod', port } = served.get(request.socket) ?? {};
    response.setHeader('content-type', 'text/plain; charset=utf-8');
    response.end(`${pod}, port ${port}: ${request.method ?? ''} ${request.url ?? ''}\n`);
  });
  const served = new WeakMap<object, { pod: string; port: number }>();

  const forget = store.subscribe(resourceOf('', 'pods'), ({ type, object }) => {
    if (type === 'DELETED') files.delete(textAt(object, 'metadata', 'uid'));
  });

  function filesOf(pod: KubeObject): PodFiles {
    const uid = textAt(pod, 'metadata', 'uid');
    const known = files.get(uid);
    if (known) return known;
    const made = new PodFiles({
      '/etc/hostname': `${pod.metadata.name}\n`,
      '/app/README': `This container is simulated: it is a few commands of the demo's API server.\n`,
    });
    files.set(uid, made);
    return made;
  }

  function placeOf(pod: KubeObject, container: string): PodPlace {
    const hostname = pod.metadata.name;
    const [spec] = listAt(pod, 'spec', 'containers').filter((entry) => textAt(entry, 'name') === container);
    const given = listAt(spec, 'env').map(
      (entry) => [textAt(entry, 'name'), textAt(entry, 'value')] as const,
    );
    return {
      hostname,
      environment: { HOSTNAME: hostname, PATH: '/bin', ...Object.fromEntries(given) },
      files: filesOf(pod),
    };
  }

  const dialOf =
    (pod: KubeObject): Dial =>
    (port, connection) => {
      const ports = listAt(pod, 'spec', 'containers').flatMap((entry) => listAt(entry, 'ports'));
      if (!ports.some((entry) => numberAt(entry, 'containerPort') === port)) return false;
      served.set(connection, { pod: pod.metadata.name, port });
      web.emit('connection', connection);
      return true;
    };

  /** Aborted when that pod is deleted. */
  function goneOf(pod: KubeObject, path: ResourcePath): AbortSignal {
    const gone = new AbortController();
    const stop = store.subscribe(path.resource, ({ type, object }) => {
      if (type !== 'DELETED' || object.metadata.uid !== pod.metadata.uid) return;
      gone.abort();
    });
    gone.signal.addEventListener('abort', stop, { once: true });
    return gone.signal;
  }

  function handlerOf(pod: KubeObject, path: ResourcePath, query: URLSearchParams) {
    const names = listAt(pod, 'spec', 'containers').map((entry) => textAt(entry, 'name'));
    const container = query.get('container') ?? names[0] ?? '';
    const { name } = pod.metadata;
    if (!names.includes(container)) {
      throw new KubeError('BadRequest', `container ${container} is not valid for pod ${name}`);
    }
    if (textAt(objectAt(pod, 'status'), 'phase') !== 'Running') {
      throw new KubeError('BadRequest', `pod ${name} is not running`);
    }
    if (path.subresource === 'portforward') {
      return (socket: WebSocket) => servePortForward(socket, name, dialOf(pod));
    }
    if (path.subresource === 'attach') {
      const place = { logs, namespace: path.namespace ?? '', pod: name, gone: goneOf(pod, path) };
      return (socket: WebSocket, protocol: string) =>
        serveAttach(new Channels(socket, protocol), query, place);
    }
    if (path.subresource !== 'exec') throw noSuchPath();
    if (query.getAll('command').length === 0) {
      throw new KubeError('BadRequest', 'you must specify at least 1 command for the container');
    }
    return (socket: WebSocket, protocol: string) =>
      serveExec(new Channels(socket, protocol), query, placeOf(pod, container));
  }

  return {
    serve({ request, socket, head, query }, path) {
      const pod = store.get(path.resource, path.namespace, path.name ?? '');
      const handler = handlerOf(pod, path, query);
      if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
        const protocol = request.headers.upgrade ?? '';
        throw new KubeError(
          'BadRequest',
          `the demo speaks WebSocket here, not ${protocol}: use kubectl 1.31 or later`,
        );
      }
      const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
      const known = path.subresource === 'portforward' ? [portForwardProtocol] : channelProtocols;
      const protocol = known.find((name) => offered.includes(name));
      if (protocol === undefined) {
        throw new KubeError(
          'BadRequest',
          `none of the sub-protocols is known; known are ${known.join(', ')}`,
        );
      }
      // "SPDY/3.1+portforward.k8s.io" is no token (RFC 6455 §4.1), so the library would refuse it: it never sees it.
      delete request.headers['sec-websocket-protocol'];
      agreed.set(request, protocol);
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        handler(webSocket, protocol).catch(() => webSocket.terminate());
      });
    },
    close() {
      forget();
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      web.closeAllConnections();
    },
  };
}
