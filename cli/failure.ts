/** Exit codes; part of the interface (docs/cli.md), as scripts tell failures apart by them. */
export const exitCodes = {
  /** Anything else that went wrong. */
  failed: 1,
  /** The command line is not right. */
  usage: 2,
  /** There is no sign-in, or it is over. */
  'not signed in': 3,
  /** Signed in, but this is not allowed. */
  refused: 4,
  /** The network, TLS or the server: it may work later. */
  unreachable: 5,
} as const;
export type FailureKind = keyof typeof exitCodes;

/** What a user is told, in one sentence or two, instead of a stack trace. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly kind: FailureKind;

  constructor(kind: FailureKind, message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

export const signInAgain = 'Sign in with: cattery login';

export const notSignedIn = (why: string): Failure => new Failure('not signed in', `${why} ${signInAgain}`);

/** A text of somebody else's, without what would steer a terminal. */
export const printable = (text: string): string => text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ');

const untrusted = /SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|CERT_UNTRUSTED|ERR_TLS_CERT|CERT_/;

/** That a request did not get through, from what `fetch` threw. `who`: a URL or a name. */
export function unreachable(who: string, error: unknown): Failure {
  const reason = reasonOf(error);
  const hint = untrusted.test(reason)
    ? ' Its certificate is not trusted here: give its CA with --ca-file, or CATTERY_CA_FILE.'
    : '';
  return new Failure('unreachable', `${who} cannot be reached (${printable(reason)}).${hint}`, error);
}

/** The innermost cause, by its code where there is one: `fetch` says no more than that it failed. */
function reasonOf(error: unknown): string {
  const { name, code, message, cause } = (error ?? {}) as Record<string, unknown>;
  if (name === 'TimeoutError') return 'no answer in time';
  if (cause) return reasonOf(cause);
  return typeof code === 'string' ? code : String(message);
}
