/** install.sh on a machine of its own: a PATH with nothing but what it may use, a cluster and a control plane that stand in. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crds, operatorDeployment, operatorNamespace } from './calico-manifests.ts';
import { ControlPlane } from './control-plane.ts';
import { fillPath, type NeededTool, onPath, type Shell } from './shells.ts';
import type { KubeObject } from './kubectl-output.ts';
import { StandInCluster } from './stand-in-cluster.ts';

export type Outcome = {
  /** null: ended by a signal. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};
type RunOptions = {
  readonly environment?: Readonly<Record<string, string>>;
  /** `file`: as after a download; `pipe`: as `curl … | sh -s --`. */
  readonly way?: 'file' | 'pipe';
  /** Instead of the script as served. */
  readonly script?: string;
  /** Ctrl-C while this verb of kubectl is at work. */
  readonly interruptDuring?: string;
  /** Gives it a terminal on which somebody types this; what it prints is then all in `stdout`. */
  readonly typed?: string;
};

export class Workbench {
  readonly plane: ControlPlane;
  readonly cluster = new StandInCluster();
  readonly shell: Shell;
  readonly #home: string;
  /** Where stand-ins of kubectl tell their process ID. */
  readonly #kubectl: Socket;
  readonly #answered: number[] = [];
  #running: ChildProcess | undefined;
  #interruptDuring: string | undefined;

  private constructor(plane: ControlPlane, shell: Shell, home: string, kubectl: Socket) {
    [this.plane, this.shell, this.#home, this.#kubectl] = [plane, shell, home, kubectl];
    let begun = '';
    kubectl.setEncoding('utf8').on('data', (part: string) => {
      const lines = (begun + part).split('\n');
      begun = lines.pop() ?? '';
      for (const pid of lines) this.#answer(path.join(home, `call-${pid}`));
    });
  }

  /** `record`: the arguments of every program are kept. `without`: tools that are not there. */
  static async open(
    shell: Shell,
    tools: { record?: boolean; without?: readonly NeededTool[] } = {},
  ): Promise<Workbench> {
    const home = await mkdtemp(path.join(tmpdir(), 'cattery-script-'));
    fillPath(path.join(home, 'bin'), shell, tools);
    mkdirSync(path.join(home, 'tmp'));
    const pipe = path.join(home, 'kubectl');
    spawnSync('mkfifo', [pipe]);
    // Open for writing, too: it never ends while nobody calls.
    const fd = openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK);
    const bench = new Workbench(await ControlPlane.start(), shell, home, new Socket({ fd, writable: false }));
    bench.plane.connected = () => bench.#certificateInUse();
    return bench;
  }

  async close(): Promise<void> {
    this.#running?.kill('SIGKILL');
    this.#kubectl.destroy();
    for (const fd of this.#answered) closeSync(fd);
    await this.plane.close();
    await rm(this.#home, { recursive: true });
  }

  #answer(call: string): void {
    const given = readFileSync(`${call}.arguments`, 'utf8').split('\0').slice(0, -1);
    const input = existsSync(`${call}.input`) ? readFileSync(`${call}.input`, 'utf8') : '';
    const pid = this.#running?.pid;
    if (this.#interruptDuring !== undefined && given.includes(this.#interruptDuring) && pid !== undefined) {
      process.kill(-pid, 'SIGINT');
      return;
    }
    // Process IDs come again.
    rmSync(`${call}.input`, { force: true });
    const { code, stdout, stderr } = this.cluster.kubectl(given, input);
    writeFileSync(`${call}.stdout`, stdout);
    writeFileSync(`${call}.stderr`, stderr);
    // Open for both: it may be written to before anybody reads, and keeps what was written while it is open.
    const fd = openSync(call, constants.O_RDWR);
    writeSync(fd, `${code}\n`);
    this.#answered.push(fd);
  }

  /** The script's TMPDIR. */
  get tmp(): string {
    return path.join(this.#home, 'tmp');
  }

  /** Makes curl end at once with this exit code. */
  failCurl(code: number): void {
    writeFileSync(path.join(this.#home, 'curl-fails'), `${code}\n`);
  }

  /** Watches that none of these stands in a temporary file when any recorded program starts. */
  watchFor(secrets: readonly string[]): void {
    writeFileSync(path.join(this.#home, 'secrets'), secrets.map((secret) => `${secret}\n`).join(''));
  }

  /** Temporary files in which a secret was seen. */
  get leaks(): string {
    return this.#kept('leaks');
  }

  /** Names and arguments of all programs that were recorded, and of kubectl. */
  get programs(): string {
    const kubectl = this.cluster.calls.map(({ given }) => ['kubectl', ...given].join('\0'));
    return [this.#kept('programs'), ...kubectl].join('\n');
  }

  #kept(name: string): string {
    const file = path.join(this.#home, name);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Calico of the release, installed by its operator and well. */
  installCalico(version = 'v3.32.1', operatorVersion = 'v1.42.3'): void {
    this.cluster.put(
      ...crds,
      operatorNamespace,
      operatorDeployment(operatorVersion),
      calicoResource('Installation', 'default', { spec: { variant: 'Calico' } }),
    );
    this.calicoIs(version);
  }

  /** What the operator says of it. */
  calicoIs(version: string): void {
    playOperator(this.cluster, version);
  }

  /** Runs the script to its end, without a terminal. */
  async run(
    given: readonly string[],
    { environment = {}, way = 'file', script, interruptDuring, typed }: RunOptions = {},
  ): Promise<Outcome> {
    const text = script ?? (await this.plane.script());
    const file = path.join(this.#home, 'install.sh');
    writeFileSync(file, text);
    const command = [...this.shell.command, ...(way === 'file' ? [file] : ['-s', '--']), ...given];
    const quoted = command.map((word) => `'${word}'`).join(' ');
    const [program = '', ...words] = typed === undefined ? command : ['script', '-qec', quoted, '/dev/null'];
    // A session of its own has no terminal that could be asked.
    const child = spawn(typed === undefined ? program : (onPath('script') ?? ''), words, {
      cwd: this.#home,
      detached: true,
      env: {
        PATH: path.join(this.#home, 'bin'),
        HOME: this.#home,
        TMPDIR: this.tmp,
        STAND_IN: this.#home,
        ...environment,
      },
    });
    this.#running = child;
    this.#interruptDuring = interruptDuring;
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (part: string) => (stdout += part));
    child.stderr.setEncoding('utf8').on('data', (part: string) => (stderr += part));
    child.stdin.on('error', () => undefined);
    child.stdin.end(typed ?? (way === 'pipe' ? text : undefined));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, stdout, stderr };
  }

  /** As the agent would have it: the certificate of the tunnel's secret, once the connection and its key are there. */
  #certificateInUse(): string | undefined {
    const secret = this.cluster.find('secret', 'tigera-managed-cluster-connection', 'tigera-operator');
    const connection = this.cluster.find('managementclusterconnection', 'tigera-secure');
    const certificate = secret?.data?.['managed-cluster.crt'];
    if (!connection || certificate === undefined || secret?.data?.['managed-cluster.key'] === undefined)
      return undefined;
    return Buffer.from(certificate, 'base64').toString('utf8');
  }
}

const calicoResource = (kind: string, name: string, rest: Partial<KubeObject> = {}): KubeObject => ({
  apiVersion: 'operator.tigera.io/v1',
  kind,
  metadata: { name },
  ...rest,
});

/** What the Tigera operator would have done by now, without any of its pods. */
export function playOperator(cluster: StandInCluster, version: string): void {
  const installation = kindThere(cluster, 'installations') && cluster.find('installation', 'default');
  if (!installation || !cluster.find('deployment', 'tigera-operator', 'tigera-operator')) return;
  const status = {
    calicoVersion: version,
    variant: 'Calico',
    conditions: [{ type: 'Ready', status: 'True' }],
  };
  cluster.put({ ...installation, status });
  cluster.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'calico-system' } });
  const parts: readonly (readonly [status: string, word: string, name: string])[] = [
    ['calico', 'installation', 'default'],
    ['apiserver', 'apiserver', 'default'],
    ['goldmane', 'goldmane', 'default'],
    ['whisker', 'whisker', 'default'],
    ['management-cluster-connection', 'managementclusterconnection', 'tigera-secure'],
  ];
  for (const [name, word, object] of parts)
    if (cluster.find(word, object)) cluster.put(calicoResource('TigeraStatus', name, { status: available }));
    else cluster.remove('tigerastatus', name);
}

const kindThere = (cluster: StandInCluster, plural: string) =>
  cluster.find('crd', `${plural}.operator.tigera.io`) !== undefined;

const available = {
  conditions: [
    { type: 'Available', status: 'True' },
    { type: 'Progressing', status: 'False' },
    { type: 'Degraded', status: 'False' },
  ],
};
