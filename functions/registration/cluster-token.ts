import { GenerateMacCommand, KMSClient } from '@aws-sdk/client-kms';
import { type Token, tokenFromBytes } from '../../core/credential/token.ts';

/** Gives a cluster's own credential: always the same for the same cluster, and stored nowhere (design.md 6). */
export type ClusterTokens = (clusterId: string) => Promise<Token>;

/** Derives them with a KMS key of spec HMAC_256. */
export function kmsClusterTokens(keyId: string, kms: KMSClient = new KMSClient()): ClusterTokens {
  return async (clusterId) => {
    const { Mac } = await kms.send(
      new GenerateMacCommand({
        KeyId: keyId,
        MacAlgorithm: 'HMAC_SHA_256',
        Message: Buffer.from(`cluster-token\n${clusterId}`),
      }),
    );
    if (!Mac) throw new Error('KMS answered without a MAC');
    return tokenFromBytes('cluster', Mac);
  };
}
