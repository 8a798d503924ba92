import { describe, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { parseAllDocuments } from 'yaml';
import { connectManifest } from '../../../functions/install-assets/connect-manifest.ts';
import { releases } from '../../../functions/install-assets/releases.ts';
import { addresses, clusterRecord, trust } from './deployment.ts';

type Schema = { properties?: Record<string, Schema>; [member: string]: unknown };
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

/** The API server refuses members that a schema with properties does not name (strict validation, as kubectl asks). */
function strict(schema: Schema): Schema {
  if (!schema.properties) return schema;
  const properties = Object.entries(schema.properties).map(([name, value]) => [name, strict(value)] as const);
  return { ...schema, properties: Object.fromEntries(properties), additionalProperties: false };
}

const crd = (version: string): Schema => {
  const file = new URL(`../../fixtures/calico/managementclusterconnection-${version}.json`, import.meta.url);
  const schema = JSON.parse(readFileSync(file, 'utf8')) as Schema;
  // metadata is the API server's own type: the CRD says only that it is an object.
  return strict(schema);
};

describe('the connect manifest', () => {
  test.each(releases.map(({ version }) => version))(
    'fits the ManagementClusterConnection CRD of Calico %s',
    (version) => {
      const validate = new Ajv({ strict: false, validateFormats: false }).compile(crd(version));
      const connection = named('tigera-secure');
      expect(validate(connection) || validate.errors).toBe(true);
      // The schema does judge: what it does not know is refused.
      expect(validate({ ...connection, spec: { ...connection?.spec, managementClusterAddress: 'x' } })).toBe(
        false,
      );
      expect(validate({ ...connection, spec: { ...connection?.spec, tls: { ca: 'Mine' } } })).toBe(false);
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

  test('tells how the key is added, in comments only', () => {
    const comments = manifest.split('\n').filter((line) => line.startsWith('#'));
    expect(comments.join('\n')).toContain('--from-file=managed-cluster.key');
    expect(comments.join('\n')).toContain('shop-1 (c-aaaaaaaaaaaaaaaaaaaa)');
  });
});
