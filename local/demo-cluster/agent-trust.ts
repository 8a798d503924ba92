import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { AgentError } from './agent-error.ts';

/** Whom the agent trusts: the name it asks for and verifies, and the roots, each a PEM. */
export type Trust = { name: string; roots: string[] };

/** The certificates of a PEM bundle, in order. @throws AgentError TRUST_BUNDLE_EMPTY */
export function certificatesOf(bundle: string): string[] {
  const found = bundle.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (found.length === 0) throw new AgentError('TRUST_BUNDLE_EMPTY', 'the bundle holds no certificate');
  return found;
}

/**
 * Reads `management-cluster.crt` as Guardian does: every certificate in it is a root, and the only DNS name of the
 * first is the server's name, whatever address is dialled (protocol/guardian.md §1).
 * @throws AgentError TRUST_BUNDLE_EMPTY, TRUST_BUNDLE_NAMES
 */
export function readTrustBundle(bundle: string): Trust {
  const roots = certificatesOf(bundle);
  const first = new x509.X509Certificate(roots[0] ?? '');
  const names = first.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  const dns = names.filter((entry) => entry.type === 'dns').map((entry) => entry.value);
  const [name] = dns;
  if (name === undefined || dns.length !== 1) {
    const message = `the first certificate of the trust bundle must have exactly one DNS name, not ${dns.length}`;
    throw new AgentError('TRUST_BUNDLE_NAMES', message);
  }
  return { name, roots };
}

/** `host:port` (an IPv6 host in brackets), never a URL. @throws AgentError TUNNEL_ADDRESS_INVALID */
export function parseTunnelAddress(address: string): { host: string; port: number } {
  const parts = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/\s[\]]+)):(\d{1,5})$/.exec(address);
  const port = Number(parts?.[3]);
  const host = parts?.[1] ?? parts?.[2];
  if (host === undefined || !(port >= 1 && port <= 65535)) {
    throw new AgentError('TUNNEL_ADDRESS_INVALID', `${JSON.stringify(address)} is not host:port`);
  }
  return { host, port };
}
