import 'reflect-metadata';
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
} from '@peculiar/x509';

/** How far certificates of ours begin before they are made, ms: for clocks of others that are behind. */
export const backdatedMs = 3_600_000;

/** What a server's certificate says of itself. `names`: DNS names and addresses; `client`: whether it also dials with it. */
export const serverExtensions =
  (names: readonly string[], { client = false } = {}) =>
  ({ own, issuer }: { readonly own: string; readonly issuer: string }): readonly Extension[] => [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension([
      ExtendedKeyUsage.serverAuth,
      ...(client ? [ExtendedKeyUsage.clientAuth] : []),
    ]),
    new SubjectAlternativeNameExtension(
      names.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value })),
    ),
    new SubjectKeyIdentifierExtension(own),
    new AuthorityKeyIdentifierExtension(issuer),
  ];

/** Whether a certificate is for these names and no other. */
export function isForExactly(certificate: X509Certificate, names: readonly string[]): boolean {
  const count = certificate.subjectAltName?.split(', ').length ?? 0;
  return (
    count === names.length &&
    names.every((name) =>
      isIP(name)
        ? certificate.checkIP(name) !== undefined
        : certificate.checkHost(name, { subject: 'never', wildcards: false }) !== undefined,
    )
  );
}
