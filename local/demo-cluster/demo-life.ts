import type { JsonObject, KubeObject } from './kube-json.ts';
import { listAt, numberAt, objectAt, stringsAt, textAt } from './kube-json.ts';
import { demoLabel, nodeFor, podOf, runningStatus, stamp as stampOf } from './demo-pod.ts';
import type { PodLogs } from './kube-api-log.ts';
import { resourceOf } from './kube-api-resource.ts';
import type { KubeStore } from './kube-api-store.ts';
import { generatedName } from './kube-api-verbs.ts';

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
const replicaSets = resourceOf('apps', 'replicasets');

/** The annotation that counts ticks on one pod of the demo, so that a watch of pods emits on each. */
export const counterAnnotation = 'cattery.dev/demo-counter';
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

  /** Pods for what a deployment asks, the way a ReplicaSet controller would, in one step. */
  function reconcile(deployment: KubeObject): void {
    const { namespace, name, uid } = deployment.metadata;
    const wanted = numberAt(deployment, 'spec', 'replicas');
    const set =
      store
        .list(replicaSets, namespace)
        .find((candidate) =>
          listAt(candidate, 'metadata', 'ownerReferences').some((owner) => textAt(owner, 'uid') === uid),
        ) ??
      store.create(replicaSets, {
        apiVersion: 'apps/v1',
        kind: 'ReplicaSet',
        metadata: {
          name: generatedName(`${name}-`),
          namespace,
          labels: stringsAt(deployment, 'spec', 'template', 'metadata', 'labels'),
          annotations: { 'deployment.kubernetes.io/revision': '1' },
          ownerReferences: [
            {
              apiVersion: 'apps/v1',
              kind: 'Deployment',
              name,
              uid,
              controller: true,
              blockOwnerDeletion: true,
            },
          ],
        },
        spec: {
          replicas: wanted,
          selector: objectAt(deployment, 'spec', 'selector'),
          template: objectAt(deployment, 'spec', 'template'),
        },
      });
    const template = objectAt(deployment, 'spec', 'template');
    const running = store
      .list(pods, namespace)
      .filter((pod) =>
        listAt(pod, 'metadata', 'ownerReferences').some((owner) => textAt(owner, 'uid') === set.metadata.uid),
      );
    for (const pod of running.slice(wanted)) {
      store.remove(pods, namespace, pod.metadata.name);
      if (namespace) logs.forget(namespace, pod.metadata.name);
      addEvent(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
    }
    for (let index = running.length; index < wanted; index++) {
      const pod = store.create(
        pods,
        podOf(
          { ...set, spec: { ...objectAt(set, 'spec'), template } },
          generatedName(`${set.metadata.name}-`),
          nodeFor(index),
          now(),
        ),
      );
      addEvent(set, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
    }
    const counts = { replicas: wanted, readyReplicas: wanted, availableReplicas: wanted };
    const { resourceVersion: _set, ...setMetadata } = set.metadata;
    store.update(replicaSets, {
      ...set,
      metadata: { ...setMetadata, name: set.metadata.name },
      spec: { ...objectAt(set, 'spec'), replicas: wanted },
      status: { ...counts, observedGeneration: numberAt(set, 'metadata', 'generation') },
    });
    const { resourceVersion: _deployment, ...metadata } = deployment.metadata;
    store.update(deployments, {
      ...deployment,
      metadata: { ...metadata, name },
      status: {
        ...objectAt(deployment, 'status'),
        ...counts,
        updatedReplicas: wanted,
        observedGeneration: numberAt(deployment, 'metadata', 'generation'),
      },
    });
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
    for (const deployment of store.list(deployments)) reconcile(deployment);
    settlePods();
    changeWorker();
    writeLogs();
  }

  const timer = setInterval(tick, options.intervalMs ?? 5000);
  return { tick, stop: () => clearInterval(timer) };
}
