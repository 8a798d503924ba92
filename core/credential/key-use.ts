import QuickLRU from 'quick-lru';
import type { CredentialRecord, IdentityRepository } from './identity-repository.ts';

type Options = {
  readonly identities: Pick<IdentityRepository, 'noteUse'>;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Told of a day that could not be noted; it is never given the key or its hash. */
  readonly failed: (error: unknown) => void;
  readonly patienceMs?: number;
};

/** A day is noted within this time or given up, ms: in a Lambda the caller waits for it. */
const defaultPatienceMs = 300;
/** After an attempt, whatever became of it, the next one of the same key is made after this time at the earliest, ms. */
const attemptMs = 60_000;
const rememberedKeys = 5_000;

/**
 * Notes the day on which an API key was last used, for those who verify keys. The record that they have read says which
 * day stands there: so the first use of a day costs 1 write, every other one nothing, an idle key nothing. A day that
 * cannot be noted refuses nobody: a later use of the key notes it.
 */
export class KeyUse {
  readonly #options: Options;
  readonly #attempts = new QuickLRU<string, { readonly day: string; readonly at: number }>({
    maxSize: rememberedKeys,
  });

  constructor(options: Options) {
    this.#options = options;
  }

  /** Never rejects. Credentials of other kinds are not noted: registration tokens are used once, clusters report by themselves. */
  async note({ kind, hash, lastUsedDay }: CredentialRecord): Promise<void> {
    if (kind !== 'api-key') return;
    const at = this.#options.now();
    const day = new Date(at).toISOString().slice(0, 10);
    if (lastUsedDay !== undefined && lastUsedDay >= day) return;
    const attempt = this.#attempts.get(hash);
    if (attempt?.day === day && at - attempt.at < attemptMs) return;
    this.#attempts.set(hash, { day, at });
    const { identities, patienceMs = defaultPatienceMs } = this.#options;
    try {
      const late = AbortSignal.timeout(patienceMs);
      // The signal ends an attempt; a pause between two of them would go on.
      await Promise.race([identities.noteUse(hash, day, late), rejection(late)]);
    } catch (error) {
      this.#options.failed(error);
    }
  }
}

const rejection = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  );
