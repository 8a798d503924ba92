/** Each check of install.sh's preflight: when it refuses, when it warns, when it is content. */
import { Problem } from '../../../../core/problem/problem.ts';
import { customResources } from './calico-manifests.ts';
import type { KubeObject } from './kubectl-output.ts';
import { neededTools, type NeededTool } from './shells.ts';
import type { Workbench } from './workbench.ts';

/** One state of things, and what install.sh says of it. */
export type Case = {
  readonly what: string;
  readonly when?: ((bench: Workbench) => unknown) | undefined;
  readonly without?: NeededTool | undefined;
  readonly given?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Other addresses in the script than those where something answers. */
  readonly script?: { readonly api?: string; readonly tunnel?: string };
  /** Where a server without TLS is instead. */
  readonly plain?: 'api' | 'tunnel';
  /** Content of the CA file instead of the CA. */
  readonly ca?: string;
  readonly noCa?: boolean;
  /** What the line of the check says, and what to do. */
  readonly says: readonly RegExp[];
};

export const daemonSet = (namespace: string, name: string) => ({
  apiVersion: 'apps/v1',
  kind: 'DaemonSet',
  metadata: { name, namespace },
});
const installation = (more: Pick<KubeObject, 'spec' | 'status'>): KubeObject => ({
  apiVersion: 'operator.tigera.io/v1',
  kind: 'Installation',
  metadata: { name: 'default' },
  ...more,
});
const connection = (managementClusterAddr: string): KubeObject => ({
  apiVersion: 'operator.tigera.io/v1',
  kind: 'ManagementClusterConnection',
  metadata: { name: 'tigera-secure' },
  spec: { managementClusterAddr },
});
const state = (data: Readonly<Record<string, string>>): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'cattery-install', namespace: 'cattery-system' },
  data,
});
const identity = (...files: readonly string[]): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'cattery-identity', namespace: 'cattery-system' },
  data: Object.fromEntries(files.map((file) => [file, 'eA=='])),
});
const curlFails =
  (code: number): Case['when'] =>
  (bench) =>
    bench.failCurl(code);
const unreachable =
  (complaint: string): Case['when'] =>
  ({ cluster }) => {
    cluster.unreachable = complaint;
  };
export const minutes = 60_000;

/** The preflight ends with 3 for each of these alone. */
export const refused: readonly Case[] = [
  // tools
  ...neededTools.map((tool) => ({
    what: `${tool} is missing`,
    without: tool,
    says: [new RegExp(`FAIL +tools: not found: ${tool}\n +remedy: Install`)],
  })),
  {
    what: 'kubectl is too old',
    when: ({ cluster }) => (cluster.clientVersion = 'v1.26.9'),
    says: [/FAIL +tools: .*kubectl v1\.26\.9\n +remedy: kubectl v1\.27 or later/],
  },
  // the way to the control plane
  {
    what: 'the name of its proxy is unknown',
    when: curlFails(5),
    says: [/FAIL +api: .*proxy.*\(curl 5.*\n +remedy: .*HTTPS_PROXY/],
  },
  {
    what: 'its name cannot be resolved',
    when: curlFails(6),
    says: [/FAIL +api: 127\.0\.0\.1:\d+: its name cannot be resolved \(curl 6.*\n +remedy: .*DNS/],
  },
  {
    what: 'its packets are dropped',
    when: curlFails(28),
    says: [/FAIL +api: .*no answer within the time.*\n +remedy: .*egress/],
  },
  {
    what: 'the disk is full',
    when: curlFails(23),
    says: [/FAIL +api: .*written here.*\n +remedy: .*disk full.*TMPDIR/],
  },
  {
    what: 'the connection breaks',
    when: curlFails(56),
    says: [/FAIL +api: .*connection broke.*\n +remedy: .*curl -v/],
  },
  {
    what: 'nothing listens at the API’s address',
    script: { api: 'https://127.0.0.1:1' },
    says: [
      /FAIL +api: 127\.0\.0\.1:1: the connection was refused.*\(curl 7.*\n +remedy: .*egress.*HTTPS_PROXY/,
    ],
  },
  {
    what: 'a plain server is at the API’s address',
    plain: 'api',
    says: [/FAIL +api: .*TLS handshake failed \(curl 35.*\n +remedy: .*breaks TLS/],
  },
  {
    what: 'nobody it knows has signed the API’s certificate',
    noCa: true,
    says: [/FAIL +api: .*certificate cannot be verified \(curl 60.*\n +remedy: .*--ca-file FILE/],
  },
  {
    what: 'the CA file is none',
    ca: 'no certificate',
    says: [/FAIL +api: .*CA file cannot be used \(curl 77.*\n +remedy: .*PEM/],
  },
  {
    what: 'the control plane is not well',
    when: ({ plane }) =>
      (plane.instead = ({ path }) => (path === '/healthz' ? new Problem('UNAVAILABLE') : undefined)),
    says: [/FAIL +api: https:\S+\/healthz answered 503 UNAVAILABLE\n +remedy: .*again/],
  },
  ...[10, -10].map((ahead) => ({
    what: `this clock is ${Math.abs(ahead)} minutes ${ahead > 0 ? 'slow' : 'fast'}`,
    when: ({ plane }: Workbench) => {
      plane.aheadMs = ahead * minutes;
    },
    says: [/FAIL +clock: this machine's clock is off by -?(599|600|601) seconds\n +remedy: .*NTP/],
  })),
  {
    what: 'the tunnel’s port is closed',
    script: { tunnel: '127.0.0.1:1' },
    says: [/FAIL +tunnel: 127\.0\.0\.1:1 is not reached\n +remedy: .*egress.*--no-tunnel-check/],
  },
  {
    what: 'something else is at the tunnel’s port',
    plain: 'tunnel',
    says: [/FAIL +tunnel: 127\.0\.0\.1:\d+ accepts connections, but not TLS\n +remedy: /],
  },
  // the cluster
  {
    what: 'there is no context',
    when: ({ cluster }) => (cluster.currentContext = undefined),
    says: [/FAIL +context: kubectl has no current context\n +remedy: .*--context/, /not looked at/],
  },
  {
    what: 'the context is unknown',
    given: ['--context', 'prod'],
    says: [/FAIL +context: kubectl knows no context prod\n +remedy: .*get-contexts/],
  },
  {
    what: 'the cluster does not answer',
    when: unreachable('The connection to the server kubernetes.example:6443 was refused'),
    says: [
      /FAIL +kubernetes: it does not answer: The connection to the server.*\n +remedy: .*kubectl version/,
    ],
  },
  {
    what: 'nobody is signed in there',
    when: unreachable('error: You must be logged in to the server (Unauthorized)'),
    says: [/FAIL +kubernetes: .*Unauthorized.*\n +remedy: .*signed in/],
  },
  {
    what: 'rights are lacking',
    when: ({ cluster }) => cluster.denied.push('* *', 'patch secrets', 'escalate clusterroles'),
    says: [
      /FAIL +rights: missing: .*patch secrets\/cattery-identity.*escalate clusterroles\S*\/tigera-operator.*\n +remedy: Run it as somebody with these rights/,
    ],
  },
  {
    what: 'there is no room for temporary files',
    environment: { TMPDIR: '/nowhere' },
    says: [/FAIL +disk: temporary files cannot be written: is \/nowhere full.*\n +remedy: .*TMPDIR/],
  },
  // what is in it
  {
    what: 'another control plane has it',
    when: (bench) => {
      bench.installCalico();
      bench.cluster.put(connection('other.example:9000'));
    },
    says: [/FAIL +connection: .*another control plane, other\.example:9000\n +remedy: Disconnect it there/],
  },
  {
    what: 'it was connected to this one by hand',
    when: (bench) => {
      bench.installCalico();
      bench.cluster.put(connection(bench.plane.tunnelAddress));
    },
    says: [/FAIL +connection: .*this control plane, but not by install\.sh\n +remedy: /],
  },
  {
    what: 'another control plane’s install.sh was here',
    when: ({ cluster }) => cluster.put(state({ apiUrl: 'https://other.example' })),
    says: [/FAIL +state: this cluster was connected by https:\/\/other\.example\n +remedy: .*--uninstall/],
  },
  {
    what: 'the namespace of an uninstall goes away',
    when: ({ cluster }) =>
      cluster.put({
        ...{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'cattery-system' } },
        status: { phase: 'Terminating' },
      }),
    says: [/FAIL +state: namespace cattery-system is being deleted\n +remedy: Wait/],
  },
  {
    what: 'a renewal was interrupted',
    when: ({ cluster, plane }) =>
      cluster.put(state({ apiUrl: plane.url }), identity('managed-cluster.key', 'next.key')),
    says: [/FAIL +state: a renewal .* interrupted\n +remedy: .*--renew/],
  },
  {
    what: 'there is nothing to renew',
    given: ['--renew'],
    says: [/FAIL +state: .*not connected by install\.sh.*\n +remedy: Run without --renew first/],
  },
  {
    what: 'Calico is too old',
    when: (bench) => bench.installCalico('v3.29.6', 'v1.36.7'),
    says: [/FAIL +calico: v3\.29\.6 is too old\n +remedy: Upgrade Calico to v3\.30 or later/],
  },
  {
    what: 'its operator closes the agent’s way out',
    when: (bench) => bench.installCalico('v3.32.0', 'v1.42.1'),
    says: [/FAIL +calico: operator v1\.42\.1 .*\n +remedy: Upgrade Calico to v3\.32\.1/],
  },
  {
    what: 'Calico is not the open-source one',
    when: (bench) => {
      bench.installCalico();
      bench.cluster.put(
        installation({ spec: { variant: 'TigeraSecureEnterprise' }, status: { calicoVersion: 'v3.21.0' } }),
      );
    },
    says: [/FAIL +calico: .*variant TigeraSecureEnterprise\n +remedy: Only open-source Calico/],
  },
  {
    what: 'Calico is still being installed',
    when: (bench) => {
      bench.installCalico();
      bench.cluster.put(installation({ spec: { variant: 'Calico' } }));
    },
    says: [/FAIL +calico: its operator has not finished.*\n +remedy: Wait.*kubectl get tigerastatus calico/],
  },
  {
    what: 'its operator is gone',
    when: (bench) => {
      bench.installCalico();
      bench.cluster.remove('deployment', 'tigera-operator', 'tigera-operator');
    },
    says: [/FAIL +calico: an Installation is here, but no operator.*\n +remedy: /],
  },
  {
    what: 'an operator has no Installation',
    when: (bench) => {
      bench.installCalico();
      bench.cluster.remove('installation', 'default');
    },
    says: [/FAIL +calico: the Tigera operator .* is here, but no Installation\n +remedy: /],
  },
  {
    what: 'Calico was not installed by its operator',
    when: ({ cluster }) => cluster.put(daemonSet('kube-system', 'calico-node')),
    says: [/FAIL +network: Calico without its operator.*\n +remedy: .*operator-migration/],
  },
  ...(
    [
      ['kube-system/cilium', 'Cilium'],
      ['kube-flannel/kube-flannel-ds', 'Flannel'],
      ['kube-system/canal', 'Canal'],
      ['kube-system/weave-net', 'Weave'],
      ['kube-system/kindnet', 'kind'],
      ['kube-system/aws-node', 'Amazon'],
      ['kube-system/azure-cns', 'Azure'],
      ['kube-system/antrea-agent', 'Antrea'],
    ] as const
  ).map(([name, called]) => ({
    what: `${called} makes its network`,
    when: ({ cluster }: Workbench) => {
      const [namespace = '', set = ''] = name.split('/');
      cluster.put(daemonSet(namespace, set));
    },
    says: [new RegExp(`FAIL +network: ${called}.*\\(${name}\\)\n +remedy: \\S`)],
  })),
  {
    what: 'k3s makes its network with Flannel inside itself',
    when: ({ cluster }) => {
      cluster.serverVersion = 'v1.34.1+k3s1';
      cluster.put({
        ...{ apiVersion: 'v1', kind: 'Node' },
        metadata: { name: 'node-1', annotations: { 'flannel.alpha.coreos.com/backend-type': 'vxlan' } },
      });
    },
    says: [/FAIL +network: Flannel\n +remedy: \S/],
  },
  {
    what: 'the release is not on offer',
    given: ['--calico-version', 'v3.29.1'],
    says: [/FAIL +calico: v3\.29\.1 is not on offer\n +remedy: On offer: v3\.32\.1 v3\.31\.7 v3\.30\.7\n/],
  },
  {
    what: 'what is said of the registry makes no sense',
    given: ['--registry', 'https://registry.example'],
    says: [/FAIL +images: .*\/registry must be HOST or HOST:PORT.*\n +remedy: Correct/],
  },
  {
    what: 'the pull secret is not there',
    given: ['--registry', 'registry.example', '--image-pull-secret', 'pull'],
    says: [/FAIL +images: there is no Secret tigera-operator\/pull\n +remedy: .*--image-pull-secret-file/],
  },
];

export const passed: readonly Case[] = [
  {
    what: 'nothing is there',
    says: [
      /ok +calico: none; v3\.32\.1 will be installed, by operator v1\.42\.3/,
      /ok +state: .*its name will be kind-shop \(--name\)/,
      /ok +rights: everything/,
      /ok +fips: /,
    ],
  },
  {
    what: 'Calico is there with all that is needed',
    when: (bench) => {
      bench.cluster.put(...customResources);
      bench.installCalico('v3.30.7', 'v1.38.13');
    },
    says: [/ok +calico: v3\.30\.7, operator v1\.38\.13/],
  },
  {
    what: 'Calico is there without Goldmane',
    when: (bench) => bench.installCalico('v3.31.7', 'v1.40.15'),
    says: [/ok +calico: will be added for the connection, each named default: APIServer Goldmane Whisker/],
  },
  {
    what: 'Kubernetes is older than Calico is tested with',
    when: ({ cluster }) => (cluster.serverVersion = 'v1.29.4'),
    says: [
      /warn +kubernetes: Calico v3\.32\.1 is tested by its makers with Kubernetes 1\.34 to 1\.36, not with 1\.29/,
    ],
  },
  {
    what: 'Kubernetes is newer than Calico is tested with',
    when: ({ cluster }) => (cluster.serverVersion = 'v1.40.0-gke.1'),
    says: [/warn +kubernetes: .* not with 1\.40/, /ok +kubernetes: v1\.40\.0-gke\.1 \(gke, nodes: 1\)/],
  },
  {
    what: 'Kubernetes is one that Calico is tested with',
    when: ({ cluster }) => (cluster.serverVersion = 'v1.35.0'),
    says: [/^(?![^]*warn +kubernetes)/],
  },
  {
    what: 'the clocks are two minutes apart',
    when: ({ plane }) => (plane.aheadMs = 2 * minutes),
    says: [/ok +clock: within 1(19|20|21) seconds/],
  },
  {
    what: 'the tunnel is not to be tried from here',
    script: { tunnel: '127.0.0.1:1' },
    given: ['--no-tunnel-check'],
    says: [/warn +tunnel: 127\.0\.0\.1:1 was not tried\n +The nodes must reach it/],
  },
  {
    what: 'only the rights that it needs are there',
    when: ({ cluster }) => cluster.denied.push('* *'),
    says: [/ok +rights: all that this needs/],
  },
  {
    what: 'FIPS is asked of Calico',
    when: (bench) => {
      bench.installCalico();
      bench.cluster.put(
        installation({
          spec: { variant: 'Calico', fipsMode: 'Enabled' },
          status: { calicoVersion: 'v3.31.7' },
        }),
      );
    },
    says: [/ok +fips: Calico Enabled.*P-256/],
  },
  {
    what: 'it runs inside the cluster, without a context',
    when: ({ cluster }) => {
      cluster.currentContext = undefined;
      cluster.contexts = ['in-cluster'];
    },
    environment: { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' },
    says: [/ok +context: in-cluster \(https:\/\/10\.96\.0\.1:443\)/],
  },
  {
    what: 'options for the images make sense',
    given: ['--registry', 'registry.example:5000', '--image-path', 'mirror/calico'],
    says: [/ok +images: registry\.example:5000\/mirror\/calico/],
  },
];
