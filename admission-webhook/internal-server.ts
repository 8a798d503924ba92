import { createServer, type Server } from 'node:http';
import type { Figures } from './metrics/figures.ts';

export type Health = {
  readonly figures: Pick<Figures, 'contentType' | 'text'>;
  /** Why reviews should go to another replica; undefined: they may come here. */
  readonly whyUnready: () => string | undefined;
};

/** Probes of the kubelet (`/livez`, `/readyz`) and `/metrics`, on a port that no Service names. It does not listen yet. */
export function internalServer({ figures, whyUnready }: Health): Server {
  return createServer({ requestTimeout: 10_000, headersTimeout: 5_000 }, (incoming, outgoing) => {
    const answer = (status: number, text: string, type = 'text/plain; charset=utf-8') =>
      outgoing.writeHead(status, { 'Content-Type': type }).end(text);
    incoming.resume();
    switch (incoming.url) {
      case '/livez':
        answer(200, 'ok\n');
        return;
      case '/readyz': {
        const why = whyUnready();
        answer(why === undefined ? 200 : 503, `${why ?? 'ok'}\n`);
        return;
      }
      case '/metrics':
        figures.text().then(
          (text) => answer(200, text, figures.contentType),
          () => answer(500, 'the figures cannot be read\n'),
        );
        return;
      default:
        answer(404, 'not found\n');
    }
  });
}
