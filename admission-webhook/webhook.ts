import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { X509Certificate } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { KeyedCertificate } from '../core/certificate/keyed-certificate.ts';
import type { RandomBytes } from '../core/tenant/identifier.ts';
import { internalServer } from './internal-server.ts';
import type { KubeApi } from './kubernetes/kube-api.ts';
import { Namespaces } from './kubernetes/namespaces.ts';
import type { AskForBundle } from './knowledge/bundle-client.ts';
import { BundleKeeper } from './knowledge/bundle-keeper.ts';
import type { BundleOrigin } from './knowledge/bundle-part.ts';
import type { BundleStore } from './knowledge/bundle-store.ts';
import { Figures } from './metrics/figures.ts';
import { reviewServer, secureContext } from './review/review-server.ts';
import { keepTls, type TlsPlaces } from './tls/tls-keeper.ts';

/** For answers that are still being given when the server ends. */
const lastAnswersMs = 3_000;

/** Every effect that the webhook has outside itself. */
export type WebhookDependencies = {
  readonly kube: KubeApi;
  readonly ask: AskForBundle;
  readonly store: BundleStore;
  readonly origin: () => Promise<BundleOrigin>;
  readonly logger: Logger;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** 0 ≤ random() < 1. */
  readonly random: () => number;
  readonly randomBytes: RandomBytes;
};

export type WebhookOptions = {
  readonly listen: { readonly host?: string; readonly reviewPort: number; readonly internalPort: number };
  readonly tls: TlsPlaces;
  /** How often Secret and configuration are looked at, ms. */
  readonly tlsEveryMs: number;
  /** How often the control plane is asked for what is new, ms. */
  readonly pollEveryMs: number;
};

export type RunningWebhook = {
  readonly internalPort: number;
  /** Where reviews are answered; once there is a certificate. */
  readonly reviewPort: Promise<number>;
  /** Is unready at once, answers for `drainMs` more, as API servers still come, then ends. */
  readonly close: (drainMs: number) => Promise<void>;
};

/** Starts everything that the webhook does. Resolves when its probes are answered; reviews follow when they can be. */
export async function startWebhook(
  deps: WebhookDependencies,
  { listen, tls, tlsEveryMs, pollEveryMs }: WebhookOptions,
): Promise<RunningWebhook> {
  const { kube, logger, now, random } = deps;
  const stop = new AbortController();
  const namespaces = new Namespaces({ kube, logger, now, random });
  let shown: KeyedCertificate | undefined;
  let isLoaded = false;

  const keeper = new BundleKeeper({ ...deps, onPoll: (outcome) => figures.onPoll(outcome) });
  const figures = new Figures({
    ageMs: () => keeper.ageMs,
    images: () => keeper.knowledge?.images.size ?? 0,
    certificateEnds: () => shown && new X509Certificate(shown.certificate).validToDate.getTime(),
  });
  const internal = internalServer({
    figures,
    whyUnready: () => {
      if (stop.signal.aborted) return 'stopping';
      if (!shown) return 'there is no certificate yet';
      return keeper.knowledge ? undefined : isLoaded ? 'no bundle has been received yet' : 'starting';
    },
  });
  const internalPort = await listening(internal, listen.host, listen.internalPort);

  let reviews: HttpsServer | undefined;
  const bound = Promise.withResolvers<number>();
  const show = async (certificate: KeyedCertificate): Promise<void> => {
    if (certificate.certificate === shown?.certificate) return;
    if (reviews) reviews.setSecureContext({ ...secureContext(certificate), minVersion: 'TLSv1.2' });
    else {
      const made = reviewServer(certificate, {
        known: () => keeper.knowledge && { knowledge: keeper.knowledge, ageMs: keeper.ageMs },
        labels: (name, patienceMs) => namespaces.labels(name, patienceMs),
        isStopping: () => stop.signal.aborted,
        onReview: figures.onReview,
        logger,
        now,
      });
      bound.resolve(await listening(made, listen.host, listen.reviewPort));
      reviews = made;
    }
    shown = certificate;
  };
  const keepCertificates = async (): Promise<void> => {
    const { signal } = stop;
    while (!signal.aborted) {
      let pauseMs = tlsEveryMs;
      try {
        await show(await keepTls({ kube, logger, now, random: deps.randomBytes }, tls));
      } catch (error) {
        logger.error({ event: 'certificates-not-kept', err: error }, 'the certificates cannot be kept');
        if (!shown) pauseMs = Math.min(tlsEveryMs, 2_000);
      }
      await delay(pauseMs * (0.8 + 0.4 * random()), undefined, { signal }).catch(() => undefined);
    }
  };
  const keepBundle = async (): Promise<void> => {
    await keeper.load();
    isLoaded = true;
    await keeper.run(pollEveryMs, stop.signal);
  };
  const running = [keepCertificates(), keepBundle(), namespaces.watch(stop.signal)];

  return {
    internalPort,
    reviewPort: bound.promise,
    close: async (drainMs) => {
      stop.abort();
      await delay(drainMs);
      await Promise.all([internal, ...(reviews ? [reviews] : [])].map(closed));
      await Promise.all(running);
    },
  };
}

function listening(
  server: HttpServer | HttpsServer,
  host: string | undefined,
  port: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** Answers that are being given are finished, within some seconds; idle connections end at once. */
function closed(server: HttpServer | HttpsServer): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => server.closeAllConnections(), lastAnswersMs);
  server.close(() => {
    clearTimeout(timer);
    resolve(undefined);
  });
  server.closeIdleConnections();
  return promise;
}
