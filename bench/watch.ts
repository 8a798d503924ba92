/** `npm run bench:watch`: holds idle watches through the tunnel of a running stack, over HTTP/1.1 and HTTP/2; fails when one is ended or misses a change. */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import { readState } from '../local/stack/state.ts';

const minutes = (text: string): number => {
  const value = Number(text);
  if (!(value > 0 && value <= 24 * 60)) throw new InvalidArgumentError('more than 0, at most a day');
  return value;
};

const command: Command = new Command('npm run bench:watch --')
  .description(
    'Watches an object of the demo cluster that nobody changes: once over HTTP/1.1, once over HTTP/2. After the ' +
      'silence it changes the object, and once more at the end: both watches must see both changes and must not end.',
  )
  .option('--minutes <n>', 'how long the watches are held', minutes, 15)
  .option('--idle-minutes <n>', 'silence before the first change', minutes, 6)
  .addOption(
    new Option('--data <directory>', 'where the running stack keeps everything')
      .env('CATTERY_DATA')
      .default('.local'),
  )
  .parse();
const options = command.opts<{ minutes: number; idleMinutes: number; data: string }>();
if (options.idleMinutes >= options.minutes) command.error('--idle-minutes must be less than --minutes');

/** A change is on its way for a few milliseconds; far beyond that it is lost. */
const eventWithinMs = 5_000;
const startedAt = performance.now();

const seconds = () => ((performance.now() - startedAt) / 1000).toFixed(1).padStart(7);
const say = (text: string) => process.stdout.write(`${seconds()} s  ${text}\n`);

const state = await readState(path.resolve(options.data));
if (!state?.stack.demoClusterId) command.error('No stack with a demo cluster is running there: npm start');
const { accessUrl, adminToken, caFile, demoClusterId } = state.stack;
const ca = await readFile(caFile, 'utf8');
const prefix = `/clusters/${demoClusterId}`;
const name = `bench-watch-${randomBytes(4).toString('hex')}`;
const collection = `${prefix}/api/v1/namespaces/default/configmaps`;
const authorization = `Bearer ${adminToken}`;

class Watch {
  readonly #name: string;
  /** Values of `data.turn` in the order in which they came. */
  readonly seen: string[] = [];
  ended: string | undefined;
  #rest = '';

  constructor(watchName: string) {
    this.#name = watchName;
  }

  follow(stream: Readable): void {
    stream.setEncoding('utf8').on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.#event(line);
    });
    stream.on('end', () => this.end('the answer came to its end'));
    stream.on('error', (error: Error) => this.end(error.message));
    stream.on('close', () => this.end('it was cut'));
  }

  end(reason: string): void {
    if (this.ended !== undefined) return;
    this.ended = reason;
    if (!finished) say(`${this.#name}: ENDED: ${reason}`);
  }

  #event(line: string): void {
    const { type, object } = JSON.parse(line) as { type: string; object: { data?: { turn?: string } } };
    const turn = object.data?.turn ?? '';
    this.seen.push(turn);
    say(`${this.#name}: ${type} turn ${turn}`);
  }
}

let finished = false;
const watches = { 'HTTP/1.1': new Watch('HTTP/1.1'), 'HTTP/2': new Watch('HTTP/2') };
const watchPath =
  `${collection}?watch=true&fieldSelector=metadata.name%3D${name}` +
  // The API server's own end of a watch, out of the way: what is tested is that nobody between ends it.
  `&timeoutSeconds=${Math.ceil(options.minutes * 60 + 600)}`;
const closers: (() => void)[] = [];

try {
  process.exitCode = (await hold()) ? 0 : 1;
} catch (error) {
  say(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  finished = true;
  for (const close of closers) close();
  await call('DELETE', `${collection}/${name}`).catch(() => undefined);
}

/** The whole test; false when a watch ended or missed a change. */
async function hold(): Promise<boolean> {
  await change('POST', '0');
  await Promise.all([watchOverHttp1(), watchOverHttp2()]);
  if (!(await bothSee('0'))) return false;
  say(`silence for ${options.idleMinutes} minutes`);
  if (!(await silence(options.idleMinutes))) return false;
  await change('PATCH', '1');
  if (!(await bothSee('1'))) return false;
  say(`silence until minute ${options.minutes}`);
  if (!(await silence(options.minutes))) return false;
  await change('PATCH', '2');
  if (!(await bothSee('2'))) return false;
  say(`PASSED: both watches were open for ${options.minutes} minutes and saw every change`);
  return true;
}

/** Waits until so many minutes after the start; false as soon as a watch has ended. */
async function silence(untilMinute: number): Promise<boolean> {
  const until = startedAt + untilMinute * 60_000;
  while (performance.now() < until) {
    if (Object.values(watches).some(({ ended }) => ended !== undefined)) return false;
    await delay(Math.min(1_000, Math.max(1, until - performance.now())));
  }
  return true;
}

async function bothSee(turn: string): Promise<boolean> {
  const until = performance.now() + eventWithinMs;
  const missing = () => Object.entries(watches).filter(([, { seen }]) => !seen.includes(turn));
  while (missing().length > 0 && performance.now() < until) await delay(20);
  for (const [protocol] of missing()) say(`${protocol}: MISSED turn ${turn} (${eventWithinMs / 1000} s)`);
  return missing().length === 0;
}

async function change(method: 'POST' | 'PATCH', turn: string): Promise<void> {
  const body = JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { turn } });
  const status = await call(method, method === 'POST' ? collection : `${collection}/${name}`, body);
  say(`${method} ${name} turn ${turn}: ${status}`);
  if (status >= 300) throw new Error(`the change was refused (${status})`);
}

/** On a connection of its own, so that the watches' connections stay silent. Gives the status. */
function call(method: string, target: string, body?: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const headers = { authorization, 'content-type': type };
    const outgoing = httpsRequest(
      `${accessUrl}${target}`,
      { method, ca, headers, agent: false, timeout: 30_000 },
      (answer) => {
        answer.resume().on('end', () => resolve(answer.statusCode ?? 0));
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
    outgoing.on('error', reject).end(body);
  });
}

function watchOverHttp1(): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      `${accessUrl}${watchPath}`,
      { ca, headers: { authorization }, agent: false },
      (answer) => {
        if (answer.statusCode !== 200) {
          reject(new Error(`HTTP/1.1: ${answer.statusCode}`));
          return;
        }
        watches['HTTP/1.1'].follow(answer);
        say(`HTTP/1.1: watching (HTTP/${answer.httpVersion})`);
        resolve();
      },
    );
    closers.push(() => outgoing.destroy());
    outgoing.on('error', (error) => {
      watches['HTTP/1.1'].end(error.message);
      reject(error);
    });
    outgoing.end();
  });
}

function watchOverHttp2(): Promise<void> {
  return new Promise((resolve, reject) => {
    const session = connect(accessUrl, { ca });
    closers.push(() => session.destroy());
    session.on('goaway', (code) => watches['HTTP/2'].end(`GOAWAY ${code}`));
    session.on('error', reject);
    const stream = session.request({ ':path': watchPath, authorization });
    stream.on('error', reject);
    stream.on('response', (headers) => {
      if (headers[':status'] !== 200) {
        reject(new Error(`HTTP/2: ${headers[':status']}`));
        return;
      }
      watches['HTTP/2'].follow(stream);
      say(`HTTP/2: watching (${session.alpnProtocol ?? 'no ALPN'})`);
      resolve();
    });
    stream.end();
  });
}
