import { createHash, createHmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import type { Credentials } from '../../../../local/aws/sessions.ts';
import { region } from '../endpoint-fixture.ts';

class Sha256 {
  private readonly parts: Uint8Array[] = [];
  private readonly secret: string | Uint8Array | undefined;
  constructor(secret?: unknown) {
    this.secret = typeof secret === 'string' || secret instanceof Uint8Array ? secret : undefined;
  }
  update(data: string | Uint8Array): void {
    this.parts.push(Buffer.from(data as Uint8Array));
  }
  digest(): Promise<Uint8Array> {
    const hash = this.secret === undefined ? createHash('sha256') : createHmac('sha256', this.secret);
    return Promise.resolve(hash.update(Buffer.concat(this.parts)).digest());
  }
  reset(): void {
    this.parts.length = 0;
  }
}

/** A presigned URL as AWS's own signer makes it: a judge of the endpoint that shares no code with it. */
export async function presignedUrl(options: {
  endpoint: string;
  credentials: Credentials;
  path: string;
  query?: Record<string, string>;
  method?: string;
  expiresIn: number;
}): Promise<string> {
  const { hostname, port } = new URL(options.endpoint);
  const signer = new SignatureV4({
    service: 's3',
    region,
    credentials: options.credentials,
    sha256: Sha256,
    uriEscapePath: false,
    applyChecksum: false,
  });
  const signed = await signer.presign(
    {
      method: options.method ?? 'GET',
      protocol: 'http:',
      hostname,
      port: Number(port),
      path: options.path,
      query: options.query ?? {},
      headers: { host: `${hostname}:${port}`, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
    },
    { expiresIn: options.expiresIn },
  );
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(signed.query ?? {})) query.set(name, String(value));
  return `${options.endpoint}${options.path}?${query.toString().replaceAll('+', '%20')}`;
}
