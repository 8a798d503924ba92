/** The demo's stand-in for Guardian: started by main.ts or a test, it keeps one tunnel to the control plane. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { connect } from 'node:tls';
import { YamuxSession } from '../../tunnel-fargate/yamux/session.ts';
import type { PushResult } from './agent-flows.ts';
import { startEmitter } from './agent-flows.ts';
import type { KubeApiAccess, ProxyOptions } from './agent-proxy.ts';
import { startProxy } from './agent-proxy.ts';
import { certificatesOf, parseTunnelAddress, readTrustBundle } from './agent-trust.ts';
import type { JsonObject } from './kube-json.ts';

/**
 * Where the tunnel stands. `connected` means the handshake is done on this side: under TLS 1.3 a refused client
 * believes so too, until the server closes.
 */
export type AgentState = {
  phase: 'dialling' | 'connected' | 'waiting' | 'closed';
  since: Date;
  /** Why the last dial or session ended. */
  reason?: string;
};

export type AgentOptions = {
  /** `host:port` */
  tunnelAddress: string;
  /** PEM: the cluster's private key and its certificate. */
  key: string;
  certificate: string;
  /** PEM: `management-cluster.crt`, the name-giving certificate first, then the roots. */
  trustBundle: string;
  /** PEM: the only roots for what this side sends (flows). */
  logTrust: string;
  kubeApi: KubeApiAccess;
  onState?: (state: AgentState) => void;
  statistics?: ProxyOptions['statistics'];
  /** Between the reply to a ping and the next, ms; default 100. */
  pingIntervalMs?: number;
  /** Sessions begin at least this far apart, ms; default 2,000. */
  sessionIntervalMs?: number;
  /** After a dial that failed, ms; default 5,000. */
  redialIntervalMs?: number;
  /** For TCP and TLS together, ms; default 10,000. */
  dialTimeoutMs?: number;
  /** See EmitterOptions. */
  flowRetryMs?: number;
  flowRetryLimitMs?: number;
  now?: () => Date;
};

export type DemoAgent = {
  readonly state: AgentState;
  /** Sends flows as Goldmane does; resolves when they are delivered or given up, never rejects. */
  pushFlows: (flows: JsonObject[]) => Promise<PushResult>;
  /** Ends the tunnel in order (TLS close_notify, FIN), within a second. */
  close: () => Promise<void>;
};

const closeBoundMs = 800;
const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/**
 * Starts dialling and keeps at it until closed.
 * @throws AgentError when the trust bundle or the address cannot be used: retrying would not help
 */
export function startAgent(options: AgentOptions): DemoAgent {
  const { host, port } = parseTunnelAddress(options.tunnelAddress);
  const { name, roots } = readTrustBundle(options.trustBundle);
  const logRoots = certificatesOf(options.logTrust);
  const now = options.now ?? (() => new Date());
  const stopped = new AbortController();
  const { signal } = stopped;
  let state: AgentState = { phase: 'dialling', since: now() };
  let sessionBegan = -Infinity;
  let current: { session: YamuxSession; socket: TLSSocket } | undefined;

  const proxy = startProxy({
    certificate: options.certificate,
    key: options.key,
    kubeApi: options.kubeApi,
    serverAddress: () => current?.socket.remoteAddress ?? '',
    statistics: options.statistics,
  });
  const emitter = startEmitter({
    open: () => {
      if (!current) throw new Error('there is no tunnel');
      return current.session.open();
    },
    roots: logRoots,
    retryMs: options.flowRetryMs,
    retryLimitMs: options.flowRetryLimitMs,
  });

  function enter(phase: AgentState['phase'], reason?: string): void {
    state = { phase, since: now(), ...(reason === undefined ? {} : { reason }) };
    options.onState?.(state);
  }

  async function dial(): Promise<TLSSocket> {
    const socket = connect({
      host,
      port,
      servername: name,
      ca: roots,
      cert: options.certificate,
      key: options.key,
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
    });
    socket.setNoDelay(true);
    const bound = AbortSignal.any([signal, AbortSignal.timeout(options.dialTimeoutMs ?? 10_000)]);
    try {
      await once(socket, 'secureConnect', { signal: bound });
      return socket;
    } catch (error) {
      socket.on('error', () => undefined);
      socket.destroy();
      throw error;
    }
  }

  /** Guardian asks again only after the reply to its last ping. */
  async function keepAlive(session: YamuxSession, over: AbortSignal): Promise<void> {
    try {
      for (;;) {
        await delay(options.pingIntervalMs ?? 100, undefined, { signal: over });
        await session.ping();
      }
    } catch {
      // The session is over; its own 'close' says why.
    }
  }

  async function runSession(socket: TLSSocket): Promise<string> {
    const session = new YamuxSession(socket, { role: 'client', acceptBacklog: 1000, pingTimeoutMs: 10_000 });
    const over = new AbortController();
    current = { session, socket };
    session.on('stream', (stream) => proxy.serve(stream));
    enter('connected');
    sessionBegan = performance.now();
    void keepAlive(session, over.signal);
    const reason = await new Promise<string>((resolve) => {
      session.on('close', (error) => resolve(error ? `${error.code}: ${error.message}` : 'closed'));
    });
    over.abort();
    current = undefined;
    return reason;
  }

  async function run(): Promise<void> {
    let reason: string | undefined;
    for (;;) {
      enter('dialling', reason);
      const pause = { ms: options.redialIntervalMs ?? 5000 };
      try {
        reason = await runSession(await dial());
        pause.ms = Math.max(0, (options.sessionIntervalMs ?? 2000) - (performance.now() - sessionBegan));
      } catch (error) {
        reason = reasonOf(error);
      }
      if (signal.aborted) return;
      enter('waiting', reason);
      await delay(pause.ms, undefined, { signal }).catch(() => undefined);
    }
  }
  const running = run();

  async function stop(): Promise<void> {
    stopped.abort();
    emitter.stop();
    if (current) {
      const { session, socket } = current;
      const bound = setTimeout(() => socket.destroy(), closeBoundMs);
      await session.close();
      clearTimeout(bound);
    }
    await running;
    proxy.close();
    enter('closed');
  }
  let closing: Promise<void> | undefined;

  return {
    get state() {
      return state;
    },
    pushFlows: (flows) => emitter.push(flows),
    close: () => (closing ??= stop()),
  };
}
