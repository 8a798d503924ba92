import type { EventRule, Match, Pattern } from '../template/event-rules.ts';
import type { InvocationResult } from './function-process.ts';

export type BusEvent = Readonly<Record<string, unknown>>;

type Options = {
  readonly rules: readonly EventRule[];
  /** Runs a function by its name. */
  readonly invoke: (functionName: string, event: BusEvent) => Promise<InvocationResult>;
  readonly failed: (functionName: string, error: string, retries: number) => void;
  /** Before the first and before the second retry, ms. */
  readonly retryAfterMs?: readonly [number, number];
};

/** As Lambda does with events. */
const lambdaRetries: readonly [number, number] = [60_000, 120_000];

/**
 * Gives events to the functions whose rules they match, as EventBridge and Lambda do: whoever tells of an event does not
 * wait, and a function that fails gets it again. What runs or waits when the stack stops is forgotten, other than in AWS.
 */
export class EventBus {
  readonly #options: Options;
  readonly #timers = new Set<NodeJS.Timeout>();
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
  }

  tell(event: BusEvent): void {
    for (const { pattern, functionName, retries } of this.#options.rules) {
      if (matches(pattern, event)) void this.#give(functionName, event, retries, 0);
    }
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  async #give(functionName: string, event: BusEvent, retries: number, turn: number): Promise<void> {
    const { invoke, failed, retryAfterMs = lambdaRetries } = this.#options;
    const result = await invoke(functionName, event).catch((error: unknown) => ({
      error: { errorMessage: String(error) },
    }));
    if (!('error' in result) || this.#closed) return;
    failed(functionName, result.error.errorMessage, retries - turn);
    if (turn >= retries) return;
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        void this.#give(functionName, event, retries, turn + 1);
      },
      turn === 0 ? retryAfterMs[0] : retryAfterMs[1],
    );
    this.#timers.add(timer);
  }
}

/** Every field that the pattern names is there and is one of what it says. */
export function matches(pattern: Pattern, event: unknown): boolean {
  if (typeof event !== 'object' || event === null) return false;
  return Object.entries(pattern).every(([field, wanted]) => {
    const value = Object.hasOwn(event, field) ? (event as BusEvent)[field] : undefined;
    return Array.isArray(wanted)
      ? (wanted as readonly Match[]).some((match) => isOne(match, value))
      : matches(wanted as Pattern, value);
  });
}

const isOne = (match: Match, value: unknown): boolean =>
  typeof value === 'string' && (typeof match === 'string' ? value === match : value.startsWith(match.prefix));
