import QuickLRU from 'quick-lru';

/** kubectl tries SPDY at once when its WebSocket was refused. */
const holdMs = 15_000;
/** Longest text that is kept, characters. */
const maxText = 1_000;

/**
 * Why WebSockets were refused lately, by who asked and for what: kubectl hides it and tries SPDY, so the refusal of that
 * is where its user can read it.
 */
export class RefusedUpgrades {
  readonly #reasons = new QuickLRU<string, string>({ maxSize: 1_000, maxAge: holdMs });

  keep(key: string, reason: string): void {
    this.#reasons.set(key, reason.slice(0, maxText));
  }

  reasonOf(key: string): string | undefined {
    return this.#reasons.get(key);
  }
}

/** What an API server says in a refusal: the message of its Status, or the beginning of its text. */
export function messageOf(body: string): string {
  try {
    const status: unknown = JSON.parse(body);
    if (
      typeof status === 'object' &&
      status !== null &&
      'message' in status &&
      typeof status.message === 'string'
    ) {
      return status.message;
    }
  } catch {
    // Not JSON: some proxies on the way write plain text.
  }
  return body.trim();
}
