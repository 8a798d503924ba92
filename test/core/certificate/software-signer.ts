import { generateKeyPairSync, sign } from 'node:crypto';
import type { CertificateSigner } from '../../../core/certificate/certificate-signer.ts';

/** A signer with its key in memory, which signs the same bytes the same way each time; `broken` makes it fail. */
export type SoftwareSigner = CertificateSigner & { broken: boolean };

export function softwareSigner(): SoftwareSigner {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const given = new Map<string, Uint8Array>();
  const signer: SoftwareSigner = {
    broken: false,
    publicKey: () => Promise.resolve(publicKey.export({ format: 'der', type: 'spki' })),
    sign: (message) => {
      if (signer.broken) return Promise.reject(new Error('the key does not answer'));
      const name = Buffer.from(message).toString('hex');
      const signature = given.get(name) ?? sign('sha256', message, privateKey);
      given.set(name, signature);
      return Promise.resolve(signature);
    },
  };
  return signer;
}
