import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as z from 'zod';

const peerEvent = z.object({
  event: z.string(),
  tunnel: z.string().optional(),
  public: z.string().optional(),
  address: z.string().optional(),
  count: z.number().optional(),
  clusterId: z.string().optional(),
});
export type PeerEvent = z.infer<typeof peerEvent>;

/** A process of a bench that tells what happens to it as JSON lines, and ends with its standard input. */
export class PeerProcess {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #events: PeerEvent[] = [];
  readonly #exit: Promise<unknown>;
  #errors = '';
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(command: string, given: readonly string[]) {
    this.#name = [command, ...given].join(' ');
    this.#child = spawn(command, given, { stdio: 'pipe' });
    this.#exit = once(this.#child, 'exit').finally(() => {
      this.#ended = true;
      this.#wake();
    });
    this.#child.stdin?.on('error', () => undefined);
    this.#child.stderr
      ?.setEncoding('utf8')
      .on('data', (text: string) => (this.#errors = (this.#errors + text).slice(-4_000)));
    let rest = '';
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.#take(line);
    });
  }

  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${this.#name} did not start`);
    return pid;
  }

  /** The first event of this name that fits. Rejects when the process ends before, or after `withinMs`. */
  async event(
    name: string,
    fits: (event: PeerEvent) => boolean = () => true,
    withinMs = 60_000,
  ): Promise<PeerEvent> {
    const until = performance.now() + withinMs;
    for (;;) {
      const found = this.#events.find((event) => event.event === name && fits(event));
      if (found) return found;
      const leftMs = until - performance.now();
      if (this.#ended || leftMs <= 0) {
        throw new Error(
          `${this.#name}: no "${name}" ${this.#ended ? 'before it ended' : 'in time'}\n${this.#errors}`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end();
    const late = setTimeout(() => this.#child.kill('SIGKILL'), 2_000);
    await this.#exit;
    clearTimeout(late);
  }

  #take(line: string): void {
    // Others than ours log there.
    if (!line.startsWith('{')) return;
    const event = peerEvent.safeParse(JSON.parse(line));
    if (event.success) this.#events.push(event.data);
    this.#wake();
  }
}
