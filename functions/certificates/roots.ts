import 'reflect-metadata';
import { X509Certificate } from 'node:crypto';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
} from '@peculiar/x509';
import * as z from 'zod';
import {
  keyedCertificate,
  type KeyedCertificate,
  newCertificate,
} from '../../core/certificate/keyed-certificate.ts';
import { backdatedMs } from '../../core/certificate/server-certificate.ts';
import { base32, type RandomBytes } from '../../core/tenant/identifier.ts';

/** What ROOTS_SECRET_ID holds. */
export const rootsSecret = z.object({
  format: z.literal(1),
  /** The name that agents send and verify, and the throw-away certificate that tells it to them; its key is discarded. */
  hint: z.object({ name: z.string(), certificate: z.string() }),
  /** Issues our server certificates. */
  current: keyedCertificate,
  /** Trusted already, and the current one later. */
  next: keyedCertificate,
});
export type Roots = z.infer<typeof rootsSecret>;

export type Moment = { readonly now: number; readonly random: RandomBytes };

const year = 365.25 * 86_400_000;
/** A root is replaced as the current one when it has less than this left. */
export const rootSpare = 2 * year;
/** How long a root is the current one. */
export const rootTerm = 8 * year;

/**
 * The hint and the first two roots. The hint's name is fixed for the life of the deployment: clusters keep it.
 *
 * Overlap: the first current root lives 10 years, and every next root ends 8 years after the one before it. So each is
 * known to clusters for the 8 years before it issues anything, issues for 8, and has 2 to spare. When one steps up, all
 * server certificates are issued anew by it, and a cluster that connected under the bundle of (A, B) stays connected
 * while B is the current root; it must be given the next bundle, as the renewal of its certificate does, within those 8 years.
 */
export async function newRoots(trustDomain: string, moment: Moment): Promise<Roots> {
  const name = `tunnel.${base32(moment.random(13)).slice(0, 20)}.${trustDomain}`;
  const end = moment.now + rootTerm + rootSpare;
  return {
    format: 1,
    hint: { name, certificate: await newHint(name, moment) },
    current: await newRoot(end, moment),
    next: await newRoot(end + rootTerm, moment),
  };
}

/** The same roots, or, when the current one has less than 2 years left, the next one in its place with a new next one. */
export async function rotatedRoots(roots: Roots, moment: Moment): Promise<Roots> {
  if (endOf(roots.current) - moment.now >= rootSpare) return roots;
  return { ...roots, current: roots.next, next: await newRoot(endOf(roots.next) + rootTerm, moment) };
}

/** Current and next root, PEM: current first, for the operator checks only the first one's dates (guardian.md §4.2). */
export const rootsPem = ({ current, next }: Roots): string => current.certificate + next.certificate;

/** The trust bundle: the agent takes the name from the first certificate and trusts them all (guardian.md §1). */
export const trustBundle = (roots: Roots): string => roots.hint.certificate + rootsPem(roots);

const endOf = ({ certificate }: KeyedCertificate): number =>
  new X509Certificate(certificate).validToDate.getTime();

/** Exactly one DNS name, for an agent does not start with none or several; no end that matters (RFC 5280 §4.1.2.5). */
async function newHint(name: string, { now, random }: Moment): Promise<string> {
  const { certificate } = await newCertificate({
    commonName: 'Cattery tunnel name',
    notBefore: new Date(now - backdatedMs),
    notAfter: new Date('9999-12-31T23:59:59Z'),
    extensions: () => [
      new BasicConstraintsExtension(false, undefined, true),
      new SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
    ],
    random,
  });
  return certificate;
}

function newRoot(end: number, { now, random }: Moment): Promise<KeyedCertificate> {
  return newCertificate({
    // A name of its own, for verifiers look issuers up by name. The operator takes certificates of issuers that begin
    // with tigera-operator-signer for its own (guardian.md §4.2).
    commonName: `Cattery root ${base32(random(5))}`,
    notBefore: new Date(now - backdatedMs),
    notAfter: new Date(end),
    extensions: ({ own }) => [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new SubjectKeyIdentifierExtension(own),
      new AuthorityKeyIdentifierExtension(own),
    ],
    random,
  });
}
