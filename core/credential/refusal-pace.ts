import { isIPv6 } from 'node:net';
import QuickLRU from 'quick-lru';

type Options = {
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Lets this many milliseconds go by. */
  readonly wait: (ms: number) => Promise<unknown>;
};

/** The first refusal of a source waits so long, each further one twice as long, ms. */
const firstMs = 50;
/**
 * The longest wait, ms. In the authorizer who waits holds one of the account's concurrent executions, so that a longer wait
 * would be a lever for whoever sends refused credentials in masses: the gateway lets 1,000 requests a second through
 * (lib/api.ts), which at half a second are 500 executions, half of what AWS gives an account by default.
 */
const longestMs = 500;
/** A source's refusals are forgotten one by one, each after this time, ms. */
const forgottenMs = 15_000;
/** More refusals in a row are not remembered: three minutes after the last one, the first wait is the first again. */
const mostRefusals = 12;
const rememberedSources = 10_000;
/** While so many wait, the next one is answered at once: what they hold of a server's memory is bounded. */
const mostWaiting = 1_000;

/**
 * Slows down who presents refused credentials, by source address. Only refusals wait: an accepted credential is answered
 * at once, also from the same address. What it does not do: instances (of the authorizer, or tasks of the tunnel server) do
 * not know of each other's refusals, so somebody with many connections to the API waits on each of them anew; the
 * gateway's throttling bounds those.
 */
export class RefusalPace {
  readonly #options: Options;
  readonly #sources = new QuickLRU<string, { readonly count: number; readonly at: number }>({
    maxSize: rememberedSources,
  });
  #waiting = 0;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Resolves when the refusal may be answered. `address`: as the gateway saw it. */
  async refused(address: string): Promise<void> {
    const source = sourceOf(address);
    const at = this.#options.now();
    const known = this.#sources.get(source);
    const left = known ? Math.max(0, known.count - (at - known.at) / forgottenMs) : 0;
    this.#sources.set(source, { count: Math.min(mostRefusals, left + 1), at });
    if (this.#waiting >= mostWaiting) return;
    this.#waiting += 1;
    try {
      await this.#options.wait(Math.min(longestMs, firstMs * 2 ** Math.floor(left)));
    } finally {
      this.#waiting -= 1;
    }
  }
}

/** Of IPv6 the network of 64 bits, which is what one host has at least (RFC 6177). */
function sourceOf(address: string): string {
  if (!isIPv6(address)) return address;
  // Written as a URL's host it has one form only (RFC 5952): lower case, no zeros in front, the longest gap as `::`.
  const [head = '', tail] = new URL(`http://[${address.replace(/%.*$/, '')}]`).hostname
    .slice(1, -1)
    .split('::');
  const [before, after] = [head, tail ?? ''].map((part) => part.split(':').filter(Boolean));
  const [first, last] = [before ?? [], after ?? []];
  const zeros = Array<string>(8 - first.length - last.length).fill('0');
  return [...first, ...zeros, ...last].slice(0, 4).join(':');
}
