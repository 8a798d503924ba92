import type { DemoAgent } from './agent.ts';
import type { JsonObject } from './kube-json.ts';

type Talk = {
  from: [namespace: string, name: string] | 'pub';
  to: [namespace: string, name: string] | 'pub';
  port: number;
  allowed: boolean;
  /** Bytes a second, roughly. */
  rate: number;
};

/** Who talks to whom in the demo's shop. */
const talks: Talk[] = [
  { from: 'pub', to: ['shop', 'frontend'], port: 8080, allowed: true, rate: 5200 },
  { from: ['shop', 'frontend'], to: ['shop', 'cart'], port: 8081, allowed: true, rate: 1800 },
  { from: ['shop', 'frontend'], to: ['kube-system', 'coredns'], port: 53, allowed: true, rate: 120 },
  { from: ['shop', 'orders-worker'], to: ['shop', 'cart'], port: 8081, allowed: false, rate: 60 },
];

// Numbers as Goldmane's protobuf enums go out (protocol/guardian.md §4.1).
const workload = 1;
const network = 4;
const allow = 1;
const deny = 2;
const atSource = 1;
const atDestination = 2;

function sideOf(side: Talk['from'], prefix: 'source' | 'dest'): JsonObject {
  if (side === 'pub') return { [`${prefix}_name`]: 'pub', [`${prefix}_type`]: network };
  return {
    [`${prefix}_name`]: `${side[1]}-*`,
    [`${prefix}_namespace`]: side[0],
    [`${prefix}_type`]: workload,
  };
}

/**
 * Flows of the demo's shop over a window, in Goldmane's JSON; times in unix seconds. The same window gives the
 * same flows. Zero values are left out, as Go leaves them out.
 */
export function demoFlows(startSeconds: number, endSeconds: number): JsonObject[] {
  return talks.map((talk, index) => {
    const seconds = endSeconds - startSeconds;
    const bytes = Math.round(talk.rate * seconds * (0.8 + ((startSeconds * 7 + index * 13) % 40) / 100));
    const action = talk.allowed ? allow : deny;
    const labels = (side: Talk['from']) =>
      side === 'pub' ? [] : [`app.kubernetes.io/name=${side[1]}`, 'cattery.dev/demo=true'];
    const [sourceLabels, destLabels] = [labels(talk.from), labels(talk.to)];
    const policy =
      talk.to !== 'pub' && talk.to[1] === 'cart'
        ? { kind: 6, namespace: 'shop', name: 'cart-from-frontend', tier: 'default', action }
        : { kind: 9, name: `kns.${talk.to === 'pub' ? 'default' : talk.to[0]}`, action };
    return {
      Key: {
        ...sideOf(talk.from, 'source'),
        ...sideOf(talk.to, 'dest'),
        dest_port: talk.port,
        ...(talk.to === 'pub'
          ? {}
          : {
              dest_service_name: talk.to[1],
              dest_service_namespace: talk.to[0],
              dest_service_port: talk.port,
            }),
        proto: talk.port === 53 ? 'udp' : 'tcp',
        reporter: talk.from === 'pub' || !talk.allowed ? atDestination : atSource,
        action,
        policies: { enforced_policies: [policy] },
      },
      start_time: startSeconds,
      end_time: endSeconds,
      ...(sourceLabels.length ? { source_labels: sourceLabels } : {}),
      ...(destLabels.length ? { dest_labels: destLabels } : {}),
      packets_in: Math.max(1, Math.round(bytes / 900)),
      ...(talk.allowed ? { packets_out: Math.max(1, Math.round(bytes / 700)), bytes_out: bytes * 3 } : {}),
      bytes_in: bytes,
      num_connections_started: Math.max(1, Math.round(seconds / 5)),
      ...(talk.allowed ? { num_connections_completed: Math.max(1, Math.round(seconds / 5)) } : {}),
    };
  });
}

export type FlowEmission = { stop: () => void };

/** Pushes the demo's flows of the past window every `intervalMs` (default 60,000) while the tunnel is up. */
export function startFlowEmission(
  agent: Pick<DemoAgent, 'state' | 'pushFlows'>,
  options: {
    intervalMs?: number;
    now?: () => Date;
    onPushed?: (outcome: string, flows: number) => void;
  } = {},
): FlowEmission {
  const now = options.now ?? (() => new Date());
  let windowStart = Math.floor(now().getTime() / 1000);
  const timer = setInterval(() => {
    const end = Math.floor(now().getTime() / 1000);
    // Nothing is lost while the tunnel is down: the window only grows until it is back.
    if (agent.state.phase !== 'connected' || end <= windowStart) return;
    const flows = demoFlows(windowStart, end);
    windowStart = end;
    void agent.pushFlows(flows).then(({ outcome }) => options.onPushed?.(outcome, flows.length));
  }, options.intervalMs ?? 60_000);
  return { stop: () => clearInterval(timer) };
}
