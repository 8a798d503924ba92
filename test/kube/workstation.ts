/** A user's machine as install.sh finds it: a home, a PATH with one kubectl, and tools that can be made to fail at a given call. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { accessSync, constants } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Outcome } from './kubectl-binary.ts';

export type Fault = {
  /** The call of kubectl, curl or openssl from which on it holds, from 1. */
  readonly at: number;
  readonly kind:
    | 'killed before' // kill -9 of the whole process group instead of the call
    | 'killed after' // the call is done, and nobody lived to see it
    | 'interrupted' // Ctrl-C: SIGINT to the whole group, before the call
    | 'kubectl' // from here on kubectl has another kubeconfig
    | 'curl'; // from here on nothing is reached
  /** For `kubectl`: the file. */
  readonly kubeconfig?: string;
};

export type Run = Outcome & {
  /** null: it ran to its end. */
  readonly signal: NodeJS.Signals | null;
  /** Each call of kubectl, curl and openssl in the order they began, with its arguments. */
  readonly calls: readonly string[];
};

type RunOptions = {
  readonly fault?: Fault;
  readonly environment?: Readonly<Record<string, string>>;
};

const tools = ['kubectl', 'curl', 'openssl'] as const;

export class Workstation {
  readonly home: string;
  readonly #bin: string;
  readonly #shell: string;
  readonly #kubeconfig: string;
  #runs = 0;

  private constructor(home: string, shell: string, kubeconfig: string) {
    this.home = home;
    this.#bin = path.join(home, 'bin');
    this.#shell = shell;
    this.#kubeconfig = kubeconfig;
  }

  /** `shell`: a name on the PATH; what scripts call `sh` is it, too. */
  static async make(options: { kubectl: string; kubeconfig: string; shell?: string }): Promise<Workstation> {
    const home = await mkdtemp(path.join(tmpdir(), 'cattery-workstation-'));
    const made = new Workstation(home, onPath(options.shell ?? 'sh'), options.kubeconfig);
    await mkdir(made.#bin);
    await mkdir(path.join(home, 'tmp'));
    await symlink(made.#shell, path.join(made.#bin, 'sh'));
    for (const tool of tools) {
      const file = path.join(made.#bin, tool);
      await writeFile(file, wrapper(tool, tool === 'kubectl' ? options.kubectl : onPath(tool)));
      await chmod(file, 0o755);
    }
    return made;
  }

  /** Runs a line of shell as typed at a prompt, in a process group without a terminal. */
  async run(line: string, given: readonly string[] = [], options: RunOptions = {}): Promise<Run> {
    const { fault, environment } = options;
    const counts = path.join(this.home, `calls-${++this.#runs}`);
    await mkdir(counts);
    const child = spawn(this.#shell, ['-c', `GROUP=$$; export GROUP; ${line}`, 'sh', ...given], {
      cwd: this.home,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: `${this.#bin}${path.delimiter}${process.env.PATH ?? ''}`,
        HOME: this.home,
        TMPDIR: path.join(this.home, 'tmp'),
        KUBECONFIG: this.#kubeconfig,
        CALLS: counts,
        ...(fault && {
          FAULT: fault.kind,
          FAULT_AT: String(fault.at),
          FAULT_KUBECONFIG: fault.kubeconfig ?? '',
        }),
        ...environment,
      },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    const files = (await readdir(counts)).map(Number).sort((one, other) => one - other);
    const calls = await Promise.all(files.map((file) => readFile(path.join(counts, String(file)), 'utf8')));
    return { code, signal, stdout, stderr, calls };
  }

  /** The files of its temporary directory, with their text: a run that ends leaves none. */
  async leftovers(): Promise<ReadonlyMap<string, string>> {
    const directory = path.join(this.home, 'tmp');
    const found = new Map<string, string>();
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      const file = path.join(entry.parentPath, entry.name);
      if (entry.isFile()) found.set(path.relative(directory, file), await readFile(file, 'latin1'));
    }
    return found;
  }

  destroy(): Promise<void> {
    return rm(this.home, { recursive: true, force: true });
  }
}

/** Takes the next free number, by a file that only one can make; the fault is for this call or for all from it on. */
const wrapper = (tool: string, real: string) => `#!/bin/sh
n=1
set -C
until { printf '%s\\n' "${tool} $*" > "$CALLS/$n"; } 2> /dev/null; do n=$((n + 1)); done
set +C
case "\${FAULT-}" in
  'killed before') if [ "$n" -eq "$FAULT_AT" ]; then kill -9 "-$GROUP"; fi ;;
  'killed after')
    if [ "$n" -eq "$FAULT_AT" ]; then
      '${real}' "$@" > /dev/null
      kill -9 "-$GROUP"
    fi ;;
  interrupted) if [ "$n" -eq "$FAULT_AT" ]; then kill -INT "-$GROUP"; fi ;;
  kubectl) if [ "$n" -ge "$FAULT_AT" ] && [ ${tool} = kubectl ]; then export KUBECONFIG="$FAULT_KUBECONFIG"; fi ;;
  curl) if [ "$n" -ge "$FAULT_AT" ] && [ ${tool} = curl ]; then set -- "$@" --connect-to ::127.0.0.1:1; fi ;;
esac
exec '${real}' "$@"
`;

function onPath(name: string): string {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // the next one
    }
  }
  throw new Error(`no ${name} on the PATH`);
}
