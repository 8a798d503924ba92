import * as z from 'zod';

const pair = z.object({
  certificate: z.string().meta({ description: 'leaf first, PEM' }),
  key: z.string().meta({ description: 'PKCS #8, PEM' }),
});

/** The secret that the tunnel server reads: written by functions/certificates, reloaded without a restart (design.md 8). */
export const serverCertificates = z.object({
  /** Presented on 9000; SAN: the hint's name. */
  tunnel: pair,
  /** Presented inside streams that clusters open; SAN `tigera-linseed.tigera-elasticsearch.svc`. */
  logEndpoint: pair,
  /** Presented to users on 443 where no ACM certificate ends TLS before us; SAN: the access host. */
  access: pair,
  /** Both sides between tasks. */
  peer: pair,
  /** Current and next root, PEM. */
  roots: z.string(),
});
export type ServerCertificates = z.infer<typeof serverCertificates>;
