import { stringify } from 'yaml';
import type { BundleKey } from '../../core/admission/bundle-key.ts';
import type { AdmissionWebhookQuery } from '../../core/release/admission-webhook-schema.ts';
import { keySecret, name, namespace, podSpec, selected, tlsSecret } from './admission-webhook-pod.ts';
import { granted, type PolicyRule } from './role-binding.ts';

/** Of API servers: a webhook's name has three labels at least. */
const webhookName = `${name}.${namespace}.svc`;

/**
 * Not asked about: where this webhook, Calico and the cluster itself run. If nothing could start there without an answer,
 * nobody could answer.
 */
export const excludedNamespaces: readonly string[] = [
  'kube-system',
  namespace,
  'calico-system',
  'calico-apiserver',
  'tigera-operator',
];

const labels = { ...selected, 'app.kubernetes.io/managed-by': 'cattery' };
const metadata = { name, namespace, labels };

/** In cattery-system: its own certificates. */
export const ownRules: readonly PolicyRule[] = [
  { apiGroups: [''], resources: ['secrets'], resourceNames: [tlsSecret], verbs: ['get', 'update'] },
];
/** In the cluster: what API servers trust it by, and the labels that policies select namespaces by. */
export const clusterRules: readonly PolicyRule[] = [
  {
    apiGroups: ['admissionregistration.k8s.io'],
    resources: ['validatingwebhookconfigurations'],
    resourceNames: [name],
    verbs: ['get', 'patch'],
  },
  { apiGroups: [''], resources: ['namespaces'], verbs: ['get', 'list', 'watch'] },
];

type Manifest = {
  readonly query: AdmissionWebhookQuery;
  /** Bundles are taken that one of these has signed. */
  readonly keys: readonly BundleKey[];
  /** Base URL of the API. */
  readonly apiUrl: string;
};

/**
 * What runs the admission webhook in a cluster, as YAML without secrets. Applied anew it changes what the query changes:
 * the Secret's entries and the caBundle are the webhook's own, and are not in it.
 */
export function admissionWebhookManifest({ query, keys, apiUrl }: Manifest): string {
  const objects = [
    // Without a level of Pod Security: the namespace has others in it.
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata,
      automountServiceAccountToken: false,
      ...(query.imagePullSecret === undefined ? {} : { imagePullSecrets: [{ name: query.imagePullSecret }] }),
    },
    ...granted(metadata, 'Role', ownRules, namespace),
    ...granted(metadata, 'ClusterRole', clusterRules),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata,
      data: { 'bundle-keys.json': `${JSON.stringify({ keys }, undefined, 2)}\n` },
    },
    // Empty: the webhook fills it, and need not be allowed to make Secrets.
    { apiVersion: 'v1', kind: 'Secret', metadata: { ...metadata, name: tlsSecret }, type: 'Opaque' },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        selector: selected,
        ports: [{ name: 'review', port: 443, targetPort: 'review', protocol: 'TCP' }],
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: query.replicas,
        selector: { matchLabels: selected },
        strategy: {
          // In the nodes' network a new pod may have no node to go to while the old one holds its ports.
          rollingUpdate:
            query.network === 'host'
              ? { maxUnavailable: 1, maxSurge: 0 }
              : { maxUnavailable: 0, maxSurge: 1 },
        },
        template: { metadata: { labels }, spec: podSpec(query, apiUrl) },
      },
    },
    {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata,
      spec: { maxUnavailable: 1, selector: { matchLabels: selected } },
    },
    {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name, labels },
      webhooks: [webhook(query)],
    },
  ];
  const text = (each: object) => stringify(each, { lineWidth: 0, aliasDuplicateObjects: false });
  return [introduction(query, apiUrl), ...objects.map(text)].join('---\n');
}

/** `clientConfig` has no caBundle: the webhook adds it, and nobody takes it away by applying this again. */
function webhook({ failurePolicy }: AdmissionWebhookQuery) {
  const operations = ['CREATE', 'UPDATE'];
  const rule = (apiGroup: string, apiVersions: string[], resources: string[]) => ({
    apiGroups: [apiGroup],
    apiVersions,
    resources,
    operations,
    scope: 'Namespaced',
  });
  return {
    name: webhookName,
    clientConfig: { service: { name, namespace, path: '/review', port: 443 } },
    rules: [
      rule('', ['v1'], ['pods', 'pods/ephemeralcontainers', 'podtemplates', 'replicationcontrollers']),
      rule('apps', ['v1'], ['deployments', 'replicasets', 'statefulsets', 'daemonsets']),
      rule('batch', ['v1'], ['jobs', 'cronjobs']),
    ],
    namespaceSelector: {
      matchExpressions: [
        // An API server gives each namespace this label, and lets nobody change it.
        { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: excludedNamespaces },
      ],
    },
    matchPolicy: 'Equivalent',
    failurePolicy,
    timeoutSeconds: 5,
    sideEffects: 'None',
    admissionReviewVersions: ['v1'],
  };
}

const introduction = (
  { tenantId, failurePolicy, imagePullSecret, caConfigMap }: AdmissionWebhookQuery,
  apiUrl: string,
): string => {
  const lines = [
    `Answers this cluster's admission reviews from the verdicts of the Cattery at ${apiUrl},`,
    `tenant ${tenantId}. There is no secret in it.`,
    '',
    'The pods wait for one Secret with an API key that has the scope admission:review:',
    '',
    `  kubectl create secret generic ${keySecret} -n ${namespace} --from-file=key=FILE`,
    '',
    ...(failurePolicy === 'Fail'
      ? [
          'failurePolicy is Fail: while no webhook answers, nothing that makes pods is let in, but for the namespaces',
          `${excludedNamespaces.join(', ')}.`,
        ]
      : ['failurePolicy is Ignore: while no webhook answers, everything is let in.']),
    ...(imagePullSecret === undefined ? [] : [`The Secret ${imagePullSecret} must be in ${namespace}.`]),
    ...(caConfigMap === undefined
      ? []
      : [`The ConfigMap ${caConfigMap} with ca.crt must be in ${namespace}.`]),
  ];
  return lines.map((line) => `# ${line}`.trimEnd() + '\n').join('');
};
