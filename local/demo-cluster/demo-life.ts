import type { JsonObject, KubeObject } from './kube-json.ts';
import { listAt, numberAt, objectAt, stringsAt, textAt } from './kube-json.ts';
import { demoLabel, nodeFor, runningStatus, stamp as stampOf } from './demo-pod.ts';
import { rollOut } from './demo-rollout.ts';
import type { PodLogs } from './kube-api-log.ts';
import { resourceOf } from './kube-api-resource.ts';
import type { KubeStore } from './kube-api-store.ts';

export type LifeOptions = {
  store: KubeStore;
  logs: PodLogs;
  now?: () => Date;
  /** Between ticks, ms; default 5,000. */
  intervalMs?: number;
  /** Events kept; the oldest go first. Default 60. */
  eventLimit?: number;
};

export type Life = { tick: () => void; stop: () => void };

const pods = resourceOf('', 'pods');
const events = resourceOf('', 'events');
const deployments = resourceOf('apps', 'deployments');

/** The annotation that counts ticks on one pod of the demo, so that a watch of pods emits on each. */
export const counterAnnotation = 'cattery.dev/demo-counter';
/** From a change of a deployment to what follows of it, ms. */
const reactionMs = 100;
const worker = { namespace: 'shop', label: 'orders-worker' };

/**
 * Lets the demo cluster live: on each tick a pod of the shop changes (every fourth time it crashes, then restarts),
 * an event and log lines are added, and deployments get or lose pods until they have what they ask for.
 */
export function startLife(options: LifeOptions): Life {
  const { store, logs } = options;
  const now = options.now ?? (() => new Date());
  const eventLimit = options.eventLimit ?? 60;
  const stamp = () => stampOf(now());
  let count = 0;
  let eventCount = 0;

  function addEvent(object: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void {
    const { name, namespace, uid, resourceVersion } = object.metadata;
    const time = stamp();
    store.create(events, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: {
        name: `${name}.${now().getTime().toString(16)}.${++eventCount}`,
        namespace: namespace ?? 'default',
        labels: demoLabel,
      },
      involvedObject: {
        apiVersion: object.apiVersion,
        kind: object.kind,
        name,
        namespace,
        uid,
        resourceVersion,
      },
      type,
      reason,
      message,
      source: { component: 'cattery-demo' },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
    });
    const oldestFirst = store
      .list(events)
      .sort((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion));
    for (const old of oldestFirst.slice(0, Math.max(0, oldestFirst.length - eventLimit))) {
      store.remove(events, old.metadata.namespace, old.metadata.name);
    }
  }

  function changeWorker(): void {
    const pod = store
      .list(pods, worker.namespace)
      .find(
        (candidate) => stringsAt(candidate, 'metadata', 'labels')['app.kubernetes.io/name'] === worker.label,
      );
    if (!pod) return;
    const status = objectAt(pod, 'status');
    const [container] = listAt(status, 'containerStatuses');
    const step = count % 4;
    let next: JsonObject = status;
    if (step === 2) {
      const state = {
        waiting: { reason: 'CrashLoopBackOff', message: 'back-off restarting failed container (simulated)' },
      };
      const lastState = { terminated: { exitCode: 1, reason: 'Error', finishedAt: stamp() } };
      next = {
        ...status,
        containerStatuses: [{ ...objectAt(container), ready: false, started: false, state, lastState }],
      };
    } else if (step === 3) {
      const restartCount = numberAt(container, 'restartCount') + 1;
      const state = { running: { startedAt: stamp() } };
      next = {
        ...status,
        containerStatuses: [{ ...objectAt(container), ready: true, started: true, restartCount, state }],
      };
    }
    const annotations = { ...stringsAt(pod, 'metadata', 'annotations'), [counterAnnotation]: String(count) };
    const { resourceVersion: _, ...metadata } = pod.metadata;
    const changed = store.update(pods, {
      ...pod,
      metadata: { ...metadata, name: pod.metadata.name, annotations },
      status: next,
    });
    if (step === 2)
      addEvent(changed, 'Warning', 'BackOff', 'Back-off restarting failed container (simulated)');
    else if (step === 3) addEvent(changed, 'Normal', 'Started', 'Started container (simulated)');
    else addEvent(changed, 'Normal', 'Heartbeat', `The demo cluster is alive: tick ${count}`);
  }

  function settlePods(): void {
    for (const pod of store.list(pods)) {
      if (textAt(pod, 'status', 'phase') !== 'Pending') continue;
      const { resourceVersion: _, ...metadata } = pod.metadata;
      const placed: KubeObject = {
        ...pod,
        metadata: { ...metadata, name: pod.metadata.name },
        spec: { ...objectAt(pod, 'spec'), nodeName: textAt(pod, 'spec', 'nodeName') || nodeFor(count) },
      };
      addEvent(
        store.update(pods, { ...placed, status: runningStatus(placed, now()) }),
        'Normal',
        'Started',
        'Started container (simulated)',
      );
    }
  }

  function writeLogs(): void {
    for (const pod of store.list(pods)) {
      const { name, namespace } = pod.metadata;
      if (namespace) logs.append(namespace, name, { at: now(), text: `demo: ${name} says tick ${count}` });
    }
  }

  function tick(): void {
    count += 1;
    for (const deployment of store.list(deployments)) rollOut(deployment, { store, logs, now, addEvent });
    settlePods();
    changeWorker();
    writeLogs();
  }

  // A deployment that was changed does not wait for the next tick: kubectl rollout status would.
  const changed = new Map<string, NodeJS.Timeout>();
  const stopWatching = store.subscribe(deployments, ({ type, object }) => {
    const { namespace, name, uid = '' } = object.metadata;
    const isSettled =
      numberAt(object, 'status', 'observedGeneration') === numberAt(object, 'metadata', 'generation');
    if (type === 'DELETED' || isSettled || changed.has(uid)) return;
    const react = () => {
      changed.delete(uid);
      if (!store.has(deployments, namespace, name)) return;
      rollOut(store.get(deployments, namespace, name), { store, logs, now, addEvent });
    };
    changed.set(uid, setTimeout(react, reactionMs));
  });

  const timer = setInterval(tick, options.intervalMs ?? 5000);
  return {
    tick,
    stop() {
      clearInterval(timer);
      stopWatching();
      for (const waiting of changed.values()) clearTimeout(waiting);
    },
  };
}
