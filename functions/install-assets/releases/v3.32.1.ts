import type { Release } from '../../../core/release/release-schema.ts';

export const v3321: Release = {
  version: 'v3.32.1',
  default: true,
  support: 'current',
  released: '2026-06-24',
  operatorVersion: 'v1.42.3',
  quirks: [
    'Needs operator v1.42.3 or later of the 1.42 line: earlier ones lack egress rules, and the default deny of calico-system then drops the connection.',
    'The operator reads the log trust from the secret calico-voltron-linseed-certs-public; the manifest brings the older name as well.',
    'The ManagementClusterConnection may also be named default, but is looked up as tigera-secure only.',
    'Only Goldmane may reach the agent inside the cluster.',
    'Apply the CRDs with kubectl create or kubectl apply --server-side: they are too large for client-side apply.',
    'Flows arrive only once a Goldmane resource named default exists, and the connection waits for an APIServer resource.',
  ],
};
