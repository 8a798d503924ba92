import { request as httpRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'node:tls';
import { ignoreErrors } from './agent-stream.ts';
import type { JsonObject } from './kube-json.ts';

/** SNI and verified name of the log endpoint (protocol/guardian.md §4.1). */
export const logEndpointName = 'tigera-linseed.tigera-elasticsearch.svc';

/** What became of a push: a newer push that got through first makes Goldmane skip an older one silently. */
export type PushResult = { outcome: 'delivered' | 'skipped' | 'dropped' | 'stopped'; attempts: number };

export type EmitterOptions = {
  /** A new stream to the control plane; throws while there is no session. */
  open: () => Duplex;
  /** PEM roots for the inner TLS. */
  roots: string[];
  /** First wait before a retry, ms; it doubles up to `retryLimitMs`. Defaults 1,000 and 30,000. */
  retryMs?: number | undefined;
  retryLimitMs?: number | undefined;
  /** Retries after the first attempt. Default 15. */
  retries?: number | undefined;
};

export type Emitter = {
  /** POSTs flows as one bulk, one JSON object a line; never rejects. */
  push: (flows: JsonObject[]) => Promise<PushResult>;
  stop: () => void;
};

/** JSON as Go's encoder writes it: `<`, `>`, `&` and the line separators escaped. */
export function goJson(value: JsonObject): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** One POST on a stream of its own; resolves with the status. */
async function post(stream: Duplex, roots: string[], body: string, signal: AbortSignal): Promise<number> {
  const socket = connect({
    socket: stream,
    servername: logEndpointName,
    ca: roots,
    minVersion: 'TLSv1.2',
    rejectUnauthorized: true,
  });
  ignoreErrors(stream);
  try {
    return await new Promise((resolve, reject) => {
      socket.on('error', reject);
      stream.on('close', () => reject(new Error('the stream closed before the answer')));
      const request = httpRequest({
        createConnection: () => socket,
        signal,
        method: 'POST',
        path: '/api/v1/flows/bulk',
        headers: {
          host: 'guardian.calico-system.svc.cluster.local:443',
          'content-type': 'application/x-ndjson',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'cattery-demo-agent',
        },
      });
      request.removeHeader('connection');
      request.on('error', reject);
      request.on('response', (response) => {
        // The answer's body is closed unread.
        resolve(response.statusCode ?? 0);
        response.destroy();
      });
      request.end(body);
    });
  } finally {
    socket.on('error', () => undefined);
    socket.end();
    stream.end();
  }
}

/** Goldmane's emitter: one POST at a time, success is exactly 200, retries with growing waits. */
export function startEmitter(options: EmitterOptions): Emitter {
  const stopped = new AbortController();
  const { signal } = stopped;
  let lock: Promise<unknown> = Promise.resolve();
  let sequence = 0;
  let delivered = 0;

  /** The status, or 'skipped' where a newer push got through before this one had its turn. */
  function attempt(body: string, mine: number): Promise<number | 'skipped'> {
    const turn = lock.then(async () => {
      if (delivered > mine) return 'skipped';
      const status = await post(options.open(), options.roots, body, signal);
      if (status === 200) delivered = Math.max(delivered, mine);
      return status;
    });
    lock = turn.catch(() => undefined);
    return turn;
  }

  async function push(flows: JsonObject[]): Promise<PushResult> {
    const mine = ++sequence;
    const body = flows.map(goJson).join('\n');
    const retries = options.retries ?? 15;
    let wait = options.retryMs ?? 1000;
    for (let attempts = 1; ; attempts++) {
      const outcome = await attempt(body, mine).catch(() => 0);
      if (outcome === 200) return { outcome: 'delivered', attempts };
      if (outcome === 'skipped') return { outcome: 'skipped', attempts: attempts - 1 };
      if (signal.aborted) return { outcome: 'stopped', attempts };
      if (attempts > retries) return { outcome: 'dropped', attempts };
      await delay(wait, undefined, { signal }).catch(() => undefined);
      wait = Math.min(wait * 2, options.retryLimitMs ?? 30_000);
    }
  }

  return { push, stop: () => stopped.abort() };
}
