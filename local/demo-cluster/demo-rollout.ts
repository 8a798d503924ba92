import { isDeepStrictEqual } from 'node:util';
import { nodeFor, podOf, stamp } from './demo-pod.ts';
import type { PodLogs } from './kube-api-log.ts';
import { resourceOf } from './kube-api-resource.ts';
import type { KubeStore } from './kube-api-store.ts';
import { generatedName } from './kube-api-verbs.ts';
import type { Json, JsonObject, KubeObject } from './kube-json.ts';
import { isJsonObject, listAt, numberAt, objectAt, stringsAt, textAt } from './kube-json.ts';

const pods = resourceOf('', 'pods');
const deployments = resourceOf('apps', 'deployments');
const replicaSets = resourceOf('apps', 'replicasets');
const revisionAnnotation = 'deployment.kubernetes.io/revision';
const hashLabel = 'pod-template-hash';

export type RolloutOptions = {
  readonly store: KubeStore;
  readonly logs: PodLogs;
  readonly now: () => Date;
  readonly addEvent: (
    object: KubeObject,
    type: 'Normal' | 'Warning',
    reason: string,
    message: string,
  ) => void;
};

/** A template without the label that its ReplicaSet adds, and without what clients in Go write for nothing (`null`, `{}`). */
function plainTemplate(object: KubeObject): JsonObject {
  const isNothing = (value: Json) =>
    value === null || (isJsonObject(value) && Object.keys(value).length === 0);
  const text = JSON.stringify(objectAt(object, 'spec', 'template'), (name, value: Json) =>
    name !== '' && isNothing(value) ? undefined : value,
  );
  const template = JSON.parse(text) as JsonObject;
  Reflect.deleteProperty(objectAt(template, 'metadata', 'labels'), hashLabel);
  return template;
}

const revisionOf = (object: KubeObject): number =>
  Number(stringsAt(object, 'metadata', 'annotations')[revisionAnnotation] ?? 0);

const withRevision = (object: KubeObject, revision: number): KubeObject['metadata'] => ({
  ...object.metadata,
  annotations: { ...stringsAt(object, 'metadata', 'annotations'), [revisionAnnotation]: String(revision) },
});

const ownedBy = (object: KubeObject, uid: Json | undefined): boolean =>
  listAt(object, 'metadata', 'ownerReferences').some((owner) => textAt(owner, 'uid') === uid);

/** Conditions that a deployment without any trouble has; one that says the same keeps its time. */
function conditionsOf(deployment: KubeObject, time: string): Json[] {
  const wanted: [type: string, reason: string][] = [
    ['Available', 'MinimumReplicasAvailable'],
    ['Progressing', 'NewReplicaSetAvailable'],
  ];
  const before = listAt(deployment, 'status', 'conditions');
  return wanted.map(
    ([type, reason]) =>
      before.find((entry) => textAt(entry, 'type') === type && textAt(entry, 'status') === 'True') ?? {
        type,
        status: 'True',
        reason,
        message: 'Simulated.',
        lastUpdateTime: time,
        lastTransitionTime: time,
      },
  );
}

/** Gives a deployment the ReplicaSet of its template and the pods it asks for, in one step; earlier ReplicaSets lose theirs. */
export function rollOut(deployment: KubeObject, { store, logs, now, addEvent }: RolloutOptions): void {
  const { namespace, name, uid } = deployment.metadata;
  const wanted = numberAt(deployment, 'spec', 'replicas');
  const template = plainTemplate(deployment);
  const sets = store.list(replicaSets, namespace).filter((candidate) => ownedBy(candidate, uid));
  const latest = Math.max(0, ...sets.map(revisionOf));
  const known = sets.find((candidate) => isDeepStrictEqual(plainTemplate(candidate), template));
  const revision = known && revisionOf(known) === latest ? latest : latest + 1;
  const current = known ?? store.create(replicaSets, replicaSetOf(deployment, template));
  for (const other of sets) if (other !== known) scaleTo(other, 0, revisionOf(other));
  scaleTo(current, wanted, Math.max(revision, 1));

  const counts = { replicas: wanted, readyReplicas: wanted, availableReplicas: wanted };
  store.update(deployments, {
    ...deployment,
    metadata: { ...withRevision(deployment, Math.max(revision, 1)), name, resourceVersion: undefined },
    status: {
      ...objectAt(deployment, 'status'),
      ...counts,
      updatedReplicas: wanted,
      observedGeneration: numberAt(deployment, 'metadata', 'generation'),
      conditions: conditionsOf(deployment, stamp(now())),
    },
  });

  function scaleTo(set: KubeObject, replicas: number, asRevision: number): void {
    const running = store.list(pods, namespace).filter((pod) => ownedBy(pod, set.metadata.uid));
    for (const pod of running.slice(replicas)) {
      store.remove(pods, namespace, pod.metadata.name);
      if (namespace) logs.forget(namespace, pod.metadata.name);
      addEvent(set, 'Normal', 'SuccessfulDelete', `Deleted pod: ${pod.metadata.name}`);
    }
    for (let index = running.length; index < replicas; index++) {
      const pod = store.create(
        pods,
        podOf(set, generatedName(`${set.metadata.name}-`), nodeFor(index), now()),
      );
      addEvent(set, 'Normal', 'SuccessfulCreate', `Created pod: ${pod.metadata.name}`);
    }
    store.update(replicaSets, {
      ...set,
      metadata: { ...withRevision(set, asRevision), name: set.metadata.name, resourceVersion: undefined },
      spec: { ...objectAt(set, 'spec'), replicas },
      status: {
        replicas,
        readyReplicas: replicas,
        availableReplicas: replicas,
        observedGeneration: numberAt(set, 'metadata', 'generation'),
      },
    });
  }
}

function replicaSetOf(deployment: KubeObject, template: JsonObject): KubeObject {
  const { namespace, name, uid } = deployment.metadata;
  const setName = generatedName(`${name}-`);
  const hash = { [hashLabel]: setName.slice(name.length + 1) };
  const labels = { ...stringsAt(template, 'metadata', 'labels'), ...hash };
  const selector = objectAt(deployment, 'spec', 'selector');
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: setName,
      namespace,
      labels,
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'Deployment', name, uid, controller: true, blockOwnerDeletion: true },
      ],
    },
    spec: {
      replicas: 0,
      selector: { ...selector, matchLabels: { ...stringsAt(selector, 'matchLabels'), ...hash } },
      template: { ...template, metadata: { ...objectAt(template, 'metadata'), labels } },
    },
  };
}
