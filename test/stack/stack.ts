import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { stackState, type StackState } from '../../local/stack/state.ts';
import { HttpsClient } from './https-client.ts';
import { eventually } from './poll.ts';
import { descendantsOf, isAlive, type Process } from './processes.ts';

export const root = path.resolve(import.meta.dirname, '../..');

/** Some twenty times what a start takes on an idle machine: the machine may be busy. */
const readyWithinMs = 150_000;

type Options = {
  /** Where it keeps everything. */
  readonly data: string;
  readonly arguments?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
};

/** `npm start` of our own: `local/start.ts` as a child process in a group of its own, every port free for the taking. */
export class StackProcess {
  readonly data: string;
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;
  #output = '';
  #exited = false;

  constructor({ data, arguments: more = [], environment = {} }: Options) {
    this.data = data;
    const ports = ['--api-port', '0', '--access-port', '0', '--tunnel-port', '0'];
    this.#child = spawn(process.execPath, ['local/start.ts', '--data', data, ...ports, ...more], {
      cwd: root,
      env: { ...ownEnvironment(), ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A terminal's Ctrl-C reaches a whole group; so does ours, and not the test's own.
      detached: true,
    });
    this.#exit = once(this.#child, 'exit').then(([code]) => {
      this.#exited = true;
      return code as number | null;
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('The stack was not started.');
    return this.#child.pid;
  }

  /** What it has printed so far. */
  get output(): string {
    return this.#output;
  }

  get stateFile(): string {
    return path.join(this.data, 'stack.json');
  }

  /** Waits until it prints the text. */
  async says(text: string): Promise<void> {
    const what = () => `the stack says ${JSON.stringify(text)}; it said:\n${this.#output}`;
    await eventually(what, readyWithinMs, () => {
      if (this.#output.includes(text)) return true;
      if (this.#exited) throw new Error(`The stack ended:\n${this.#output}`);
      return false;
    });
  }

  /** Waits until it says so: a `stack.json` alone may be of a stack that was killed. */
  async ready(): Promise<Stack> {
    await this.says(' s  Ready\n');
    const state = stackState.parse(JSON.parse(await readFile(this.stateFile, 'utf8')));
    return new Stack(this, state, await readFile(state.caFile, 'utf8'));
  }

  descendants(): Promise<Process[]> {
    return descendantsOf(this.pid);
  }

  /** Code with which it ended; null after a signal. */
  exit(): Promise<number | null> {
    return this.#exit;
  }

  /** Ctrl-C in its terminal. Gives the code and the time until it and all that it started were gone. */
  async interrupt(): Promise<{ code: number | null; ms: number }> {
    const family = await this.descendants();
    const from = performance.now();
    this.#signal('SIGINT');
    const code = await this.#exit;
    for (const { pid, command } of family)
      await eventually(`${command} is gone`, 10_000, async () => !(await isAlive(pid)));
    return { code, ms: performance.now() - from };
  }

  /** kill -9 of it and of all that it started, at once. */
  async killAll(): Promise<void> {
    this.#signal('SIGKILL');
    await this.#exit;
  }

  /** kill -9 of it alone; resolves when what it started has noticed and is gone, too. */
  async killAlone(): Promise<void> {
    const family = await this.descendants();
    process.kill(this.pid, 'SIGKILL');
    await this.#exit;
    for (const { pid, command } of family)
      await eventually(`${command} is gone with its parent`, 10_000, async () => !(await isAlive(pid)));
  }

  /** For an afterAll: nothing is left, whatever happened. */
  async destroy(): Promise<void> {
    if (!this.#exited) await this.killAll();
  }

  #signal(signal: NodeJS.Signals): void {
    if (!this.#exited) process.kill(-this.pid, signal);
  }
}

/** A stack that is ready, and clients of its two HTTPS ports. */
export class Stack {
  readonly process: StackProcess;
  readonly state: StackState;
  /** PEM that verifies both ports. */
  readonly ca: string;
  readonly api: HttpsClient;
  readonly access: HttpsClient;

  constructor(process: StackProcess, state: StackState, ca: string) {
    this.process = process;
    this.state = state;
    this.ca = ca;
    this.api = new HttpsClient(state.apiUrl, ca, state.adminToken);
    this.access = new HttpsClient(state.accessUrl, ca, state.adminToken);
  }

  get demoClusterId(): string {
    if (this.state.demoClusterId === null) throw new Error('This stack has no demo cluster.');
    return this.state.demoClusterId;
  }

  /** The tunnel server's process. */
  async tunnelPid(): Promise<number> {
    const family = await this.process.descendants();
    const found = family.find(({ command }) => /process-host\.ts \S+index\.mjs$/.test(command));
    if (!found) throw new Error('No tunnel server runs.');
    return found.pid;
  }

  /** `npm run local -- …` on this stack. */
  local(...given: string[]): Promise<CommandResult> {
    return run(process.execPath, ['local/cli.ts', '--data', this.process.data, ...given], { cwd: root });
  }

  /** Ends the clients' connections, so that none keeps a server busy. */
  disconnect(): void {
    this.api.close();
    this.access.close();
  }
}

export async function startStack(options: Options): Promise<Stack> {
  const started = new StackProcess(options);
  try {
    return await started.ready();
  } catch (error) {
    await started.destroy();
    throw error;
  }
}

export type CommandResult = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

/** Runs a command to its end. */
export async function run(
  file: string,
  given: readonly string[],
  options: { cwd: string; environment?: Readonly<Record<string, string>> },
): Promise<CommandResult> {
  const child = spawn(file, given, {
    cwd: options.cwd,
    env: { ...ownEnvironment(), ...options.environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

/** As in a newcomer's terminal: nothing that jest or a laptop's settings put there. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:NODE_ENV|NODE_OPTIONS|JEST_.*|CATTERY_.*|AWS_.*|KUBECONFIG)$/.test(name),
  );
  return Object.fromEntries(kept);
}
