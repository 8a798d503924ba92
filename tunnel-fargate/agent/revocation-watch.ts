import type { Logger } from 'pino';
import type { CertificateDirectoryRepository } from '../../core/directory/certificate-directory-repository.ts';
import type { AcceptedCertificates } from './accepted-certificates.ts';
import type { Tunnels } from './tunnels.ts';

type Options = {
  readonly directory: Pick<CertificateDirectoryRepository, 'revokedSince'>;
  readonly tunnels: Pick<Tunnels, 'get' | 'all' | 'close'>;
  /** Must not admit what is revoked. */
  readonly accepted: Pick<AcceptedCertificates, 'forget' | 'heard'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Between two questions, ms. */
  readonly intervalMs?: number;
  /** How far each question reaches back behind the last answered one, ms: clocks of writers differ. */
  readonly overlapMs?: number;
  readonly logger: Logger;
};

/**
 * Cuts live tunnels whose certificate was revoked (within two intervals; design.md 5 and 7) or has expired. The overlap
 * also covers a tunnel that came up between the look-up of its certificate and its revocation. A directory that does
 * not answer cuts nobody: live tunnels outlast it, and the next answer reaches back to the last one.
 * Units: 1 read per question, whatever the number of clusters.
 */
export class RevocationWatch {
  readonly #options: Options;
  #answered: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
    this.#answered = options.now();
  }

  /** When the last question that was answered was put, epoch ms; before the first, when it began to watch. */
  get answeredAt(): number {
    return this.#answered;
  }

  start(): void {
    this.#schedule();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#asking;
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#asking = this.#ask()
        .catch((error: unknown) =>
          this.#options.logger.error({ err: error }, 'revocations could not be read'),
        )
        .finally(() => this.#schedule());
    }, this.#options.intervalMs ?? 2_000);
  }

  async #ask(): Promise<void> {
    const { directory, tunnels, accepted, now, overlapMs = 60_000 } = this.#options;
    const asked = now();
    for (const tunnel of tunnels.all()) {
      if (asked > tunnel.identity.notAfter) tunnels.close(tunnel, 'CERTIFICATE_EXPIRED');
    }
    for (const { clusterId, fingerprint } of await directory.revokedSince(this.#answered - overlapMs)) {
      accepted.forget(fingerprint);
      const tunnel = tunnels.get(clusterId);
      if (tunnel?.identity.fingerprint === fingerprint) tunnels.close(tunnel, 'CERTIFICATE_REVOKED');
    }
    this.#answered = asked;
    accepted.heard(asked);
  }
}
