import { compactVerify, createLocalJWKSet, errors, type JSONWebKeySet } from 'jose';
import { type AdmissionBundle, admissionBundle, bundleType } from '../../core/admission/admission-bundle.ts';

/** A bundle that is not taken: not signed by a known key, for another tenant, older than what is known, or not whole. */
export class BundleRefused extends Error {
  override readonly name = 'BundleRefused';
}

export type BundleOrigin = {
  /** Public keys, as they were pinned at the installation. */
  readonly keys: JSONWebKeySet;
  /** Base URL of the API. */
  readonly issuer: string;
  readonly tenantId: string;
};

/** One part as it came, and what it says. */
export type Part = { readonly jws: string; readonly bundle: AdmissionBundle };

/** Reads one part, if our control plane has signed it for our tenant. Rejects with BundleRefused, without what stood in it. */
export async function readPart(jws: string, { keys, issuer, tenantId }: BundleOrigin): Promise<Part> {
  const payload = await verified(jws, keys);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch (error) {
    throw new BundleRefused('the bundle is not JSON', { cause: error });
  }
  const read = admissionBundle.safeParse(json);
  if (!read.success) {
    const places = read.error.issues.slice(0, 5).map(({ path, code }) => `/${path.join('/')} ${code}`);
    throw new BundleRefused(`the bundle is not of a form that this webhook knows: ${places.join(', ')}`);
  }
  const bundle = read.data;
  if (withoutSlash(bundle.iss) !== withoutSlash(issuer)) {
    throw new BundleRefused('the bundle was signed for another API address');
  }
  if (bundle.sub !== tenantId) throw new BundleRefused('the bundle is of another tenant than is pinned');
  return { jws, bundle };
}

async function verified(jws: string, keys: JSONWebKeySet): Promise<Uint8Array> {
  try {
    const { payload, protectedHeader } = await compactVerify(jws, createLocalJWKSet(keys), {
      algorithms: ['ES256'],
    });
    if (protectedHeader.typ === bundleType) return payload;
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) {
      throw new BundleRefused('the bundle is signed by a key that is not pinned: apply the manifest anew', {
        cause: error,
      });
    }
    if (!(error instanceof errors.JOSEError)) throw error;
    throw new BundleRefused(`the signature of the bundle is not valid (${error.code})`, { cause: error });
  }
  throw new BundleRefused('what is signed is no bundle');
}

const withoutSlash = (url: string): string => url.replace(/\/+$/, '');
