/** A release as install.sh sees one, with manifests that hold a few lines of each kind instead of upstream's megabytes. */
import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { catalogue } from '../../../../core/release/catalogue.ts';
import type { Release, ReleaseDetail } from '../../../../core/release/release-schema.ts';
import { fullName, kinds } from './resource-kinds.ts';
import type { KubeObject } from './kubectl-output.ts';

const resource = (kind: string, spec: object = {}): KubeObject => ({
  apiVersion: 'operator.tigera.io/v1',
  kind,
  metadata: { name: 'default' },
  spec: { ...spec },
});

export const crds: readonly KubeObject[] = kinds
  .filter(({ custom, version }) => custom && version === 'v1')
  .map((kind) => ({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: fullName(kind) },
    spec: { group: kind.group },
    status: {
      conditions: [
        { type: 'NamesAccepted', status: 'True' },
        { type: 'Established', status: 'True' },
      ],
    },
  }));

export const operatorNamespace: KubeObject = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'tigera-operator' },
};

export const operatorDeployment = (operatorVersion: string): KubeObject => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: {
    name: 'tigera-operator',
    namespace: 'tigera-operator',
    labels: { 'k8s-app': 'tigera-operator' },
  },
  spec: {
    replicas: 1,
    template: {
      spec: {
        containers: [{ name: 'tigera-operator', image: `quay.io/tigera/operator:${operatorVersion}` }],
      },
    },
  },
});

export const customResources: readonly KubeObject[] = [
  resource('Installation', {
    calicoNetwork: { ipPools: [{ name: 'default-ipv4-ippool', cidr: '192.168.0.0/16' }] },
  }),
  resource('APIServer'),
  resource('Goldmane'),
  resource('Whisker'),
];

const yaml = (objects: readonly KubeObject[]) => objects.map((object) => stringify(object)).join('---\n');

const texts = ({ operatorVersion }: Release): Readonly<Record<string, string>> => ({
  'operator-crds.yaml': yaml(crds),
  'tigera-operator.yaml': yaml([operatorNamespace, operatorDeployment(operatorVersion)]),
  'custom-resources.yaml': yaml(customResources),
});

export const manifestText = (version: string, name: string): string | undefined => {
  const release = catalogue().find(version);
  return release && texts(release)[name];
};

/** `GET /v1/releases/{version}` of these manifests. */
export function releaseDetailOf(version: string, apiUrl: string): ReleaseDetail | undefined {
  const release = catalogue().find(version);
  if (!release) return undefined;
  const manifests = release.manifests.map(({ name, url: upstream }) => {
    const text = manifestText(version, name) ?? '';
    return {
      ...{ name, upstream, mirrored: true, bytes: Buffer.byteLength(text) },
      sha256: createHash('sha256').update(text).digest('hex'),
      url: `${apiUrl}/v1/releases/${version}/manifests/${name}`,
    };
  });
  return { ...release, manifests };
}
