import { createHash } from 'node:crypto';
import type { JsonObject, KubeObject } from './kube-json.ts';
import { objectAt, stringsAt } from './kube-json.ts';

/** What every object of the demo carries. */
export const demoLabel = { 'cattery.dev/demo': 'true' };

/** The nodes of the demo cluster; the first is the control plane. */
export const nodeNames = ['demo-control-plane', 'demo-worker-1', 'demo-worker-2'];

const letters = 'bcdfghjklmnpqrstvwxz2456789';
/** Letters that spell nothing, always the same for one seed. */
export const word = (seed: string, length: number) =>
  [...createHash('sha256').update(seed).digest().subarray(0, length)]
    .map((byte) => letters[byte % letters.length])
    .join('');
/** A time the way Kubernetes writes it, to the second. */
export const stamp = (date: Date) => date.toISOString().replace(/\.\d+Z$/, 'Z');

function addressOf(node: string, name: string): string {
  const [byte = 0] = createHash('sha256').update(name).digest();
  return `10.244.${Math.max(0, nodeNames.indexOf(node))}.${(byte % 250) + 4}`;
}

/** What a running pod's status looks like, its containers having started at `startedAt`. */
export function runningStatus(pod: KubeObject, startedAt: Date): JsonObject {
  const spec = objectAt(pod, 'spec');
  const containers = Array.isArray(spec.containers) ? spec.containers : [];
  const node = typeof spec.nodeName === 'string' ? spec.nodeName : '';
  const time = stamp(startedAt);
  return {
    phase: 'Running',
    hostIP: `192.0.2.${nodeNames.indexOf(node) + 10}`,
    podIP: addressOf(node, pod.metadata.name),
    startTime: time,
    qosClass: 'BestEffort',
    conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
      type,
      status: 'True',
      lastTransitionTime: time,
    })),
    containerStatuses: containers.map((container) => ({
      name: objectAt(container).name,
      image: objectAt(container).image,
      imageID: '',
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: time } },
      lastState: {},
    })),
  };
}

/** A pod of a workload's template, scheduled and running. */
export function podOf(owner: KubeObject, name: string, node: string, startedAt: Date): KubeObject {
  const template = objectAt(owner, 'spec', 'template');
  const pod: KubeObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: owner.metadata.namespace,
      labels: { ...stringsAt(template, 'metadata', 'labels'), ...demoLabel },
      creationTimestamp: stamp(startedAt),
      ownerReferences: [
        {
          apiVersion: owner.apiVersion,
          kind: owner.kind,
          name: owner.metadata.name,
          uid: owner.metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: { ...objectAt(template, 'spec'), nodeName: node, restartPolicy: 'Always' },
  };
  return { ...pod, status: runningStatus(pod, startedAt) };
}

/** The node that the next pod of a workload goes to. */
export function nodeFor(index: number): string {
  return nodeNames[1 + (index % (nodeNames.length - 1))] ?? 'demo-worker-1';
}
