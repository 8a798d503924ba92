import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Logger } from 'pino';
import type { KeyedCertificate } from '../../core/certificate/keyed-certificate.ts';
import { Problem, problemBody, problemMediaType } from '../../core/problem/problem.ts';
import { review, type ReviewDependencies, tooLarge } from './review.ts';
import { type ReviewBody, ReviewBodies } from './review-body.ts';

/** How a request ended: `error` is whatever got no AdmissionReview. */
export type ReviewOutcome = 'allowed' | 'warned' | 'refused' | 'error';

export type ReviewServerDependencies = ReviewDependencies & {
  /** Whether API servers should go to another replica: each answer then ends its connection. */
  readonly isStopping: () => boolean;
  readonly onReview: (outcome: ReviewOutcome, seconds: number) => void;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
};

/** An API server holds a few connections; the rest is for whoever else finds this port. */
const maxConnections = 512;
/** Longer than the 90 s after which an API server closes an idle connection: it must not meet one that we close. */
const keepAliveMs = 120_000;
/** The longest timeout that a webhook may have. */
const requestMs = 30_000;

/** The HTTPS server that API servers ask: `POST /review`, and nothing else. It does not listen yet. */
export function reviewServer(certificate: KeyedCertificate, deps: ReviewServerDependencies): Server {
  const bodies = new ReviewBodies();
  const server = createServer(
    {
      ...secureContext(certificate),
      minVersion: 'TLSv1.2',
      handshakeTimeout: 10_000,
      headersTimeout: 10_000,
      requestTimeout: requestMs,
      keepAliveTimeout: keepAliveMs,
      maxHeaderSize: 16_384,
    },
    (incoming, outgoing) => void serve(incoming, outgoing, bodies, deps),
  );
  server.maxConnections = maxConnections;
  return server;
}

/** For `setSecureContext`, too: running connections keep what they began with. */
export const secureContext = ({ certificate, key }: KeyedCertificate) => ({ cert: certificate, key });

async function serve(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  bodies: ReviewBodies,
  deps: ReviewServerDependencies,
): Promise<void> {
  const startedAt = performance.now();
  let outcome: ReviewOutcome = 'error';
  if (deps.isStopping()) outgoing.setHeader('Connection', 'close');
  try {
    const answer = await answered(incoming, bodies, deps);
    const { allowed, warnings } = answer.response;
    outcome = !allowed ? 'refused' : warnings ? 'warned' : 'allowed';
    send(outgoing, 200, 'application/json', answer);
  } catch (error) {
    if (incoming.destroyed && !incoming.complete) return;
    const problem = error instanceof Problem ? error : new Problem('INTERNAL');
    const requestId = randomUUID();
    if (problem.code === 'INTERNAL') {
      deps.logger.error({ event: 'review-failed', requestId, err: error }, 'a review failed');
    } else {
      const { code, message } = problem;
      deps.logger.warn({ event: 'review-unanswered', requestId, code }, message);
    }
    send(outgoing, problem.status, problemMediaType, problemBody(problem, requestId), problem.headers);
  } finally {
    deps.onReview(outcome, (performance.now() - startedAt) / 1_000);
  }
}

async function answered(
  incoming: IncomingMessage,
  bodies: ReviewBodies,
  deps: ReviewServerDependencies,
): ReturnType<typeof review> {
  const [path, query] = (incoming.url ?? '').split('?', 2);
  if (path !== '/review') throw new Problem('NOT_FOUND');
  if (incoming.method !== 'POST') {
    throw new Problem('METHOD_NOT_ALLOWED', 'Allowed: POST.', { headers: { Allow: 'POST' } });
  }
  if (!/^application\/json(?:\s*;|$)/i.test(incoming.headers['content-type'] ?? '')) {
    throw new Problem('UNSUPPORTED_MEDIA_TYPE', 'A review is application/json.');
  }
  const body: ReviewBody = await bodies.read(incoming);
  if ('tooLarge' in body) return tooLarge(body.uid, deps);
  return review(body.json, new URLSearchParams(query).get('timeout') ?? undefined, deps);
}

function send(
  outgoing: ServerResponse,
  status: number,
  type: string,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = Buffer.from(JSON.stringify(body));
  // What was not read of a request cannot be skipped: its connection ends.
  const ends = outgoing.req.complete ? {} : { Connection: 'close' };
  outgoing.writeHead(status, { 'Content-Type': type, 'Content-Length': text.length, ...headers, ...ends });
  outgoing.end(text);
}
