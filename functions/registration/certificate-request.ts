import 'reflect-metadata';
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { Pkcs10CertificateRequest } from '@peculiar/x509';
import { Problem } from '../../core/problem/problem.ts';

/** What counts of a certificate request: its key. Names and extensions in it are ignored (design.md 6). */
export type RequestedKey = {
  /** SubjectPublicKeyInfo, DER, in the one form that this key has. */
  readonly spki: Uint8Array;
  /** Lower-case hex SHA-256 of the SPKI: names the key in the token's record. */
  readonly keyHash: string;
};

const armour =
  /-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----/g;

/**
 * Reads a PKCS #10 request in PEM and verifies that it is signed by its own key.
 * Accepted keys: RSA of 2048 to 8192 bits, EC P-256 and P-384. Ed25519 is refused: Guardian's TLS library can use it,
 * but Guardian of v3.30 and v3.31 has FIPS builds (guardian.md §1) whose TLS cannot, and a key that only some of our
 * clients can use would fail after registration, where nobody sees why.
 * Throws CSR_MALFORMED, CSR_KEY_WEAK, CSR_SIGNATURE_INVALID.
 */
export async function readCertificateRequest(pem: string): Promise<RequestedKey> {
  const request = parse(pem);
  const key = publicKeyOf(request);
  const given = Buffer.from(request.publicKey.rawData);
  const weakness = weaknessOf(key, given);
  if (weakness)
    throw new Problem('CSR_KEY_WEAK', `${weakness} Use RSA of 2048 to 8192 bits, EC P-256 or P-384.`);
  if (!(await signedByItself(request))) throw new Problem('CSR_SIGNATURE_INVALID');
  const spki = canonicalForm(key);
  return { spki, keyHash: createHash('sha256').update(spki).digest('hex') };
}

function parse(pem: string): Pkcs10CertificateRequest {
  const blocks = [...pem.matchAll(armour)];
  const [base64] = blocks.map((match) => match[1]);
  if (base64 === undefined)
    throw new Problem('CSR_MALFORMED', 'There is no PEM block of a certificate request.');
  if (blocks.length > 1) throw new Problem('CSR_MALFORMED', 'There is more than one certificate request.');
  try {
    return new Pkcs10CertificateRequest(new Uint8Array(Buffer.from(base64, 'base64')));
  } catch (cause) {
    throw new Problem('CSR_MALFORMED', undefined, { cause });
  }
}

function publicKeyOf(request: Pkcs10CertificateRequest): KeyObject {
  try {
    return createPublicKey({ key: Buffer.from(request.publicKey.rawData), format: 'der', type: 'spki' });
  } catch (cause) {
    throw new Problem('CSR_MALFORMED', 'The key of the certificate request cannot be read.', { cause });
  }
}

/** The one SPKI of a key of an accepted kind, DER: a missing NULL must not make another key of the same one. */
const canonicalForm = (key: KeyObject): Buffer =>
  createPublicKey({ key: key.export({ format: 'jwk' }), format: 'jwk' }).export({
    format: 'der',
    type: 'spki',
  });

/** Why the key is refused; undefined when it is good. */
function weaknessOf(key: KeyObject, given: Buffer): string | undefined {
  const { modulusLength = 0, publicExponent = 0n, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < 2048 || modulusLength > 8192)
        return `RSA of ${modulusLength} bits is not accepted.`;
      // Go refuses an even exponent and one beyond 31 bits; with 1 anybody could sign.
      return publicExponent < 3n || publicExponent % 2n === 0n || publicExponent >= 2n ** 31n
        ? 'The public exponent of the RSA key is not accepted.'
        : undefined;
    case 'ec':
      if (namedCurve !== 'prime256v1' && namedCurve !== 'secp384r1') {
        return `The curve ${namedCurve ?? 'given by parameters'} is not accepted.`;
      }
      // Go reads a curve only by its name and a point only in full.
      return canonicalForm(key).equals(given)
        ? undefined
        : 'An EC key in another form than a named curve and an uncompressed point is not accepted.';
    default:
      return `A key of type ${key.asymmetricKeyType ?? 'unknown'} is not accepted.`;
  }
}

async function signedByItself(request: Pkcs10CertificateRequest): Promise<boolean> {
  try {
    return await request.verify(globalThis.crypto);
  } catch {
    // An algorithm that does not fit the key, or bytes that are no signature.
    return false;
  }
}
