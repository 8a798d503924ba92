/** What stops the demo agent for good; everything else it retries. */
export type AgentErrorCode =
  | 'TRUST_BUNDLE_EMPTY' // no certificate in the trust bundle or the log trust
  | 'TRUST_BUNDLE_NAMES' // its first certificate has not exactly one DNS name
  | 'TUNNEL_ADDRESS_INVALID'; // not host:port

export class AgentError extends Error {
  override readonly name = 'AgentError';
  readonly code: AgentErrorCode;

  constructor(code: AgentErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
