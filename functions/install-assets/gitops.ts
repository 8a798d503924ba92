import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import type { GitopsQuery } from '../../core/release/gitops-schema.ts';
import {
  connectingRules,
  installingRules,
  operatorRules,
  ownRules,
  pullSecretRules,
} from './gitops-access.ts';
import { granted } from './role-binding.ts';

/**
 * Has sh, curl, openssl and kubectl, for amd64 and arm64, and a digest that its makers publish with its tag, in their
 * sources and release notes (kubernetes-sigs/kind v0.31.0). It is made for other ends and large; smaller public images
 * with kubectl were looked at, and lack openssl.
 */
export const defaultImage =
  'docker.io/kindest/node:v1.34.3@sha256:08497ee19eace7b4b5348db5c6a1591d7752b164530a36f855cb0f2bdcbadd48';

/** Of everything in cattery-system but what install.sh itself keeps there. */
const name = 'cattery-install';
const namespace = 'cattery-system';
const operatorNamespace = 'tigera-operator';
/** Made by the cluster's owner; its key `token` is a registration token. */
export const tokenSecret = 'cattery-registration-token';

const labels = { 'app.kubernetes.io/name': name, 'app.kubernetes.io/managed-by': 'cattery' };
const account = { name, namespace, labels };

type Manifest = {
  readonly query: GitopsQuery;
  /** install.sh as this deployment serves it. */
  readonly script: string;
  /** Base URL of the API, where the token is made. */
  readonly apiUrl: string;
};

/**
 * What a GitOps controller (or kubectl) applies to connect a cluster, as YAML without secrets: a Job that runs install.sh
 * once the Secret with the token is there, and the account that it runs as. Script and options are in the name of the
 * Job, as a Job cannot be changed: a new script is a new Job, and a controller that prunes takes the old one away.
 */
export function gitopsManifest({ query, script, apiUrl }: Manifest): string {
  const spec = podSpec(query);
  const version = createHash('sha256').update(script).update(JSON.stringify(spec)).digest('hex').slice(0, 10);
  const versioned = `${name}-${version}`;
  const objects = [
    {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: namespace,
        labels: {
          ...labels,
          // The node's own network is what `restricted` and `baseline` refuse; all else is as `restricted` wants it.
          'pod-security.kubernetes.io/enforce': query.calico === 'install' ? 'privileged' : 'restricted',
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: account,
      automountServiceAccountToken: false,
      ...(query.imagePullSecret === undefined ? {} : { imagePullSecrets: [{ name: query.imagePullSecret }] }),
    },
    ...access(query),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: versioned, namespace, labels },
      immutable: true,
      data: { 'install.sh': script },
    },
    {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: versioned, namespace, labels },
      spec: {
        // Some two hours of tries: Calico, or the way to the control plane, may come later than this.
        backoffLimit: 20,
        podFailurePolicy: {
          rules: [
            // Wrong usage: no further try makes it right.
            {
              action: 'FailJob',
              onExitCodes: { containerName: 'install', operator: 'In', values: [2] },
            },
            { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          ],
        },
        template: { metadata: { labels }, spec: withScript(spec, versioned) },
      },
    },
  ];
  const text = (each: object) => stringify(each, { lineWidth: 0, aliasDuplicateObjects: false });
  return [introduction(query, apiUrl), ...objects.map(text)].join('---\n');
}

/** A Role where one namespace is enough, a ClusterRole where not. */
function access({ calico, imagePullSecret }: GitopsQuery): object[] {
  if (calico === 'present') {
    return [
      ...granted(account, 'Role', ownRules, namespace),
      ...granted(account, 'Role', operatorRules, operatorNamespace),
      ...granted(account, 'ClusterRole', connectingRules),
    ];
  }
  // tigera-operator is yet to be made, and not by this manifest: whoever removed the manifest would remove Calico.
  const everywhere = [
    ...connectingRules,
    ...operatorRules,
    ...installingRules,
    ...(imagePullSecret === undefined ? [] : pullSecretRules(imagePullSecret)),
  ];
  return [...granted(account, 'Role', ownRules, namespace), ...granted(account, 'ClusterRole', everywhere)];
}

/** The script's command line: what its --help says of these options holds. */
function installerArguments(query: GitopsQuery): string[] {
  const option = (flag: string, value: string | undefined) => (value === undefined ? [] : [flag, value]);
  return [
    '--yes',
    ...option('--name', query.clusterName),
    ...option('--token-file', '/var/run/cattery/token/token'),
    ...(query.caConfigMap === undefined ? [] : option('--ca-file', '/var/run/cattery/ca/ca.crt')),
    ...(query.calico === 'install'
      ? [
          ...option('--calico-version', query.calicoVersion),
          ...option('--pod-cidr', query.podCidr),
          ...option('--registry', query.registry),
          ...option('--image-path', query.imagePath),
          ...option('--image-pull-secret', query.imagePullSecret),
          ...option('--http-proxy', query.httpProxy),
          ...option('--https-proxy', query.httpsProxy),
          ...option('--no-proxy', query.noProxy),
        ]
      : []),
  ];
}

/** All but the name of the ConfigMap with the script, which depends on this. */
function podSpec(query: GitopsQuery) {
  const variable = (key: string, value: string | undefined) =>
    value === undefined ? [] : [{ name: key, value }];
  const mounted = (volume: string, mountPath: string) => ({ name: volume, mountPath, readOnly: true });
  return {
    serviceAccountName: name,
    automountServiceAccountToken: true,
    restartPolicy: 'Never',
    ...(query.calico === 'install' ? beforeNetwork : {}),
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    securityContext: {
      runAsNonRoot: true,
      runAsUser: 65_532,
      runAsGroup: 65_532,
      fsGroup: 65_532,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    containers: [
      {
        name: 'install',
        image: query.image ?? defaultImage,
        command: ['/bin/sh', '/cattery/install.sh'],
        args: installerArguments(query),
        env: [
          { name: 'HOME', value: '/tmp' },
          { name: 'TMPDIR', value: '/tmp' },
          ...variable('HTTP_PROXY', query.httpProxy),
          ...variable('HTTPS_PROXY', query.httpsProxy),
          ...variable('NO_PROXY', query.noProxy),
        ],
        resources: { requests: { cpu: '50m', memory: '128Mi' } },
        securityContext: {
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
          readOnlyRootFilesystem: true,
        },
        volumeMounts: [
          mounted('script', '/cattery'),
          mounted('token', '/var/run/cattery/token'),
          ...(query.caConfigMap === undefined ? [] : [mounted('ca', '/var/run/cattery/ca')]),
          { name: 'tmp', mountPath: '/tmp' },
        ],
      },
    ],
    volumes: [
      // The pod does not start before this is there, and waits by itself.
      {
        name: 'token',
        secret: { secretName: tokenSecret, defaultMode: 0o440, items: [{ key: 'token', path: 'token' }] },
      },
      ...(query.caConfigMap === undefined ? [] : [{ name: 'ca', configMap: { name: query.caConfigMap } }]),
      { name: 'tmp', emptyDir: {} },
    ],
  };
}

const withScript = (spec: ReturnType<typeof podSpec>, configMap: string) => ({
  ...spec,
  volumes: [{ name: 'script', configMap: { name: configMap } }, ...spec.volumes],
});

/** Without a pod network no node is ready, and only the node's own network and names work: as the operator's pod has it. */
const beforeNetwork = {
  hostNetwork: true,
  dnsPolicy: 'Default',
  tolerations: [
    { effect: 'NoExecute', operator: 'Exists' },
    { effect: 'NoSchedule', operator: 'Exists' },
  ],
} as const;

const introduction = (
  { clusterName, calico, imagePullSecret, caConfigMap }: GitopsQuery,
  apiUrl: string,
): string => {
  const lines = [
    `Connects the cluster ${clusterName} to the Cattery at ${apiUrl}. There is no secret in it.`,
    '',
    'The Job waits for one Secret with a registration token, which is used once and lives a day at most:',
    '',
    `  kubectl create secret generic ${tokenSecret} -n ${namespace} --from-file=token=FILE`,
    '',
    ...(calico === 'install'
      ? [
          'It installs Calico where there is none. For that its account may write the roles of the Tigera operator, which',
          'is as much as an administrator may. Once it has finished, calico=present gives it the few rights of connecting.',
        ]
      : ['Its account may do what connecting takes, and no more. The Tigera operator must be there.']),
    ...(imagePullSecret === undefined
      ? []
      : [
          `The Secret ${imagePullSecret} must be in ${namespace}${calico === 'install' ? ` and in ${operatorNamespace}` : ''}.`,
        ]),
    ...(caConfigMap === undefined
      ? []
      : [`The ConfigMap ${caConfigMap} with ca.crt must be in ${namespace}.`]),
    '',
    'A finished Job stays: a controller would make a removed one anew, and it would run again (which changes nothing).',
  ];
  return lines.map((line) => `# ${line}`.trimEnd() + '\n').join('');
};
