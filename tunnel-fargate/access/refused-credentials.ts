import { type CredentialKind, credentialKind } from '../../core/credential/credential-kind.ts';
import type { Caller } from '../../core/credential/caller.ts';
import type { RefusalPace } from '../../core/credential/refusal-pace.ts';
import { Problem } from '../../core/problem/problem.ts';
import type { Authentication } from './authentication.ts';
import type { Exchange } from './exchange.ts';
import { untilGone } from './until-gone.ts';

type Options = {
  readonly pace: Pick<RefusalPace, 'refused'>;
  /** Is told of each refused credential. */
  readonly onRefused?: ((kind: CredentialKind) => void) | undefined;
};

/** Turns a request into its verified caller. */
export type CallerOf = (exchange: Pick<Exchange, 'valuesOf' | 'remoteAddress' | 'gone'>) => Promise<Caller>;

/**
 * Authenticates requests; what is refused is counted, and answered the later the more of them came from the same address.
 * A request without any credential is no attempt: it is answered at once. Rejects as the authentication does, or with the
 * reason of `gone`.
 */
export function slowingRefusals(authenticate: Authentication, { pace, onRefused }: Options): CallerOf {
  return async (exchange) => {
    const authorization = exchange.valuesOf('authorization');
    try {
      return await authenticate(authorization);
    } catch (error) {
      if (authorization.length > 0 && error instanceof Problem && error.code === 'UNAUTHENTICATED') {
        onRefused?.(credentialKind(/^Bearer +(.+)$/i.exec(authorization[0] ?? '')?.[1]));
        await untilGone(pace.refused(exchange.remoteAddress), exchange.gone);
      }
      throw error;
    }
  };
}
