import { generateKeyPairSync } from 'node:crypto';
import { bundleKeyOf } from '../../../core/admission/bundle-key.ts';
import type { Trust } from '../../../core/certificate/trust-repository.ts';
import { catalogue } from '../../../core/release/catalogue.ts';
import type { ClusterRecord, Renewal } from '../../../core/cluster/cluster-repository.ts';
import type { Dependencies } from '../../../functions/install-assets/deps.ts';

const pem = (label: string) =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(label).toString('base64')}\n-----END CERTIFICATE-----\n`;

export const trust: Trust = {
  trustBundle: pem('hint') + pem('root 1') + pem('root 2'),
  roots: pem('root 1') + pem('root 2'),
  hintName: 'tunnel.abc.cattery.internal',
  clusterCa: pem('cluster ca'),
};

export const addresses: Dependencies['addresses'] = {
  API_URL: 'https://api.example/prod',
  ACCESS_URL: 'https://access.example/',
  TUNNEL_ADDRESS: 'tunnel.example:9000',
  ACCESS_TRUST: 'deployment',
};

const publicKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
  format: 'der',
  type: 'spki',
});

/** The product's own releases, none of whose manifests is mirrored; a key of bundles. */
export const assets: Pick<Dependencies, 'catalogue' | 'mirror' | 'script' | 'scanReporter' | 'bundleSigner'> =
  {
    catalogue,
    mirror: { mirrored: () => Promise.resolve(new Set()), read: () => Promise.resolve(undefined) },
    script: () => Promise.resolve("#!/bin/sh\napi='@CATTERY_API_URL@'\ntunnel='@CATTERY_TUNNEL_ADDRESS@'\n"),
    scanReporter: () => Promise.resolve("#!/bin/sh\napi='@CATTERY_API_URL@'\n"),
    bundleSigner: { key: () => Promise.resolve(bundleKeyOf(publicKey)) },
  };

export const identity: Dependencies['identity'] = {
  OIDC_ISSUER: 'https://id.example/r',
  OIDC_AUDIENCE: 'cattery-cli',
};

export const clusterRecord = (clusterId: string, clusterName = 'shop-1'): ClusterRecord => ({
  clusterId,
  clusterName,
  registeredAt: Date.parse('2026-11-01T00:00:00Z'),
  facts: { kubernetesVersion: 'v1.33.2', calicoVersion: 'v3.32.1', distribution: 'kubeadm', nodeCount: 3 },
  certificate: pem(`certificate of ${clusterId}`),
  fingerprint: 'f'.repeat(64),
  notAfter: Date.parse('2027-11-01T00:00:00Z'),
  tokenHash: 'a'.repeat(64),
});

/** A renewal of a cluster: another certificate, which ends a year later. */
export const renewalRecord = (label: string): Renewal => ({
  certificate: pem(`renewed certificate ${label}`),
  fingerprint: 'e'.repeat(64),
  notAfter: Date.parse('2028-11-01T00:00:00Z'),
  keyHash: 'b'.repeat(64),
});
