/** Run by lost-link.test.ts: loses the links of clusters at many moments and prints what came of it as one line of JSON. */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';
import { Problem } from '../../../core/problem/problem.ts';
import type { ClusterLink } from '../../../tunnel-fargate/agent/cluster-link.ts';
import type { YamuxStream } from '../../../tunnel-fargate/yamux/stream.ts';
import type { TestPair } from '../certificates.ts';
import { TestGuardian } from '../guardian.ts';
import { startTunnel, until } from '../tunnel-fixture.ts';

export type Outcome = {
  /** Stacks of what no listener took. */
  uncaught: string[];
  /** How many requests were answered, and of the others their codes. */
  requests: Record<string, number>;
  /** Uploads that were stored. */
  stored: number;
  /** The body of a request over a new link, after all others were lost. */
  afterwards: string;
};

const [rounds = 0, seed = 0] = process.argv.slice(2).map(Number);
const uncaught: string[] = [];
const note = (error: unknown) => void uncaught.push(String(error instanceof Error ? error.stack : error));
process.on('uncaughtException', note);
process.on('unhandledRejection', note);

let state = seed;
/** 0 ≤ n < bound, the same with every run (linear congruence, Numerical Recipes' constants). */
function random(bound: number): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return Math.floor((state / 2 ** 32) * bound);
}

type Link = {
  readonly guardian: TestGuardian;
  readonly over: Socket;
  readonly pair: TestPair;
  readonly clusterId: string;
  /** Streams that the server opened. */
  readonly streams: YamuxStream[];
};

const tunnel = await startTunnel();
const requests: Record<string, number> = {};
const count = (outcome: string) => (requests[outcome] = (requests[outcome] ?? 0) + 1);

async function connect(clusterId: string, pair: TestPair): Promise<Link> {
  const over = connectTcp(tunnel.port, '127.0.0.1');
  over.on('error', () => undefined);
  const guardian = await TestGuardian.connect({
    port: tunnel.port,
    roots: tunnel.roots,
    pair,
    over,
    serve: (stream, headers) => {
      if (stream.destroyed) return;
      stream.respond({ ':status': 200 });
      if (headers[':path'] === '/long') stream.write(Buffer.alloc(100_000));
      else stream.end('hello');
    },
  });
  const streams: YamuxStream[] = [];
  guardian.session.on('stream', (stream) => streams.push(stream));
  return { guardian, over, pair, clusterId, streams };
}

async function get(link: ClusterLink, path: string): Promise<string> {
  const stream = await link.request({ ':path': path }, { endStream: true });
  let body = '';
  stream.setEncoding('utf8').on('data', (part: string) => (body += part));
  await once(stream, 'close');
  if (stream.rstCode !== 0) throw new Problem('BAD_GATEWAY');
  return body;
}

const losses: readonly ((link: Link) => unknown)[] = [
  ({ guardian }) => guardian.socket.destroy(),
  ({ over }) => over.resetAndDestroy(),
  ({ guardian }) => guardian.session.destroy(),
  ({ guardian }) => void guardian.session.close(),
  ({ guardian }) => guardian.session.goAway(2),
  ({ guardian }) => guardian.socket.write('no frame of a mux'),
  ({ clusterId }) => {
    const here = tunnel.server.tunnels.get(clusterId);
    if (here) tunnel.server.tunnels.close(here, 'CERTIFICATE_REVOKED');
  },
];

/** What ends inside, before the link does. */
const endings: readonly ((link: Link) => unknown)[] = [
  () => undefined,
  ({ streams }) => streams.forEach((stream) => stream.end()),
  ({ streams }) => streams.forEach((stream) => stream.reset()),
  ({ streams }) => streams.forEach((stream) => stream.write('no record of TLS')),
];

async function turns(number: number): Promise<void> {
  for (let done = 0; done < number; done += 1) await turn();
}

async function loseOne(clusterId: string, pair: TestPair): Promise<void> {
  const link = await connect(clusterId, pair);
  const { guardian } = link;
  await until(() => tunnel.server.tunnels.get(clusterId) !== undefined);
  const way = tunnel.server.tunnels.get(clusterId);
  if (!way) return;
  const running = ['/short', '/long'].map((path) =>
    get(way, path).then(
      () => count('answered'),
      (error: unknown) => count(error instanceof Problem ? error.code : 'a stream broke'),
    ),
  );
  guardian.post('{"start_time":1}\n'.repeat(1 + random(2_000))).catch(() => undefined);
  // The handshake inside takes some ten turns of the event loop.
  if (random(3) === 0) await Promise.race([running[0], delay(100)]);
  await turns(random(12));
  endings[random(endings.length)]?.(link);
  await turns(random(6));
  losses[random(losses.length)]?.(link);
  await Promise.race([guardian.ended, delay(100)]);
  guardian.session.destroy();
  await Promise.all(running);
}

const clusters = await Promise.all(
  ['a', 'b', 'c', 'd'].map(async (letter) => {
    const clusterId = `c-${letter.repeat(20)}`;
    return { clusterId, pair: await tunnel.register({ clusterId }) };
  }),
);
let left = rounds;
await Promise.all(
  clusters.map(async ({ clusterId, pair }) => {
    while ((left -= 1) >= 0) {
      await loseOne(clusterId, pair);
      await until(() => tunnel.server.tunnels.get(clusterId) === undefined);
    }
  }),
);

const [{ clusterId, pair } = { clusterId: '', pair: await tunnel.register() }] = clusters;
const last = await connect(clusterId, pair);
const afterwards = await get(await tunnel.link(clusterId), '/short');
await last.guardian.close();
await tunnel.close();
const outcome: Outcome = { uncaught, requests, stored: tunnel.logs.objects.length, afterwards };
console.log(JSON.stringify(outcome));
