import 'reflect-metadata';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectKeyIdentifierExtension,
} from '@peculiar/x509';
import { type KeyedCertificate, newCertificate } from '../../core/certificate/keyed-certificate.ts';
import { backdatedMs, isForExactly, serverExtensions } from '../../core/certificate/server-certificate.ts';
import type { RandomBytes } from '../../core/tenant/identifier.ts';

const day = 86_400_000;
export const leafValidity = 90 * day;
/** A leaf is made anew when this much of it has gone by. */
export const leafTerm = 60 * day;
export const caValidity = 2 * 365 * day;
/** How old a CA is when the next one is made. */
export const caTerm = (caValidity * 2) / 3;
/** How long a CA is trusted before it signs: API servers watch their configuration, and one may have been away. */
export const announcementMs = day;

/** All that this webhook needs to be trusted by the API server, as its Secret holds it. */
export type TlsMaterial = {
  /** Signs the leaf. */
  readonly ca: KeyedCertificate;
  /** Signs the next ones; is trusted first. */
  readonly next?: KeyedCertificate;
  /** Certificates of CAs that signed before, PEM, as long as they are valid. */
  readonly former: readonly string[];
  /** What the server shows. */
  readonly leaf: KeyedCertificate;
};

export type Circumstances = {
  /** DNS names and addresses by which the API server calls. */
  readonly names: readonly [string, ...string[]];
  /** Epoch milliseconds. */
  readonly now: number;
  readonly random: RandomBytes;
  /** What API servers trust at present, PEM; '' if nothing. */
  readonly trusted: string;
};

export type Renewed = { readonly material: TlsMaterial; readonly why: string };

/** What API servers shall trust: whoever signs now, next and before, PEM. */
export const trustedCas = ({ ca, next, former }: TlsMaterial): string =>
  [ca.certificate, ...(next ? [next.certificate] : []), ...former].join('');

/**
 * The material with what is due, or undefined when nothing is. Nothing that is shown is ever signed by a CA that API
 * servers do not trust yet: a next CA is announced for a day, and seen among the trusted ones, before it signs.
 */
export async function renewed(
  material: TlsMaterial | undefined,
  circumstances: Circumstances,
): Promise<Renewed | undefined> {
  const { now, trusted } = circumstances;
  if (!material || ageOf(material.ca, now) >= caValidity) {
    const ca = await newCa(circumstances);
    const leaf = await newLeaf(ca, circumstances);
    return { material: { ca, former: [], leaf }, why: material ? 'its CA has ended' : 'there was none' };
  }
  const former = material.former.filter((pem) => new X509Certificate(pem).validToDate.getTime() > now);
  const { next, ...kept } = { ...material, former };
  if (next && ageOf(next, now) >= announcementMs && trusted.includes(next.certificate.trim())) {
    const ca = next;
    const leaf = await newLeaf(ca, circumstances);
    return {
      material: { ca, former: [material.ca.certificate, ...former], leaf },
      why: 'the next CA signs now',
    };
  }
  if (!next && ageOf(material.ca, now) >= caTerm) {
    return { material: { ...kept, next: await newCa(circumstances) }, why: 'a next CA is announced' };
  }
  const due = whyLeafDue(material, circumstances);
  if (due !== undefined) {
    const leaf = await newLeaf(material.ca, circumstances);
    return { material: { ...material, former, leaf }, why: due };
  }
  return former.length < material.former.length
    ? { material: { ...material, former }, why: 'a former CA has ended' }
    : undefined;
}

/** Since it was made, ms. */
const ageOf = ({ certificate }: KeyedCertificate, now: number): number =>
  now - new X509Certificate(certificate).validFromDate.getTime() - backdatedMs;

function whyLeafDue({ ca, leaf }: TlsMaterial, { names, now }: Circumstances): string | undefined {
  const certificate = new X509Certificate(leaf.certificate);
  if (!certificate.verify(new X509Certificate(ca.certificate).publicKey)) return 'another CA signed the leaf';
  if (!isForExactly(certificate, names)) return 'the leaf was for other names';
  return ageOf(leaf, now) >= leafTerm ? 'the end of the leaf was near' : undefined;
}

function newCa({ now, random }: Circumstances): Promise<KeyedCertificate> {
  return newCertificate({
    // Of its own each time: API servers tell CAs of one name apart by trying, and people by nothing.
    commonName: `Cattery admission CA ${new Date(now).toISOString().slice(0, 10)} ${Buffer.from(random(4)).toString('hex')}`,
    notBefore: new Date(now - backdatedMs),
    notAfter: new Date(now + caValidity),
    extensions: ({ own }) => [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      new SubjectKeyIdentifierExtension(own),
    ],
    random,
  });
}

function newLeaf(issuer: KeyedCertificate, { names, now, random }: Circumstances): Promise<KeyedCertificate> {
  return newCertificate({
    commonName: 'Cattery admission webhook',
    issuer,
    notBefore: new Date(now - backdatedMs),
    notAfter: new Date(now + leafValidity),
    extensions: serverExtensions(names),
    random,
  });
}

/** The entries of the Secret. */
export function toSecret({ ca, next, former, leaf }: TlsMaterial): Record<string, string> {
  return {
    'tls.crt': leaf.certificate,
    'tls.key': leaf.key,
    'ca.crt': ca.certificate,
    'ca.key': ca.key,
    ...(next ? { 'next-ca.crt': next.certificate, 'next-ca.key': next.key } : {}),
    ...(former.length > 0 ? { 'former-ca.crt': former.join('') } : {}),
  };
}

/** What the Secret holds; undefined when it is empty, or when something of it cannot be read: then all is made anew. */
export function fromSecret(entries: Readonly<Record<string, string>>): TlsMaterial | undefined {
  const ca = pair(entries, 'ca');
  const leaf = pair(entries, 'tls');
  if (!ca || !leaf) return undefined;
  const next = pair(entries, 'next-ca');
  const former = (entries['former-ca.crt'] ?? '').match(pemPattern) ?? [];
  return {
    ca,
    leaf,
    ...(next ? { next } : {}),
    former: former.map((pem) => `${pem}\n`).filter(isCertificate),
  };
}

const pemPattern = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function pair(entries: Readonly<Record<string, string>>, name: string): KeyedCertificate | undefined {
  const [certificate, key] = [entries[`${name}.crt`], entries[`${name}.key`]];
  if (certificate === undefined || key === undefined) return undefined;
  try {
    const fits = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
    return fits ? { certificate, key } : undefined;
  } catch {
    return undefined;
  }
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).ca;
  } catch {
    return false;
  }
}
