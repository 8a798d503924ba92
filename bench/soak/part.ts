import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

export type Told = Readonly<Record<string, unknown>> & { readonly event: string };

/** A process of ours that tells JSON lines and ends with its input. */
export class Part {
  readonly child: ChildProcess;
  readonly #latest = new Map<string, Told>();

  constructor(
    file: string,
    given: readonly (string | number)[],
    onTold: (told: Told) => void = () => undefined,
  ) {
    const script = path.join(import.meta.dirname, '..', file);
    this.child = spawn(process.execPath, [script, ...given.map(String)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    if (!this.child.stdout) throw new Error(`${file} has no output`);
    createInterface(this.child.stdout).on('line', (line) => {
      const told = JSON.parse(line) as Told;
      this.#latest.set(told.event, told);
      onTold(told);
    });
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('it did not start');
    return this.child.pid;
  }

  latest(event: string): Told | undefined {
    return this.#latest.get(event);
  }

  async told(event: string): Promise<Told> {
    for (;;) {
      const found = this.latest(event);
      if (found) return found;
      if (this.ended) throw new Error(`a process ended before it was "${event}"`);
      await delay(20);
    }
  }

  async stop(): Promise<void> {
    if (this.ended) return;
    const exited = once(this.child, 'exit');
    this.child.stdin?.end();
    await exited;
  }
}
