import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import type { WriteStream } from 'node:fs';
import path from 'node:path';
import type { FunctionSpec } from '../template/compute.ts';

export type InvocationMessage = {
  readonly id: string;
  readonly event: unknown;
  readonly context: Readonly<Record<string, unknown>> & { readonly deadline: number };
};

export type FunctionError = {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace: readonly string[];
};

export type ResultMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'result'; readonly id: string; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: string; readonly error: FunctionError };

/** As Lambda's Invoke answers: the payload, or the error that the function threw. */
export type InvocationResult = { readonly value: unknown } | { readonly error: FunctionError };

/** Runs a function by its ARN with one event. */
export type Invoke = (arn: string, event: unknown) => Promise<InvocationResult>;

/** One execution environment: a Node process with the template's memory, environment and timeout; one event at a time. */
export class FunctionProcess {
  readonly #spec: FunctionSpec;
  readonly #child: ChildProcess;
  readonly #ready: Promise<void>;
  readonly #closed: Promise<void>;
  #settle: ((result: InvocationResult) => void) | undefined;
  exited = false;

  constructor(spec: FunctionSpec, environment: Readonly<Record<string, string>>, log: WriteStream) {
    this.#spec = spec;
    const [file = 'index', exported = 'handler'] = spec.handler.split('.');
    this.#child = fork(
      path.join(import.meta.dirname, 'function-host.ts'),
      [path.join(spec.code, `${file}.mjs`), exported],
      {
        env: { ...environment },
        execArgv: [`--max-old-space-size=${spec.memoryMb}`, '--enable-source-maps'],
        serialization: 'json',
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      },
    );
    this.#closed = new Promise((resolve) => {
      this.#child.once('close', () => resolve());
    });
    this.#child.stdout?.pipe(log, { end: false });
    this.#child.stderr?.pipe(log, { end: false });
    this.#ready = new Promise((resolve, reject) => {
      this.#child.on('message', (message: ResultMessage) => {
        if (message.kind === 'ready') resolve();
        else this.#finish(message.kind === 'result' ? { value: message.value } : { error: message.error });
      });
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) => {
        this.exited = true;
        reject(new Error(`${spec.name} exited at its start (${signal ?? code})`));
        this.#finish({
          error: runtimeError('Runtime.ExitError', `The function's process exited (${signal ?? code}).`),
        });
      });
    });
    // Reported by `invoke`; a process that dies unused must not end the stack.
    this.#ready.catch(() => undefined);
  }

  /** Resolves when the bundle is loaded. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** Runs one event; a function that exceeds its timeout is killed, as Lambda does. */
  async invoke(event: unknown): Promise<InvocationResult> {
    try {
      await this.#ready;
    } catch (error) {
      return { error: runtimeError('Runtime.ImportModuleError', String(error)) };
    }
    if (this.exited) return { error: runtimeError('Runtime.ExitError', 'The function has exited.') };
    const { timeoutMs, name, arn, memoryMb } = this.#spec;
    const id = randomUUID();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#finish({
          error: runtimeError(
            'Sandbox.Timedout',
            `Task timed out after ${(timeoutMs / 1000).toFixed(2)} seconds`,
          ),
        });
        void this.kill();
      }, timeoutMs);
      this.#settle = (result) => {
        clearTimeout(timer);
        resolve(result);
      };
      const message: InvocationMessage = {
        id,
        event,
        context: {
          awsRequestId: id,
          functionName: name,
          functionVersion: '$LATEST',
          invokedFunctionArn: arn,
          memoryLimitInMB: String(memoryMb),
          logGroupName: `/aws/lambda/${name}`,
          logStreamName: 'laptop',
          callbackWaitsForEmptyEventLoop: true,
          deadline: Date.now() + timeoutMs,
        },
      };
      this.#child.send(message, (error) => {
        if (error) this.#finish({ error: runtimeError('Runtime.ExitError', 'The function has exited.') });
      });
    });
  }

  /** Resolves when the process and its output are gone. */
  async kill(): Promise<void> {
    this.exited = true;
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  #finish(result: InvocationResult): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(result);
  }
}

const runtimeError = (errorType: string, errorMessage: string): FunctionError => ({
  errorType,
  errorMessage,
  trace: [],
});
