import type { IncomingMessage } from 'node:http';
import { Problem } from '../../core/problem/problem.ts';
import type { ClusterLink } from '../agent/cluster-link.ts';
import type { UpgradeAnswer } from '../agent/upgrade-connection.ts';
import type { Exchange } from './exchange.ts';
import { type FlowLimits, watchFlow } from './flow-watch.ts';
import { responseHeaders, switchHeaders, upgradeHeaders } from './header-filter.ts';
import type { ImpersonatedIdentity } from './impersonation.ts';
import { join } from './joined-streams.ts';
import { messageOf, type RefusedUpgrades } from './refused-upgrades.ts';
import { assertOfTheCluster, locationOf, type ProxiedAnswer } from './proxy.ts';
import type { RequestTarget } from './request-target.ts';

export type WantedUpgrade = {
  readonly target: RequestTarget;
  /** What of a pod it is about, for the remedy. */
  readonly subresource: string;
  /** ms until the head of the cluster's answer. */
  readonly timeoutMs: number;
  /** How long the body of a refusal may stand still; what is upgraded may for ever. */
  readonly still: FlowLimits;
  /** Whom the cluster shall see; undefined: its own Guardian. */
  readonly identity: ImpersonatedIdentity | undefined;
  /** Who asks. */
  readonly principal: string;
  readonly refused: RefusedUpgrades;
};

/**
 * Sends a request for a WebSocket into the cluster (kubectl's exec, attach, cp and port-forward; the API server offers
 * watches and logs over it, too) and, when the cluster agrees, passes bytes both ways for as long as both sides live.
 * Any other answer is passed on as it is.
 *
 * Resolves when the answer's head was passed on. Rejects before that with Problem UPGRADE_NOT_SUPPORTED for other
 * protocols (after CLUSTER_NOT_CONNECTED: kubectl tries SPDY when its WebSocket failed, and shows only that answer),
 * INVALID_REQUEST, ORIGIN_NOT_ALLOWED, TOO_MANY_REQUESTS, BAD_GATEWAY or TIMEOUT, or with the reason of `exchange.gone`.
 */
export async function upgrade(
  exchange: Exchange,
  linkTo: () => Promise<ClusterLink>,
  { target, subresource, timeoutMs, still, identity, principal, refused }: WantedUpgrade,
): Promise<ProxiedAnswer> {
  assertOwnOrigin(exchange);
  const link = await linkTo();
  const key = [principal, exchange.target].join(' ');
  assertWebSocket(exchange, subresource, refused.reasonOf(key));
  if (target.segments[0] !== 'api' && target.segments[0] !== 'apis') {
    throw new Problem('UPGRADE_NOT_SUPPORTED', 'This is answered here, and not over a WebSocket.');
  }
  const path = target.path + target.query;
  const answer = await link
    .upgrade(
      { method: 'GET', path, headers: upgradeHeaders(exchange.headers, identity) },
      { signal: exchange.gone, answerTimeoutMs: timeoutMs },
    )
    .catch((error: unknown) => {
      if (error instanceof Problem) refused.keep(key, error.message);
      throw error;
    });
  if (answer.kind === 'refused') {
    keepReason(answer.answer, (reason) => refused.keep(key, reason));
    return passOnRefusal(exchange, answer.answer, { prefix: `/clusters/${target.clusterId}`, path, still });
  }
  assertSwitchedToWebSocket(answer);
  const { stream, headers } = answer;
  const client = exchange.switchProtocols(switchHeaders(headers, exchange));
  return { status: 101, ...join(client, stream, exchange.traffic) };
}

/**
 * A page of another origin must not open a WebSocket here with what the browser adds by itself: browsers ask nobody
 * before they do, but they name the page (RFC 6455 §10.2). Others send no Origin.
 */
function assertOwnOrigin({ headers }: Exchange): void {
  const { origin, host } = headers;
  if (origin === undefined) return;
  const own = host !== undefined && URL.canParse(`https://${host}`) ? new URL(`https://${host}`).origin : '';
  if (!URL.canParse(origin) || new URL(origin).origin !== own) throw new Problem('ORIGIN_NOT_ALLOWED');
}

function assertWebSocket(exchange: Exchange, subresource: string, reason: string | undefined): void {
  const protocols = (exchange.headers.upgrade ?? '').split(',').map((name) => name.trim().toLowerCase());
  if (!protocols.includes('websocket')) {
    const isSpdy = protocols.some((name) => name.startsWith('spdy/'));
    throw new Problem(
      'UPGRADE_NOT_SUPPORTED',
      isSpdy ? spdyRemedy(subresource, reason) : 'Only WebSocket is offered.',
    );
  }
  if (!exchange.canSwitch) {
    throw new Problem('INVALID_REQUEST', 'A WebSocket is asked for over HTTP/1.1 with Connection: Upgrade.');
  }
  if (exchange.method !== 'GET' || exchange.hasBody) {
    throw new Problem('INVALID_REQUEST', 'A WebSocket is asked for with GET and without a body.');
  }
}

/** Guardian answers SPDY with 502 whoever asks (tunnel.md habit 2). Variables: Kubernetes KEPs 4006 and 4009. */
function spdyRemedy(subresource: string, reason: string | undefined): string {
  if (reason !== undefined)
    return `The WebSocket before this was refused: ${reason} (SPDY does not pass through a tunnel.)`;
  const [since, variable] =
    subresource === 'portforward'
      ? ['1.31 or later, or 1.30 with', 'KUBECTL_PORT_FORWARD_WEBSOCKETS']
      : ['1.30 or later, or 1.29 with', 'KUBECTL_REMOTE_COMMAND_WEBSOCKETS'];
  return (
    `SPDY does not pass through a tunnel, WebSocket does: use kubectl ${since} ${variable}=true. ` +
    'A kubectl that is new enough tries SPDY only when its WebSocket was refused.'
  );
}

/** The beginning of a refusal's body is enough to say why. */
const maxReasonBytes = 4_096;

function keepReason(answer: IncomingMessage, keep: (reason: string) => void): void {
  let text = '';
  answer.on('data', (bytes: Buffer) => {
    if (text.length < maxReasonBytes) text += bytes.toString('utf8');
  });
  answer.once('end', () =>
    keep(messageOf(text.slice(0, maxReasonBytes)) || `status ${answer.statusCode ?? 0}`),
  );
}

/** 101 may only open what was asked for. */
function assertSwitchedToWebSocket(answer: Extract<UpgradeAnswer, { kind: 'switched' }>): void {
  if (answer.headers.upgrade?.trim().toLowerCase() === 'websocket') return;
  answer.stream.destroy();
  throw new Problem('BAD_GATEWAY', 'The cluster switched to another protocol than WebSocket.');
}

function passOnRefusal(
  exchange: Exchange,
  answer: IncomingMessage,
  { prefix, path, still }: { prefix: string; path: string; still: FlowLimits },
): ProxiedAnswer {
  const { headers, statusCode: status = 0 } = answer;
  try {
    assertOfTheCluster(status);
    const location = locationOf({ status, headers }, prefix, path);
    const sink = exchange.begin(
      status,
      responseHeaders(headers, { requestId: exchange.requestId, location }),
    );
    answer.on('error', () => undefined);
    answer.once('close', () => {
      if (answer.complete) sink.end();
      else exchange.reset();
    });
    answer.pipe(sink, { end: false });
    answer.on('data', (bytes: Buffer) => exchange.traffic.send(bytes.length));
    const stop = watchFlow(answer, sink, still, () => exchange.reset());
    sink.once('close', stop);
    const done = new Promise<void>((resolve) => void sink.once('close', resolve));
    return { status, done, finish: () => exchange.reset() };
  } catch (error) {
    answer.destroy();
    throw error;
  }
}
