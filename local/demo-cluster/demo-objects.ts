import type { JsonObject } from './kube-json.ts';
import { demoLabel, nodeFor, nodeNames, podOf, stamp, word } from './demo-pod.ts';
import { resourceOf } from './kube-api-resource.ts';
import type { KubeStore } from './kube-api-store.ts';

/** The Calico release that the demo cluster pretends to run. */
export const calicoVersion = 'v3.32.1';
/** The Kubernetes release that it pretends to run. */
export const kubernetesVersion = 'v1.33.5';

/** How many nodes the demo cluster has. */
export const nodeCount = nodeNames.length;

type Workload = {
  namespace: string;
  name: string;
  image: string;
  replicas: number;
  port?: number;
  ageHours: number;
};

const workloads: Workload[] = [
  {
    namespace: 'kube-system',
    name: 'coredns',
    image: 'registry.k8s.io/coredns/coredns:v1.12.0',
    replicas: 2,
    port: 53,
    ageHours: 210,
  },
  {
    namespace: 'calico-system',
    name: 'calico-kube-controllers',
    image: `quay.io/calico/kube-controllers:${calicoVersion}`,
    replicas: 1,
    ageHours: 209,
  },
  {
    namespace: 'calico-system',
    name: 'goldmane',
    image: `quay.io/calico/goldmane:${calicoVersion}`,
    replicas: 1,
    port: 7443,
    ageHours: 209,
  },
  {
    namespace: 'calico-system',
    name: 'whisker',
    image: `quay.io/calico/whisker:${calicoVersion}`,
    replicas: 1,
    port: 8081,
    ageHours: 209,
  },
  {
    namespace: 'calico-system',
    name: 'guardian',
    image: `quay.io/calico/guardian:${calicoVersion}`,
    replicas: 1,
    port: 443,
    ageHours: 1,
  },
  {
    namespace: 'shop',
    name: 'frontend',
    image: 'registry.example/shop/frontend:1.4.2',
    replicas: 2,
    port: 8080,
    ageHours: 30,
  },
  {
    namespace: 'shop',
    name: 'cart',
    image: 'registry.example/shop/cart:0.9.7',
    replicas: 1,
    port: 8081,
    ageHours: 30,
  },
  {
    namespace: 'shop',
    name: 'orders-worker',
    image: 'registry.example/shop/orders-worker:2.0.1',
    replicas: 1,
    ageHours: 7,
  },
];

const labelsOf = (workload: { name: string }) => ({ 'app.kubernetes.io/name': workload.name });

function templateOf(workload: Workload, hash?: string): JsonObject {
  return {
    metadata: { labels: { ...labelsOf(workload), ...(hash ? { 'pod-template-hash': hash } : {}) } },
    spec: {
      serviceAccountName: workload.name,
      containers: [
        {
          name: workload.name,
          image: workload.image,
          ...(workload.port ? { ports: [{ containerPort: workload.port, protocol: 'TCP' }] } : {}),
        },
      ],
    },
  };
}

function addWorkload(store: KubeStore, workload: Workload, start: Date): void {
  const { namespace, name, replicas } = workload;
  const created = new Date(start.getTime() - workload.ageHours * 3600_000);
  const hash = word(`${namespace}/${name}`, 10);
  const metadata = {
    namespace,
    labels: { ...labelsOf(workload), ...demoLabel },
    creationTimestamp: stamp(created),
  };
  const counts = { replicas, readyReplicas: replicas, availableReplicas: replicas, observedGeneration: 1 };
  const deployment = store.create(resourceOf('apps', 'deployments'), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { ...metadata, name, annotations: { 'deployment.kubernetes.io/revision': '1' } },
    spec: {
      replicas,
      selector: { matchLabels: labelsOf(workload) },
      strategy: { type: 'RollingUpdate' },
      template: templateOf(workload),
    },
    status: {
      ...counts,
      updatedReplicas: replicas,
      conditions: [
        {
          type: 'Available',
          status: 'True',
          reason: 'MinimumReplicasAvailable',
          message: 'Deployment has minimum availability.',
        },
      ],
    },
  });
  const replicaSet = store.create(resourceOf('apps', 'replicasets'), {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      ...metadata,
      name: `${name}-${hash}`,
      labels: { ...metadata.labels, 'pod-template-hash': hash },
      annotations: { 'deployment.kubernetes.io/revision': '1' },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'Deployment',
          name,
          uid: deployment.metadata.uid,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      replicas,
      selector: { matchLabels: { ...labelsOf(workload), 'pod-template-hash': hash } },
      template: templateOf(workload, hash),
    },
    status: counts,
  });
  for (let index = 0; index < replicas; index++) {
    const pod = podOf(replicaSet, `${name}-${hash}-${word(`${name}${index}`, 5)}`, nodeFor(index), created);
    store.create(resourceOf('', 'pods'), pod);
  }
  if (workload.port) {
    store.create(resourceOf('', 'services'), {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { ...metadata, name },
      spec: {
        type: 'ClusterIP',
        clusterIP: `10.96.7.${workloads.indexOf(workload) + 10}`,
        selector: labelsOf(workload),
        ports: [{ port: workload.port, targetPort: workload.port, protocol: 'TCP' }],
      },
    });
  }
}

function addNode(store: KubeStore, name: string, index: number, start: Date): void {
  const created = new Date(start.getTime() - 212 * 3600_000);
  store.create(resourceOf('', 'nodes'), {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name,
      creationTimestamp: stamp(created),
      labels: {
        'kubernetes.io/hostname': name,
        'kubernetes.io/os': 'linux',
        ...(index === 0 ? { 'node-role.kubernetes.io/control-plane': '' } : {}),
        ...demoLabel,
      },
    },
    spec: { podCIDR: `10.244.${index}.0/24` },
    status: {
      capacity: { cpu: '4', memory: '8Gi', pods: '110' },
      allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
      addresses: [
        { type: 'InternalIP', address: `192.0.2.${index + 10}` },
        { type: 'Hostname', address: name },
      ],
      conditions: [
        {
          type: 'Ready',
          status: 'True',
          reason: 'KubeletReady',
          message: 'a demo: no kubelet runs here',
          lastTransitionTime: stamp(created),
          lastHeartbeatTime: stamp(start),
        },
      ],
      nodeInfo: {
        kubeletVersion: kubernetesVersion,
        osImage: 'Cattery demo (simulated)',
        kernelVersion: '6.12.0-demo',
        containerRuntimeVersion: 'containerd://2.1.4',
        architecture: 'amd64',
        operatingSystem: 'linux',
      },
    },
  });
}

function addCalicoNode(store: KubeStore, start: Date): void {
  const created = new Date(start.getTime() - 209 * 3600_000);
  const labels = { 'k8s-app': 'calico-node' };
  const daemonSet = store.create(resourceOf('apps', 'daemonsets'), {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: {
      name: 'calico-node',
      namespace: 'calico-system',
      labels: { ...labels, ...demoLabel },
      creationTimestamp: stamp(created),
    },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          hostNetwork: true,
          containers: [{ name: 'calico-node', image: `quay.io/calico/node:${calicoVersion}` }],
        },
      },
    },
    status: {
      desiredNumberScheduled: nodeCount,
      currentNumberScheduled: nodeCount,
      numberReady: nodeCount,
      updatedNumberScheduled: nodeCount,
      numberAvailable: nodeCount,
      numberMisscheduled: 0,
      observedGeneration: 1,
    },
  });
  nodeNames.forEach((node, index) => {
    store.create(
      resourceOf('', 'pods'),
      podOf(daemonSet, `calico-node-${word(node, 5)}`, node, new Date(created.getTime() + index * 1000)),
    );
  });
}

/** Fills an empty store with the demo cluster: 4 namespaces, 3 nodes, 13 pods and what belongs to them. */
export function addDemoObjects(store: KubeStore, start: Date): void {
  const created = stamp(new Date(start.getTime() - 212 * 3600_000));
  for (const name of ['default', 'kube-system', 'calico-system', 'shop']) {
    store.create(resourceOf('', 'namespaces'), {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name,
        creationTimestamp: created,
        labels: { 'kubernetes.io/metadata.name': name, ...demoLabel },
      },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
    });
  }
  nodeNames.forEach((name, index) => addNode(store, name, index, start));
  for (const workload of workloads) addWorkload(store, workload, start);
  addCalicoNode(store, start);
  store.create(resourceOf('', 'services'), {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kubernetes', namespace: 'default', creationTimestamp: created, labels: demoLabel },
    spec: {
      type: 'ClusterIP',
      clusterIP: '10.96.0.1',
      ports: [{ name: 'https', port: 443, targetPort: 6443, protocol: 'TCP' }],
    },
  });
  store.create(resourceOf('', 'configmaps'), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: 'about-this-cluster',
      namespace: 'default',
      creationTimestamp: created,
      labels: demoLabel,
    },
    data: {
      notice:
        'This is the Cattery demo cluster: a small stand-in in memory, no real Kubernetes. Nothing runs here.',
    },
  });
  store.create(resourceOf('networking.k8s.io', 'networkpolicies'), {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: {
      name: 'cart-from-frontend',
      namespace: 'shop',
      creationTimestamp: created,
      labels: demoLabel,
    },
    spec: {
      podSelector: { matchLabels: { 'app.kubernetes.io/name': 'cart' } },
      policyTypes: ['Ingress'],
      ingress: [
        {
          from: [{ podSelector: { matchLabels: { 'app.kubernetes.io/name': 'frontend' } } }],
          ports: [{ port: 8081, protocol: 'TCP' }],
        },
      ],
    },
  });
  store.create(resourceOf('projectcalico.org', 'clusterinformations'), {
    apiVersion: 'projectcalico.org/v3',
    kind: 'ClusterInformation',
    metadata: { name: 'default', creationTimestamp: created, labels: demoLabel },
    spec: {
      calicoVersion,
      clusterGUID: word('demo', 20),
      clusterType: 'typha,kdd,k8s,operator,bgp',
      datastoreReady: true,
      variant: 'Calico',
    },
  });
}
