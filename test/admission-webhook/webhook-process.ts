/** The webhook as a process: what a kubelet gives it, on loopback, with every port free for the taking. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import path from 'node:path';
import { connect } from 'node:tls';
import { eventually } from '../stack/poll.ts';

const source = path.join(import.meta.dirname, '../../admission-webhook/main.ts');

type Given = {
  /** For its files; what is in `bundle` of an earlier one there is its disk. */
  readonly directory: string;
  readonly apiUrl: string;
  readonly tenantId: string;
  readonly apiKey: string;
  /** The JWKS of its ConfigMap. */
  readonly keys: object;
  readonly kubeUrl: string;
  /** With token and ca.crt. */
  readonly accountDirectory: string;
};

/** Writes the files that its pod would mount; gives the environment that names them. */
export async function webhookEnvironment(given: Given): Promise<Record<string, string>> {
  const { directory, kubeUrl } = given;
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, 'key'), `${given.apiKey}\n`);
  await writeFile(path.join(directory, 'bundle-keys.json'), JSON.stringify(given.keys));
  const { hostname, port } = new URL(kubeUrl);
  return {
    API_URL: given.apiUrl,
    TENANT_ID: given.tenantId,
    API_KEY_FILE: path.join(directory, 'key'),
    BUNDLE_KEYS_FILE: path.join(directory, 'bundle-keys.json'),
    DATA_DIRECTORY: path.join(directory, 'bundle'),
    NAMESPACE: 'cattery-system',
    TLS_SECRET: 'cattery-admission-tls',
    WEBHOOK_CONFIGURATION: 'cattery-admission',
    TLS_NAMES: '127.0.0.1',
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
    SERVICE_ACCOUNT_DIRECTORY: given.accountDirectory,
    LISTEN_ADDRESS: '127.0.0.1',
    REVIEW_PORT: '0',
    INTERNAL_PORT: '0',
    // A test does not wait for half a minute.
    BUNDLE_POLL_SECONDS: '1',
    CERTIFICATE_CHECK_SECONDS: '1',
  };
}

export class WebhookProcess {
  readonly #child: ChildProcess;
  #output = '';

  /** `program`: Node's options and the entry. */
  constructor(env: Readonly<Record<string, string>>, program: readonly string[] = [source]) {
    this.#child = spawn(process.execPath, program, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** What it has logged so far. */
  get output(): string {
    return this.#output;
  }

  /** Where reviews are answered. */
  port(): Promise<number> {
    return this.#logged(/"event":"listening","reviewPort":(\d+)/);
  }

  /** One of its probes, or its figures. */
  async internal(place: '/livez' | '/readyz' | '/metrics'): Promise<{ status: number; text: string }> {
    const port = await this.#logged(/"event":"started","internalPort":(\d+)/);
    const answer = await fetch(`http://127.0.0.1:${port}${place}`);
    return { status: answer.status, text: await answer.text() };
  }

  async ready(withinMs = 30_000): Promise<void> {
    let last = '';
    await eventually(
      () => `ready: ${last}\n${this.#output}`,
      withinMs,
      async () => {
        const { status, text } = await this.internal('/readyz');
        last = text;
        return status === 200;
      },
    );
  }

  /** Fingerprint of the certificate that new connections are shown; undefined when nobody answers. */
  async shown(): Promise<string | undefined> {
    const port = await this.port();
    return new Promise((resolve) => {
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false });
      socket.on('secureConnect', () => {
        resolve(socket.getPeerCertificate().fingerprint256);
        socket.destroy();
      });
      socket.on('error', () => resolve(undefined));
    });
  }

  /** Asks it as an API server does that trusts `ca`; gives status and JSON. */
  async review(body: object, ca: string): Promise<{ status: number; json: unknown }> {
    const port = await this.port();
    const agent = new Agent({ ca });
    const { status, text } = await postReview(port, agent, Buffer.from(JSON.stringify(body)));
    agent.destroy();
    return { status, json: JSON.parse(text) as unknown };
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Its code, once it has ended; null after a signal. */
  async exit(): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, 'exit');
    return this.#child.exitCode;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.exit();
  }

  async #logged(pattern: RegExp): Promise<number> {
    const found = await eventually(
      () => `${pattern.source} in: ${this.#output}`,
      30_000,
      () => pattern.exec(this.#output)?.[1],
    );
    return Number(found);
  }
}

/** One review over a connection of the agent. */
export function postReview(
  port: number,
  agent: Agent,
  body: Buffer,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const outgoing = request(
      { host: '127.0.0.1', port, path: '/review?timeout=5s', method: 'POST', agent, headers },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, text })).on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
