import type { Release } from '../../../core/release/release-schema.ts';

export const v3307: Release = {
  version: 'v3.30.7',
  default: false,
  support: 'ending',
  released: '2026-03-18',
  operatorVersion: 'v1.38.13',
  quirks: [
    'The agent ends and its pod restarts whenever its connection is cut; restarts that follow a deployment of the control plane are normal.',
    'The agent cannot be told which TLS cipher suites to use.',
    'The operator reads the log trust from the secret tigera-voltron-linseed-certs-public; the manifest brings the newer name as well.',
    'The ManagementClusterConnection must be named tigera-secure, and has no spec.impersonation.',
    'Apply the CRDs with kubectl create or kubectl apply --server-side: they are too large for client-side apply.',
    'Flows arrive only once a Goldmane resource named default exists, and the connection waits for an APIServer resource.',
  ],
};
