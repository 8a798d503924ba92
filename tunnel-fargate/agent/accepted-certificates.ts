import QuickLRU from 'quick-lru';
import type { Identity } from './identity.ts';

type Options = {
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** How long after its look-up a certificate may be admitted from here, ms. */
  readonly holdMs?: number;
  /** How long the directory may have been silent about revocations, ms. */
  readonly silenceMs?: number;
  /** Certificates remembered; the least recently looked up go. */
  readonly maxSize?: number;
};

/**
 * Certificates that the directory has accepted lately, for the minutes in which it does not answer. One is admitted from
 * here when its last look-up by this task was good and is at most 15 minutes old, no revocation of it has been heard of,
 * and revocations were last heard at most 5 minutes ago. An admission from here does not prolong itself. So the longest
 * that a cluster can come back after it was disconnected is 5 minutes, and only while this task cannot read what others
 * can write (docs/runbook.md, "Directory silent").
 */
export class AcceptedCertificates {
  readonly #options: Options;
  readonly #accepted: QuickLRU<string, { readonly identity: Identity; readonly at: number }>;
  #heardAt: number;

  constructor(options: Options) {
    this.#options = options;
    this.#accepted = new QuickLRU({ maxSize: options.maxSize ?? 5_000 });
    this.#heardAt = options.now();
  }

  /** The directory accepted it. `at`: when it was asked, epoch ms. */
  remember(identity: Identity, at: number): void {
    this.#accepted.set(identity.fingerprint, { identity, at });
  }

  /** The directory refused it, or it was revoked. */
  forget(fingerprint: string): void {
    this.#accepted.delete(fingerprint);
  }

  /** All revocations until then are known. Epoch ms. */
  heard(at: number): void {
    this.#heardAt = Math.max(this.#heardAt, at);
  }

  /** Whose it is, if it may be admitted without the directory. */
  recall(fingerprint: string): Identity | undefined {
    const { now, holdMs = 900_000, silenceMs = 300_000 } = this.#options;
    const found = this.#accepted.peek(fingerprint);
    if (!found) return undefined;
    if (now() - found.at > holdMs) {
      this.#accepted.delete(fingerprint);
      return undefined;
    }
    return now() - this.#heardAt <= silenceMs ? found.identity : undefined;
  }
}
