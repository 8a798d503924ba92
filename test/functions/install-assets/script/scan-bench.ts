/** scan-report.sh on a machine of its own: a PATH with nothing but what it may use, and a control plane that stands in. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readScanReporter, scanReporterOf } from '../../../../functions/install-assets/scan-reporter.ts';
import { ScanFront } from './scan-front.ts';
import { fillPath, type NeededTool, type Shell } from './shells.ts';
import type { Outcome } from './workbench.ts';

type RunOptions = {
  /** Piped in; nothing else is. */
  readonly report?: string | Uint8Array;
  readonly environment?: Readonly<Record<string, string>>;
  /** Instead of the script as served. */
  readonly script?: string;
  /** As `curl … | sh -s --`. */
  readonly piped?: boolean;
  /** Ctrl-C while the control plane has the report and does not answer. */
  readonly interrupted?: boolean;
};

export class ScanBench {
  readonly front: ScanFront;
  readonly home: string;
  /** The script as served. */
  readonly script: string;
  readonly #shell: Shell;

  private constructor(front: ScanFront, home: string, script: string, shell: Shell) {
    [this.front, this.home, this.script, this.#shell] = [front, home, script, shell];
  }

  /** `record`: the arguments of every program are kept. `without`: tools that are not there. */
  static async open(
    shell: Shell,
    tools: { record?: boolean; without?: readonly NeededTool[] } = {},
  ): Promise<ScanBench> {
    const home = await mkdtemp(path.join(tmpdir(), 'cattery-scan-'));
    fillPath(path.join(home, 'bin'), shell, tools);
    mkdirSync(path.join(home, 'tmp'));
    const front = await ScanFront.start();
    const { script } = scanReporterOf(await readScanReporter(), { API_URL: front.url });
    return new ScanBench(front, home, script.text, shell);
  }

  async close(): Promise<void> {
    await this.front.close();
    await rm(this.home, { recursive: true });
  }

  /** The script's TMPDIR. */
  get tmp(): string {
    return path.join(this.home, 'tmp');
  }

  /** Puts a file where the script is run; its name. */
  file(name: string, content: string | Uint8Array): string {
    writeFileSync(path.join(this.home, name), content);
    return name;
  }

  /** Names and arguments of all programs that were recorded. */
  get programs(): string {
    return this.#kept('programs');
  }

  /** Temporary files in which what `watchFor` was told was seen. */
  get leaks(): string {
    return this.#kept('leaks');
  }

  watchFor(secret: string): void {
    this.file('secrets', `${secret}\n`);
  }

  #kept(name: string): string {
    const file = path.join(this.home, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  async run(
    given: readonly string[],
    { report = '', environment, script = this.script, piped = false, interrupted = false }: RunOptions = {},
  ): Promise<Outcome> {
    const file = this.file('scan-report.sh', script);
    const [shell = '', ...words] = this.#shell.command;
    const child = spawn(shell, [...words, ...(piped ? ['-s', '--'] : [file]), ...given], {
      cwd: this.home,
      // A session of its own has no terminal.
      detached: true,
      env: {
        PATH: path.join(this.home, 'bin'),
        HOME: this.home,
        TMPDIR: this.tmp,
        STAND_IN: this.home,
        ...(environment ?? { CATTERY_API_KEY: this.front.key }),
      },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (part: string) => (stdout += part));
    child.stderr.setEncoding('utf8').on('data', (part: string) => (stderr += part));
    if (interrupted)
      this.front.arrived = () => {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGINT');
        return new Promise(() => undefined);
      };
    child.stdin.on('error', () => undefined);
    child.stdin.end(piped ? script : report);
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr };
  }
}
