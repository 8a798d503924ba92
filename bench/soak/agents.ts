/** Started by `npm run soak`: many light Guardians in one process, which ping, answer requests and now and then come back. Ends with its input. */
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import { connect } from 'node:tls';
import { setTimeout as delay } from 'node:timers/promises';
import { hintName, makeCa, type TestCa, type TestPair } from '../../test/tunnel-fargate/certificates.ts';
import { YamuxSession } from '../../tunnel-fargate/yamux/session.ts';

/** As Guardian does: the next one 100 ms later, but not before the last was answered (tunnel.md 1). */
const pingIntervalMs = 100;
/** Below what the server lets one address do at once. */
const dialAtOnce = 40;

const [, , port = '', rootsFile = '', count = '', comeBacksPerMinute = ''] = process.argv;
const roots = await readFile(rootsFile, 'utf8');

/** One Guardian: its session to the server, HTTP/2 inside the streams that the server opens. */
class Agent {
  readonly #pair: TestPair;
  readonly #onLost: () => void;
  #inner: Http2SecureServer | undefined;
  #session: YamuxSession | undefined;

  constructor(pair: TestPair, onLost: () => void) {
    this.#pair = pair;
    this.#onLost = onLost;
  }

  get connected(): boolean {
    return this.#session?.closed === false;
  }

  async dial(): Promise<void> {
    const { certificate: cert, key } = this.#pair;
    const socket = connect({
      host: '127.0.0.1',
      port: Number(port),
      servername: hintName,
      ca: roots,
      cert,
      key,
    });
    socket.on('error', () => undefined).setNoDelay(true);
    await once(socket, 'secureConnect');
    const session = new YamuxSession(socket, { role: 'client', pingIntervalMs, pingTimeoutMs: 30_000 });
    this.#session = session;
    session.on('stream', (stream) => {
      stream.on('error', () => undefined);
      this.#answering().emit('connection', stream);
    });
    session.once('close', () => {
      if (this.#session === session) this.#onLost();
    });
  }

  /** As after a lost network: no word to the server. */
  cut(): void {
    const session = this.#session;
    this.#session = undefined;
    session?.destroy();
  }

  #answering(): Http2SecureServer {
    if (this.#inner) return this.#inner;
    const inner = createSecureServer({ cert: this.#pair.certificate, key: this.#pair.key });
    inner.on('sessionError', () => undefined);
    inner.on('stream', (stream) => {
      stream.on('error', () => undefined);
      stream.respond({ ':status': 200, 'content-type': 'application/json' });
      stream.end('{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}');
    });
    return (this.#inner = inner);
  }
}

const tell = (event: Readonly<Record<string, string | number>>) =>
  process.stdout.write(`${JSON.stringify(event)}\n`);

const agents: Agent[] = [];
let [lost, returned] = [0, 0];
let ending = false;
process.stdin.resume().once('end', () => {
  ending = true;
  process.exit(0);
});

async function connected(agent: Agent): Promise<void> {
  while (!ending) {
    try {
      await agent.dial();
      return;
    } catch {
      // One too many at a time: the server takes it a moment later.
      await delay(200);
    }
  }
}

async function add(ca: TestCa): Promise<void> {
  const agent: Agent = new Agent(await ca.issue({ usage: 'client' }), () => {
    if (ending) return;
    lost += 1;
    void connected(agent);
  });
  await connected(agent);
  agents.push(agent);
}

const ca = await makeCa('soak');
for (let left = Number(count); left > 0; left -= dialAtOnce) {
  await Promise.all(Array.from({ length: Math.min(left, dialAtOnce) }, () => add(ca)));
}
tell({ event: 'ready', connected: agents.length });

if (Number(comeBacksPerMinute) > 0) {
  let next = 0;
  setInterval(
    () => {
      const agent = agents[next % agents.length];
      next += 1;
      agent?.cut();
      returned += 1;
      if (agent) void connected(agent);
    },
    60_000 / Number(comeBacksPerMinute),
  );
}
setInterval(() => {
  tell({ event: 'state', connected: agents.filter((agent) => agent.connected).length, lost, returned });
}, 1_000);
