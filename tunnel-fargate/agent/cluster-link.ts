import type { ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import type { UpgradeAnswer, UpgradeOptions, UpgradeRequest } from './upgrade-connection.ts';

export type ClusterRequestOptions = {
  /** No body follows. */
  readonly endStream: boolean;
  /** The stream asks for trailers once its body has ended ('wantTrailers'), and waits for them. */
  readonly waitForTrailers?: boolean;
  /** Aborting ends the wait for the connection and, later, the stream (RST_STREAM CANCEL). */
  readonly signal?: AbortSignal;
};

/** A live way into one cluster: a session of this task now; a peer's, when several tasks run. */
export interface ClusterLink {
  readonly clusterId: string;
  readonly tenantId: string;
  /**
   * Starts an HTTP/2 request through the inner TLS, which is pinned to the certificate of the tunnel. The connection
   * is opened when needed and reused. Resolves when the request may be written to, not when it is answered.
   * Rejects with Problem BAD_GATEWAY, CLUSTER_NOT_CONNECTED or TIMEOUT, or with the reason of the signal.
   */
  request(headers: OutgoingHttpHeaders, options: ClusterRequestOptions): Promise<ClientHttp2Stream>;
  /**
   * Starts an HTTP/1.1 upgrade over a connection of its own, pinned likewise. Resolves with the head of the cluster's
   * answer. Rejects with Problem BAD_GATEWAY, CLUSTER_NOT_CONNECTED, TIMEOUT or TOO_MANY_REQUESTS, or with the reason
   * of the signal.
   */
  upgrade(request: UpgradeRequest, options: UpgradeOptions): Promise<UpgradeAnswer>;
}
