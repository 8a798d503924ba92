import type { ConnectionTiming } from './connections.ts';
import { defaultRecheckTiming, type RecheckTiming } from './running-requests.ts';

/** How long everything on the access side may take. */
export type AccessTiming = ConnectionTiming &
  RecheckTiming & {
    /** How long a verified credential and a found cluster hold, ms. */
    readonly cacheMs: number;
    /** How long a request waits for a cluster that is reconnecting, ms. */
    readonly routeWaitMs: number;
    /** How long a cluster may take to begin an answer, ms; API servers give up at 60 s themselves and say so better. */
    readonly answerTimeoutMs: number;
    /** How long a body that we read ourselves may take, ms. */
    readonly bodyTimeoutMs: number;
    /** How long bodies that pass may stand still: the client's, the cluster's, and what the other side does not take, ms. */
    readonly requestSilenceMs: number;
    readonly answerSilenceMs: number;
    readonly stalledMs: number;
    /** How long watches and followed logs go on while the rest is waited for in a drain, ms. */
    readonly endlessDrainMs: number;
    /** For the head of an HTTP/1.1 request, ms. */
    readonly headersTimeoutMs: number;
    readonly handshakeTimeoutMs: number;
  };

export const defaultTiming: AccessTiming = {
  ...defaultRecheckTiming,
  // Half of the 5 s within which a revocation must be felt; what runs is looked at again in the other half.
  cacheMs: 2_500,
  routeWaitMs: 5_000,
  answerTimeoutMs: 65_000,
  bodyTimeoutMs: 15_000,
  requestSilenceMs: 60_000,
  answerSilenceMs: 65_000,
  stalledMs: 300_000,
  endlessDrainMs: 5_000,
  headersTimeoutMs: 15_000,
  handshakeTimeoutMs: 10_000,
  pingIntervalMs: 60_000,
  pingTimeoutMs: 30_000,
  firstRequestMs: 30_000,
  idleMs: 300_000,
};
