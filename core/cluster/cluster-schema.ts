import * as z from 'zod';
import { clusterIdPattern } from '../tenant/identifier.ts';

export const clusterId = z.string().regex(clusterIdPattern).meta({ description: 'c- and 20 of [a-z2-7]' });

/** 1–63 of [a-z0-9.-]: as Kubernetes names, without their further rules. Unique in a tenant. */
export const clusterNamePattern = /^[a-z0-9.-]{1,63}$/;

/** Names a certificate. */
export const certificateFingerprint = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .meta({ description: 'lower-case hex SHA-256 of the DER' });

/** Printable ASCII: it is shown in terminals and in `kubectl version`. */
const shortText = z.string().regex(/^[\x20-\x7e]{1,128}$/);

/** What a cluster says of itself when it registers. */
export const clusterFacts = z
  .strictObject({
    kubernetesVersion: shortText.meta({ description: 'as the API server reports it', example: 'v1.33.2' }),
    calicoVersion: shortText.meta({ example: 'v3.32.1' }),
    distribution: shortText.meta({ example: 'kubeadm' }),
    nodeCount: z.int().min(0).max(100_000),
  })
  .meta({ id: 'ClusterFacts' });
export type ClusterFacts = z.infer<typeof clusterFacts>;

export const connectionStates = ['pending', 'connected', 'disconnected'] as const;

export const cluster = z
  .object({
    clusterId,
    clusterName: z.string(),
    state: z
      .enum(connectionStates)
      .meta({ description: 'pending: registered, its tunnel has never been up' }),
    since: z.iso.datetime().meta({ description: 'when the state began' }),
    registeredAt: z.iso.datetime(),
    cluster: clusterFacts,
    impersonation: z
      .boolean()
      .meta({ description: 'whether requests bear the identity of their user (docs/access.md)' }),
    certificate: z
      .object({
        fingerprint: certificateFingerprint,
        notAfter: z.iso.datetime(),
        daysLeft: z.int().min(0).meta({ description: 'whole days until then; 0: less than one, or over' }),
        connected: certificateFingerprint
          .optional()
          .meta({ description: 'the fingerprint of the certificate that the live tunnel uses' }),
      })
      .meta({ description: 'that of the live tunnel; while none is up, the newest' }),
  })
  .meta({ id: 'Cluster' });
export type ClusterView = z.infer<typeof cluster>;

/** What a tenant decides about one of its clusters. */
export const clusterSettings = z
  .strictObject({
    impersonation: z.boolean().meta({
      description:
        'the cluster sees the user, not its Guardian; it must have granted that (manifest?access=impersonate)',
    }),
  })
  .meta({ id: 'ClusterSettings' });

export const registration = z
  .strictObject({
    clusterName: z.string().max(512).meta({ description: 'unique in the tenant: 1 to 63 of [a-z0-9.-]' }),
    csr: z.string().max(16_384).meta({ description: 'PKCS #10, PEM. Only its key counts' }),
    cluster: clusterFacts,
  })
  .meta({ id: 'Registration' });
export type Registration = z.infer<typeof registration>;

export const registered = z
  .object({
    clusterId,
    clusterName: z.string(),
    certificate: z.string().meta({ description: "managed-cluster.crt: the cluster's certificate, PEM" }),
    trustBundle: z.string().meta({ description: 'management-cluster.crt: name hint and roots, PEM' }),
    logTrust: z.string().meta({ description: "roots of the log endpoint's certificate, PEM" }),
    tunnelAddress: z.string().meta({ description: 'host:port' }),
    clusterToken: z.string().meta({ description: "the cluster's own credential, ccr_…" }),
  })
  .meta({ id: 'Registered' });
export type Registered = z.infer<typeof registered>;

export const certificateRenewal = z
  .strictObject({
    csr: z.string().max(16_384).meta({ description: 'PKCS #10, PEM, of a new key. Only its key counts' }),
    proof: z
      .string()
      .max(8_192)
      .meta({
        description:
          'compact JWS, signed with the key of a valid certificate of the cluster: ES256 (P-384: ES384, RSA: RS256) ' +
          'over {"sub": clusterId, "iat": epoch seconds, "csr_sha256": hex SHA-256 of csr as it is sent}',
      }),
  })
  .meta({ id: 'CertificateRenewal' });
export type CertificateRenewal = z.infer<typeof certificateRenewal>;

export const certificateRenewed = z
  .object({
    certificate: z.string().meta({ description: 'managed-cluster.crt: the new certificate, PEM' }),
    fingerprint: certificateFingerprint,
    notAfter: z.iso.datetime(),
  })
  .meta({ id: 'CertificateRenewed' });
export type CertificateRenewed = z.infer<typeof certificateRenewed>;
