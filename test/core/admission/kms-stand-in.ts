/** KMS's own protocol (AWS JSON 1.1) on loopback, over the laptop's keys: what the SDK sends is what is judged. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { KMSClient } from '@aws-sdk/client-kms';
import { openKeys } from '../../../local/aws/kms/key-store.ts';

type Fault = 'none' | 'throttled' | 'unreachable' | 'empty';

export type KmsStandIn = {
  readonly client: KMSClient;
  /** What was asked, oldest first. */
  readonly asked: { readonly operation: string; readonly input: Readonly<Record<string, string>> }[];
  /** What becomes of the operations that it is set for. */
  readonly faults: { GetPublicKey: Fault; Sign: Fault };
  /** Puts another key behind the same name, as who moves an alias does. */
  readonly rotate: () => void;
  readonly close: () => Promise<void>;
};

export async function startKms(): Promise<KmsStandIn> {
  const dataDir = await mkdtemp(path.join(os.tmpdir(), 'kms-'));
  const spec = (keyId: string) =>
    ({ keyId, arn: `arn:${keyId}`, keySpec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' }) as const;
  const keys = await openKeys(dataDir, [spec('first'), spec('second')], Date.now);
  let current = 0;
  const asked: KmsStandIn['asked'] = [];
  const faults: KmsStandIn['faults'] = { GetPublicKey: 'none', Sign: 'none' };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      const operation = String(request.headers['x-amz-target']).replace('TrentService.', '');
      const input = JSON.parse(body) as Record<string, string>;
      asked.push({ operation, input });
      const fault = operation === 'Sign' ? faults.Sign : faults.GetPublicKey;
      if (fault === 'unreachable') {
        request.socket.destroy();
        return;
      }
      const key = keys[current];
      const answer =
        fault === 'empty'
          ? {}
          : fault === 'throttled'
            ? { __type: 'ThrottlingException', message: 'Rate exceeded' }
            : operation === 'Sign'
              ? {
                  Signature: key?.signDigest?.(Buffer.from(input.Message ?? '', 'base64')).toString('base64'),
                }
              : { PublicKey: key?.publicKey?.toString('base64') };
      response
        .writeHead(fault === 'throttled' ? 400 : 200, { 'Content-Type': 'application/x-amz-json-1.1' })
        .end(JSON.stringify(answer));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = new KMSClient({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
    // Three otherwise, with pauses of a second.
    maxAttempts: 2,
  });
  return {
    client,
    asked,
    faults,
    rotate: () => {
      current = 1 - current;
    },
    close: async () => {
      client.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(dataDir, { recursive: true });
    },
  };
}
