import type { Release } from '../../../core/release/release-schema.ts';

export const v3317: Release = {
  version: 'v3.31.7',
  default: false,
  support: 'maintained',
  released: '2026-08-20',
  operatorVersion: 'v1.40.15',
  quirks: [
    'The agent ends and its pod restarts whenever its connection is cut; restarts that follow a deployment of the control plane are normal.',
    'The operator reads the log trust from the secret tigera-voltron-linseed-certs-public; the manifest brings the newer name as well.',
    'The ManagementClusterConnection must be named tigera-secure.',
    'Apply the CRDs with kubectl create or kubectl apply --server-side: they are too large for client-side apply.',
    'Flows arrive only once a Goldmane resource named default exists, and the connection waits for an APIServer resource.',
  ],
};
