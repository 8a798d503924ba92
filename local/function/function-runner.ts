import { createWriteStream, type WriteStream } from 'node:fs';
import path from 'node:path';
import type { FunctionSpec } from '../template/compute.ts';
import { FunctionProcess, type InvocationResult } from './function-process.ts';

type Options = {
  readonly functions: readonly FunctionSpec[];
  /** What the platform adds to the template's environment: region, endpoint, the role's credentials. */
  readonly platformEnvironment: (spec: FunctionSpec) => Readonly<Record<string, string>>;
  readonly logDirectory: string;
  /** Environments of one function at the same time; further events wait. */
  readonly maxConcurrency?: number;
};

/** Made on demand, some 60 MB each. Who follows a cluster's progress occupies one for 20 s: others must have room beside. */
const defaultConcurrency = 8;

type Pool = {
  readonly spec: FunctionSpec;
  readonly log: WriteStream;
  readonly idle: FunctionProcess[];
  readonly waiting: ((environment: FunctionProcess) => void)[];
  running: number;
};

/** Runs the bundles that would be deployed: environments are made on demand and reused, one event at a time each. */
export class FunctionRunner {
  readonly #pools: ReadonlyMap<string, Pool>;
  readonly #options: Options;
  readonly #environments = new Set<FunctionProcess>();
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
    this.#pools = new Map(
      options.functions.map((spec) => [
        spec.arn,
        {
          spec,
          log: createWriteStream(path.join(options.logDirectory, `${spec.logicalId}.log`), { flags: 'a' }),
          idle: [],
          waiting: [],
          running: 0,
        },
      ]),
    );
  }

  /** By ARN or name. */
  find(nameOrArn: string): FunctionSpec | undefined {
    return [...this.#pools.values()]
      .map(({ spec }) => spec)
      .find(({ name, arn }) => name === nameOrArn || arn === nameOrArn);
  }

  /** Starts one environment, so that the first event finds it warm. */
  async warm(arn: string): Promise<void> {
    const pool = this.#poolOf(arn);
    const environment = await this.#take(pool);
    await environment.ready();
    this.#give(pool, environment);
  }

  async invoke(arn: string, event: unknown): Promise<InvocationResult> {
    const pool = this.#poolOf(arn);
    const environment = await this.#take(pool);
    try {
      return await environment.invoke(event);
    } finally {
      this.#give(pool, environment);
    }
  }

  /** Kills every environment; resolves when they are gone and their logs are written. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#environments].map((environment) => environment.kill()));
    await Promise.all(
      [...this.#pools.values()].map(({ log }) => new Promise<void>((resolve) => log.end(resolve))),
    );
  }

  #poolOf(arn: string): Pool {
    const pool = this.#pools.get(arn);
    if (!pool) throw new Error(`There is no function ${arn}.`);
    return pool;
  }

  #take(pool: Pool): Promise<FunctionProcess> {
    // A process that starts now would outlive `close`.
    if (this.#closed) return Promise.reject(new Error('The functions have been stopped.'));
    for (let idle = pool.idle.pop(); idle; idle = pool.idle.pop()) {
      if (!idle.exited) return Promise.resolve(idle);
      this.#environments.delete(idle);
      pool.running -= 1;
    }
    if (pool.running < (this.#options.maxConcurrency ?? defaultConcurrency)) {
      pool.running += 1;
      return Promise.resolve(this.#start(pool));
    }
    return new Promise((resolve) => pool.waiting.push(resolve));
  }

  #start({ spec, log }: Pool): FunctionProcess {
    const environment = new FunctionProcess(
      spec,
      { ...spec.environment, ...this.#options.platformEnvironment(spec) },
      log,
    );
    this.#environments.add(environment);
    return environment;
  }

  #give(pool: Pool, used: FunctionProcess): void {
    if (used.exited) this.#environments.delete(used);
    const next = pool.waiting.shift();
    if (this.#closed || (used.exited && !next)) {
      pool.running -= 1;
      return;
    }
    const environment = used.exited ? this.#start(pool) : used;
    if (next) next(environment);
    else pool.idle.push(environment);
  }
}
