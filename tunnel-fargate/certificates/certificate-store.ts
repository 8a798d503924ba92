import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import type { ServerCertificates } from '../../core/certificate/server-certificates.ts';
import type { ServerCertificatesRepository } from './server-certificates-repository.ts';

type Options = {
  readonly repository: Pick<ServerCertificatesRepository, 'read'>;
  readonly logger: Logger;
  /** Between two reads, ms; spread by a fifth either way, so that tasks do not ask in step. */
  readonly pollMs?: number;
  /** 0 ≤ random() < 1. */
  readonly random?: () => number;
};

type Listener = (certificates: ServerCertificates) => void;

/**
 * The certificates that this task presents, kept up to date without a restart (design.md 8). A new value that cannot be
 * read or used leaves the old one in place.
 */
export class CertificateStore {
  readonly #options: Options;
  readonly #listeners = new Set<Listener>();
  #versionId: string;
  #current: ServerCertificates;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reading: Promise<void> = Promise.resolve();
  #closed = false;

  /** Rejects when there is nothing usable yet: without certificates there is nothing to serve. */
  static async load(options: Options): Promise<CertificateStore> {
    const { versionId, certificates } = await options.repository.read();
    check(certificates);
    const store = new CertificateStore(options, versionId, certificates);
    store.#report();
    store.#schedule();
    return store;
  }

  private constructor(options: Options, versionId: string, certificates: ServerCertificates) {
    this.#options = options;
    this.#versionId = versionId;
    this.#current = certificates;
  }

  get current(): ServerCertificates {
    return this.#current;
  }

  /** Called after each change. */
  onChange(listener: Listener): void {
    this.#listeners.add(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#reading;
  }

  #schedule(): void {
    if (this.#closed) return;
    const { pollMs = 60_000, random = Math.random } = this.#options;
    this.#timer = setTimeout(
      () => {
        this.#reading = this.#reload()
          .catch((error: unknown) =>
            this.#options.logger.error(
              { err: error },
              'new certificates could not be loaded; the old ones stay',
            ),
          )
          .finally(() => this.#schedule());
      },
      pollMs * (0.8 + 0.4 * random()),
    );
  }

  async #reload(): Promise<void> {
    const { versionId, certificates } = await this.#options.repository.read();
    if (versionId === this.#versionId) return;
    check(certificates);
    this.#versionId = versionId;
    this.#current = certificates;
    this.#report();
    for (const listener of this.#listeners) listener(certificates);
  }

  #report(): void {
    const { tunnel, logEndpoint, access } = this.#current;
    this.#options.logger.info(
      {
        event: 'certificates loaded',
        notAfter: {
          tunnel: new X509Certificate(tunnel.certificate).validToDate,
          logEndpoint: new X509Certificate(logEndpoint.certificate).validToDate,
          access: new X509Certificate(access.certificate).validToDate,
        },
      },
      'certificates loaded',
    );
  }
}

/** Throws unless every key belongs to its certificate. OpenSSL's words name no secret. */
function check({ tunnel, logEndpoint, access, peer }: ServerCertificates): void {
  for (const [name, { certificate, key }] of Object.entries({ tunnel, logEndpoint, access, peer })) {
    try {
      createSecureContext({ cert: certificate, key });
    } catch (cause) {
      throw new Error(`certificate and key of "${name}" cannot be used together`, { cause });
    }
  }
}
