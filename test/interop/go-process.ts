import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';
import { eventually } from '../stack/poll.ts';

const goEvent = z.object({
  event: z.string(),
  address: z.string().optional(),
  tls: z.string().optional(),
  error: z.string().optional(),
  streams: z.number().optional(),
  bytes: z.number().optional(),
  pings: z.number(),
  goAways: z.number(),
  seconds: z.number().optional(),
});
export type GoEvent = z.infer<typeof goEvent>;

/** The Go binary of this folder at work: what it tells as JSON lines, and the log of its yamux. */
export class GoProcess {
  readonly events: GoEvent[] = [];
  /** Standard error: yamux's log, and why the process failed. */
  log = '';
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #exit: Promise<unknown>;

  constructor(command: 'agent' | 'echo', flags: Readonly<Record<string, string>>) {
    const binary = process.env.INTEROP_BINARY;
    if (binary === undefined) throw new Error('These tests run by: npm run test:interop');
    const given = Object.entries(flags).map(([name, value]) => `-${name}=${value}`);
    this.#child = spawn(binary, [command, ...given]);
    this.#exit = once(this.#child, 'exit');
    // One that is dead takes no orders.
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.log += text));
    let rest = '';
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) this.events.push(goEvent.parse(JSON.parse(line)));
    });
  }

  /**
   * Its log without what is harmless: window credit of ours for a stream that both sides have ended meanwhile, which
   * yamux notes and drops.
   */
  get complaints(): string {
    const lines = this.log.split('\n');
    const harmless = '[WARN] yamux: frame for missing stream: Vsn:0 Type:1 Flags:0 ';
    return lines.filter((line) => !line.includes(harmless)).join('\n');
  }

  count(name: string): number {
    return this.events.filter(({ event }) => event === name).length;
  }

  /** The nth event of this name, from 1. */
  event(name: string, nth = 1, withinMs = 8_000): Promise<GoEvent> {
    const what = () => `Go's ${name} ${nth}; it told ${JSON.stringify(this.events)} and logged:\n${this.log}`;
    return eventually(what, withinMs, () => this.events.filter(({ event }) => event === name)[nth - 1]);
  }

  order(line: string): void {
    this.#child.stdin.write(`${line}\n`);
  }

  /** Gives an order and awaits the next event of this name. */
  obey(line: string, answer: string): Promise<GoEvent> {
    const nth = this.count(answer) + 1;
    this.order(line);
    return this.event(answer, nth);
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Closing its standard input ends it. */
  async stop(): Promise<void> {
    this.#child.stdin.end();
    const late = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await this.#exit;
    clearTimeout(late);
  }
}
