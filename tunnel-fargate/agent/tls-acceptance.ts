import { constants } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';

/** Certificate (leaf first) and key, PEM. */
export type KeyPair = { readonly certificate: string; readonly key: string };

/**
 * What a server of ours presents: TLS 1.2 and 1.3 (guardian.md §1). Resumption is off, for a resumed session would
 * bring the certificate of an earlier handshake, or none, past the look-up (tunnel.md 5): no tickets, and as no session
 * is cached either, every handshake is a full one. Renegotiation is off: it could change the certificate later.
 * No `ca`: the list of acceptable issuers stays empty, or Guardian would send no certificate (guardian.md §1).
 * Throws when key and certificate do not belong together.
 */
export const serverContext = ({ certificate, key }: KeyPair): SecureContext =>
  createSecureContext({
    cert: certificate,
    key,
    minVersion: 'TLSv1.2',
    maxVersion: 'TLSv1.3',
    secureOptions:
      constants.SSL_OP_NO_TICKET |
      constants.SSL_OP_NO_RENEGOTIATION |
      constants.SSL_OP_CIPHER_SERVER_PREFERENCE,
    sessionIdContext: 'cattery',
  });

type Options = {
  readonly context: SecureContext;
  readonly timeoutMs: number;
  /** Ask for a client certificate; whether it is good is the caller's to judge. */
  readonly requestCert?: boolean;
  readonly alpn?: readonly string[];
};

/**
 * The server's side of a TLS handshake over any Duplex: resolves when it is done, rejects when it fails, is cut or
 * takes longer than `timeoutMs`; the stream is destroyed then.
 */
export function acceptTls(
  stream: Duplex,
  { context, timeoutMs, requestCert, alpn }: Options,
): Promise<TLSSocket> {
  const socket = new TLSSocket(stream, {
    isServer: true,
    secureContext: context,
    requestCert: requestCert ?? false,
    rejectUnauthorized: false,
    ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
  });
  // A TLSSocket that no tls.Server made says only '_tlsError' when a record is bad, and would live on.
  socket.on('_tlsError', (error: Error) => socket.destroy(error));
  return new Promise((resolve, reject) => {
    let failure: Error | undefined;
    const timer = setTimeout(() => socket.destroy(new Error('the TLS handshake took too long')), timeoutMs);
    // Never taken off, as in inner-connection.ts.
    socket.on('error', (error: Error) => void (failure ??= error));
    socket.once('secure', () => {
      clearTimeout(timer);
      resolve(socket);
    });
    socket.once('close', () => {
      clearTimeout(timer);
      stream.destroy();
      reject(failure ?? new Error('the connection ended during the TLS handshake'));
    });
  });
}
