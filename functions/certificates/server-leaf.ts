import { createPrivateKey, X509Certificate } from 'node:crypto';
import { type KeyedCertificate, newCertificate } from '../../core/certificate/keyed-certificate.ts';
import { backdatedMs, isForExactly, serverExtensions } from '../../core/certificate/server-certificate.ts';
import type { Moment, Roots } from './roots.ts';

const day = 86_400_000;
/** Validity of our server certificates, and how long before their end they are made anew. */
export const leafValidity = 90 * day;
export const leafRenewal = 30 * day;

export type LeafName = 'tunnel' | 'logEndpoint' | 'access' | 'peer';

export type LeafSpec = {
  readonly commonName: string;
  /** DNS names, or addresses. */
  readonly names: readonly [string, ...string[]];
  /** Whether it is shown by the side that dials as well. */
  readonly client: boolean;
};

/** What our server certificates are for. `accessUrl`: only what it says, an address or a name. */
export function leafSpecs(
  hintName: string,
  accessUrl: string,
  trustDomain: string,
): Record<LeafName, LeafSpec> {
  const accessHost = new URL(accessUrl).hostname.replace(/^\[(.*)\]$/, '$1');
  const service = 'tigera-linseed';
  const namespace = 'tigera-elasticsearch';
  return {
    tunnel: { commonName: 'Cattery tunnel', names: [hintName], client: false },
    // Producers use any form of the service's name (guardian.md §4.3).
    logEndpoint: {
      commonName: 'Cattery log endpoint',
      names: [
        `${service}.${namespace}.svc`,
        service,
        `${service}.${namespace}`,
        `${service}.${namespace}.svc.cluster.local`,
      ],
      client: false,
    },
    access: { commonName: 'Cattery access', names: [accessHost], client: false },
    peer: { commonName: 'Cattery peer', names: [`tunnel.peer.${trustDomain}`], client: true },
  };
}

/** Why a certificate must be made anew; undefined when it may stay. */
export function whyDue(
  existing: KeyedCertificate | undefined,
  spec: LeafSpec,
  { current }: Roots,
  now: number,
): string | undefined {
  if (!existing) return 'there is none';
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(existing.certificate);
    if (!certificate.checkPrivateKey(createPrivateKey(existing.key))) return 'its key is another';
  } catch {
    return 'it cannot be read';
  }
  if (!certificate.verify(new X509Certificate(current.certificate).publicKey)) {
    return 'another root is the current one';
  }
  if (!isForExactly(certificate, spec.names)) return 'it is for other names';
  return certificate.validToDate.getTime() - now < leafRenewal ? 'its end is near' : undefined;
}

/** A certificate of the current root, which is not in the chain: whoever verifies it has it. */
export function newLeaf(
  spec: LeafSpec,
  { current }: Roots,
  { now, random }: Moment,
): Promise<KeyedCertificate> {
  return newCertificate({
    commonName: spec.commonName,
    issuer: current,
    notBefore: new Date(now - backdatedMs),
    notAfter: new Date(now + leafValidity),
    extensions: serverExtensions(spec.names, spec),
    random,
  });
}
