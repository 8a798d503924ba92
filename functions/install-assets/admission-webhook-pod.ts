import type { AdmissionWebhookQuery } from '../../core/release/admission-webhook-schema.ts';

/** Of everything of the webhook, in the cluster. */
export const name = 'cattery-admission';
export const namespace = 'cattery-system';
export const tlsSecret = 'cattery-admission-tls';
/** Made by the cluster's owner; its entry `key` is an API key with the scope `admission:review`. */
export const keySecret = 'cattery-admission-key';
/** By what Service, Deployment and the like know its pods. */
export const selected = { 'app.kubernetes.io/name': name };

/** Unprivileged, for it does not run as root. */
const ports = { review: 8443, internal: 9464 } as const;
/** In the nodes' network others have taken the usual ones. */
const hostPorts = { review: 18_443, internal: 19_464 } as const;

/**
 * With 50,000 images, while as many come anew, the process holds less than two thirds of it (`npm run bench:webhook`).
 */
const memoryMi = 768;
/** Half of it for the heap; parts of bundles, TLS and the program are beside that. */
export const nodeOptions: readonly string[] = [
  '--enable-source-maps',
  `--max-old-space-size=${memoryMi / 2}`,
];

/** Who the image's own user is (tunnel-fargate/Dockerfile: node). */
const userId = 1_000;

/** The pod of the webhook: `admission-webhook/env.ts` reads its environment. */
export function podSpec(query: AdmissionWebhookQuery, apiUrl: string) {
  const isOnHost = query.network === 'host';
  const { review, internal } = isOnHost ? hostPorts : ports;
  const files = {
    key: '/var/run/cattery/key',
    keys: '/var/run/cattery/bundle-keys',
    ca: '/var/run/cattery/ca',
  };
  const data = '/var/lib/cattery';
  const mounted = (volume: string, mountPath: string) => ({ name: volume, mountPath, readOnly: true });
  const probe = (path: string) => ({ httpGet: { path, port: 'internal' } });
  const service = `${name}.${namespace}.svc`;
  const environment: Readonly<Record<string, string | undefined>> = {
    API_URL: apiUrl,
    TENANT_ID: query.tenantId,
    API_KEY_FILE: `${files.key}/key`,
    BUNDLE_KEYS_FILE: `${files.keys}/bundle-keys.json`,
    DATA_DIRECTORY: `${data}/bundle`,
    NAMESPACE: namespace,
    TLS_SECRET: tlsSecret,
    WEBHOOK_CONFIGURATION: name,
    TLS_NAMES: [service, `${name}.${namespace}`, `${service}.cluster.local`].join(','),
    REVIEW_PORT: String(review),
    INTERNAL_PORT: String(internal),
    NODE_EXTRA_CA_CERTS: query.caConfigMap === undefined ? undefined : `${files.ca}/ca.crt`,
    // For fetch, by which the bundles come; the API server is asked directly.
    HTTPS_PROXY: query.httpsProxy,
    NODE_USE_ENV_PROXY: query.httpsProxy === undefined ? undefined : '1',
  };
  return {
    serviceAccountName: name,
    automountServiceAccountToken: true,
    enableServiceLinks: false,
    ...(isOnHost ? { hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' } : {}),
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    // 10 s in which it answers on, and some for what is then still running.
    terminationGracePeriodSeconds: 30,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: userId,
      runAsGroup: userId,
      fsGroup: userId,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    topologySpreadConstraints: ['kubernetes.io/hostname', 'topology.kubernetes.io/zone'].map(
      (topologyKey) => ({
        maxSkew: 1,
        topologyKey,
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector: { matchLabels: selected },
      }),
    ),
    containers: [
      {
        name: 'webhook',
        image: query.image,
        command: ['node', ...nodeOptions, 'admission-webhook.mjs'],
        workingDir: '/app',
        env: Object.entries(environment).flatMap(([key, value]) =>
          value === undefined ? [] : [{ name: key, value }],
        ),
        ports: [
          { name: 'review', containerPort: review, protocol: 'TCP' },
          { name: 'internal', containerPort: internal, protocol: 'TCP' },
        ],
        livenessProbe: { ...probe('/livez'), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
        readinessProbe: { ...probe('/readyz'), periodSeconds: 5, timeoutSeconds: 3, failureThreshold: 2 },
        resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: `${memoryMi}Mi` } },
        securityContext: {
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
          readOnlyRootFilesystem: true,
        },
        volumeMounts: [
          mounted('key', files.key),
          mounted('bundle-keys', files.keys),
          ...(query.caConfigMap === undefined ? [] : [mounted('ca', files.ca)]),
          { name: 'data', mountPath: data },
        ],
      },
    ],
    volumes: [
      // The pod does not start before this is there, and waits by itself.
      {
        name: 'key',
        secret: { secretName: keySecret, defaultMode: 0o440, items: [{ key: 'key', path: 'key' }] },
      },
      { name: 'bundle-keys', configMap: { name } },
      ...(query.caConfigMap === undefined ? [] : [{ name: 'ca', configMap: { name: query.caConfigMap } }]),
      { name: 'data', emptyDir: { sizeLimit: '1Gi' } },
    ],
  };
}
