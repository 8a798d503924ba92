import { type ChildProcess, fork } from 'node:child_process';
import type { WriteStream } from 'node:fs';
import path from 'node:path';

type Options = {
  /** For messages. */
  readonly name: string;
  /** Bundle or entry, absolute. */
  readonly file: string;
  readonly arguments?: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly memoryMb?: number;
  readonly log: WriteStream;
  /** How long SIGTERM may take before SIGKILL. */
  readonly stopTimeoutMs: number;
  /** Told of every exit that nobody asked for, before the restart. */
  readonly onExit?: (detail: string) => void;
  /** Told of every line that the process prints on stdout. */
  readonly onLine?: (line: string) => void;
  readonly pauses?: RestartPauses;
};

/** Milliseconds before a restart: `first`, doubled up to `longest`, and `first` again once a process lived for `settled`. */
export type RestartPauses = { readonly first: number; readonly longest: number; readonly settled: number };

/** What ECS does for a service's task, in less time. */
const standardPauses: RestartPauses = { first: 250, longest: 5_000, settled: 10_000 };

/** A process that is restarted when it ends, until it is stopped. */
export class SupervisedProcess {
  readonly #options: Options;
  readonly #pauses: RestartPauses;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #pauseMs: number;
  #stopping = false;

  constructor(options: Options) {
    this.#options = options;
    this.#pauses = options.pauses ?? standardPauses;
    this.#pauseMs = this.#pauses.first;
    this.#start();
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  #start(): void {
    const { file, environment, memoryMb, log, onLine } = this.#options;
    const startedAt = Date.now();
    const child = fork(
      path.join(import.meta.dirname, 'process-host.ts'),
      [file, ...(this.#options.arguments ?? [])],
      {
        env: { ...environment },
        execArgv: ['--enable-source-maps', ...(memoryMb ? [`--max-old-space-size=${memoryMb}`] : [])],
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      },
    );
    this.#child = child;
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    if (onLine) followLines(child, onLine);
    // A process that cannot be started has an error and no exit.
    child.once('error', (error) => {
      if (child.pid === undefined) this.#ended(error.message, startedAt);
    });
    child.once('exit', (code, signal) => this.#ended(signal ?? `exit code ${code}`, startedAt));
  }

  #ended(detail: string, startedAt: number): void {
    this.#child = undefined;
    if (this.#stopping) return;
    const { name, onExit } = this.#options;
    onExit?.(`${name} ended (${detail}); starting it again`);
    const { first, longest, settled } = this.#pauses;
    if (Date.now() - startedAt > settled) this.#pauseMs = first;
    this.#restart = setTimeout(() => this.#start(), this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, longest);
  }

  /** SIGTERM; again at 60 % of the stop timeout ("at once"); then SIGKILL. Resolves when the process is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (!child) return;
    const { stopTimeoutMs } = this.#options;
    await new Promise<void>((resolve) => {
      const insist = setTimeout(() => child.kill('SIGTERM'), stopTimeoutMs * 0.6);
      const kill = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
      child.once('exit', () => {
        clearTimeout(insist);
        clearTimeout(kill);
        resolve();
      });
      child.kill('SIGTERM');
    });
  }
}

function followLines(child: ChildProcess, onLine: (line: string) => void): void {
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
}
