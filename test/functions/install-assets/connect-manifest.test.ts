import { describe, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { catalogue } from '../../../core/release/catalogue.ts';
import { connectManifest } from '../../../functions/install-assets/connect-manifest.ts';
import { crd } from './calico-crd.ts';
import { addresses, clusterRecord, trust } from './deployment.ts';

type KubernetesObject = {
  apiVersion: string;
  kind: string;
  type?: string;
  metadata: { name: string; namespace?: string };
  data?: Record<string, string>;
  spec?: Record<string, unknown>;
};

const cluster = clusterRecord('c-aaaaaaaaaaaaaaaaaaaa');
const manifest = connectManifest({ cluster, trust, tunnelAddress: addresses.TUNNEL_ADDRESS });
const objects = parseAllDocuments(manifest).map((document) => document.toJS() as KubernetesObject);
const named = (name: string) => objects.find(({ metadata }) => metadata.name === name);
const decoded = (name: string) =>
  Object.fromEntries(
    Object.entries(named(name)?.data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, 'base64').toString(),
    ]),
  );

describe('the connect manifest', () => {
  test.each(catalogue().releases.map(({ version }) => version))(
    'fits the ManagementClusterConnection CRD of Calico %s',
    (version) => {
      const judged = crd('managementclusterconnection', version);
      const connection = named('tigera-secure');
      expect(judged(connection)).toBe(true);
      // The schema does judge: what it does not know is refused.
      expect(
        judged({ ...connection, spec: { ...connection?.spec, managementClusterAddress: 'x' } }),
      ).not.toBe(true);
      expect(judged({ ...connection, spec: { ...connection?.spec, tls: { ca: 'Mine' } } })).not.toBe(true);
    },
  );

  test('points the connection, by its only name, at the tunnel with our own roots', () => {
    expect(named('tigera-secure')).toEqual({
      apiVersion: 'operator.tigera.io/v1',
      kind: 'ManagementClusterConnection',
      metadata: { name: 'tigera-secure' },
      spec: { managementClusterAddr: 'tunnel.example:9000', tls: { ca: 'Tigera' } },
    });
  });

  test("brings the tunnel's secret with trust bundle and certificate, and without a private key", () => {
    expect(decoded('tigera-managed-cluster-connection')).toEqual({
      'management-cluster.crt': trust.trustBundle,
      'managed-cluster.crt': cluster.certificate,
    });
    expect(manifest).not.toMatch(/PRIVATE KEY|UFJJVkFURSBLRVk/);
    // Owned as stringData it would not be merged by key.
    expect(manifest).not.toContain('stringData');
  });

  test('brings the log trust under both names that operators read', () => {
    for (const name of ['tigera-voltron-linseed-certs-public', 'calico-voltron-linseed-certs-public']) {
      expect(decoded(name)).toEqual({ 'tls.crt': trust.roots });
    }
  });

  test('puts every secret into the namespace of the operator, and the connection last', () => {
    expect(objects.map(({ kind, metadata, type }) => [kind, metadata.namespace, type])).toEqual([
      ['Secret', 'tigera-operator', 'Opaque'],
      ['Secret', 'tigera-operator', 'Opaque'],
      ['Secret', 'tigera-operator', 'Opaque'],
      ['ManagementClusterConnection', undefined, undefined],
    ]);
  });

  // Registry, pull secrets and proxy are the Installation's, which is the cluster owner's own (installation-patch.ts).
  test.each(['read', 'edit', 'impersonate', undefined] as const)(
    'has nothing of the Installation object (access: %s)',
    (access) => {
      const text = connectManifest({ cluster, trust, tunnelAddress: addresses.TUNNEL_ADDRESS, access });
      const kinds = parseAllDocuments(text).map((document) => (document.toJS() as KubernetesObject).kind);
      expect(kinds).toContain('ManagementClusterConnection');
      expect(kinds).not.toContain('Installation');
      expect(text).not.toMatch(/imagePullSecret|httpsProxy|registry:/i);
    },
  );

  test('tells how the key is added, in comments only', () => {
    const comments = manifest.split('\n').filter((line) => line.startsWith('#'));
    expect(comments.join('\n')).toContain('--from-file=managed-cluster.key');
    expect(comments.join('\n')).toContain('shop-1 (c-aaaaaaaaaaaaaaaaaaaa)');
  });
});
