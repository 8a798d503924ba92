/** `npm run soak`: holds hundreds of agents against one server process and prints how its memory moves; fails when it grows, or when tunnels or requests are lost. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:http2';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Command, InvalidArgumentError } from 'commander';
import { hintName, makeCa } from '../test/tunnel-fargate/certificates.ts';
import { Part } from './soak/part.ts';
import { Requests } from './soak/requests.ts';
import { floors, medianSlope, percentile, type Point } from './soak/slope.ts';
import { processUsage } from './tunnel/process-usage.ts';

const within = (least: number, most: number) => (text: string) => {
  const value = Number(text);
  if (!(value >= least && value <= most)) throw new InvalidArgumentError(`from ${least} to ${most}`);
  return value;
};

const options = new Command('npm run soak --')
  .description(
    'Agents that ping every 100 ms, a trickle of requests through their tunnels, and agents that lose their link and ' +
      'come back, against one tunnel server process. Its resident memory is read from /proc every two seconds.',
  )
  .option('--minutes <n>', 'how long, after all agents are connected', within(0.5, 24 * 60), 10)
  .option('--agents <n>', 'how many', within(1, 5_000), 500)
  .option('--requests <n>', 'requests per second, in all', within(0, 1_000), 5)
  .option('--come-backs <n>', 'agents per minute that lose their link and come back', within(0, 6_000), 60)
  .option('--max-slope <n>', 'KiB per minute that memory may grow after warming up', within(0, 1e6), 1_024)
  .parse()
  .opts<{ minutes: number; agents: number; requests: number; comeBacks: number; maxSlope: number }>();

const sampleMs = 2_000;
/** Of the run: caches fill, the heap finds its size. */
const warmUpShare = 0.5;
/** Before, V8 is still finding out how much garbage it may keep: resident memory grows whatever the server does. */
const minutesForVerdict = 8;
/** The heap goes up and down with its garbage: what counts is how low it falls. */
const floorOf = 10;
const mebibyte = 1_048_576;

const portOf = (address: unknown) => Number(String(address).split(':')[1]);
const startedAt = performance.now();
const say = (text: string) =>
  process.stdout.write(`${((performance.now() - startedAt) / 1_000).toFixed(0).padStart(5)} s  ${text}\n`);
const mib = (bytes: number) => `${(bytes / mebibyte).toFixed(1)} MiB`;

const directory = await mkdtemp(path.join(tmpdir(), 'cattery-soak-'));
const parts: Part[] = [];
try {
  process.exitCode = (await soak()) ? 0 : 1;
} catch (error) {
  say(`FAILED: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await Promise.all(parts.map((part) => part.stop()));
  await rm(directory, { recursive: true, force: true });
}

/** The whole of it; false when the server did not stand it. */
async function soak(): Promise<boolean> {
  const ca = await writeCertificates();
  const token = randomBytes(24).toString('base64url');
  const clusterIds = new Set<string>();
  const server = started(
    new Part('servers/product.ts', [directory, token], ({ event, clusterId }) => {
      if (event === 'agent') clusterIds.add(String(clusterId));
    }),
  );
  const listening = await server.told('listening');
  const { pid } = server;
  const empty = await processUsage(pid);
  say(`server: pid ${pid}, ${mib(empty.rssBytes)} without agents`);

  const agents = started(
    new Part('soak/agents.ts', [
      portOf(listening.tunnel),
      path.join(directory, 'roots.crt'),
      options.agents,
      options.comeBacks,
    ]),
  );
  await agents.told('ready');
  const full = await processUsage(pid);
  say(`${options.agents} agents are connected: ${mib(full.rssBytes)}`);

  const session = connect(`https://127.0.0.1:${portOf(listening.public)}`, { ca });
  session.on('error', () => undefined);
  const requests = new Requests({
    session,
    token,
    clusterIds: () => [...clusterIds],
    forgiving: options.comeBacks > 0,
  });
  requests.start(options.requests);
  const samples = await sampled(server, agents, `http://${String(listening.metrics)}/metrics`);
  requests.stop();
  const end = await processUsage(pid);
  session.destroy();

  const seconds = options.minutes * 60;
  const { connected, returned, lost } = stateOf(agents);
  const slope = slopeOf(samples.resident);
  say(`CPU of the server: ${((100 * (end.cpuSeconds - full.cpuSeconds)) / seconds).toFixed(1)} % of a core`);
  say(
    `memory: ${mib(full.rssBytes)} at first, ${mib(end.rssBytes)} at the end; ${((end.rssBytes - empty.rssBytes) / 1_024 / options.agents).toFixed(0)} KiB per agent`,
  );
  say(
    `requests: ${requests.times.length} answered, ${requests.failed} failed, ` +
      `p50 ${percentile(requests.times, 0.5).toFixed(1)} ms, p99 ${percentile(requests.times, 0.99).toFixed(1)} ms`,
  );
  say(`agents: ${connected} connected, ${returned} cut by us, ${lost} by the server`);
  say(`in the second half, of ${samples.resident.length} samples:`);
  say(`slope of the resident memory: ${perMinute(slope)}`);
  say(
    `slope of the heap, of its lowest of ${floorOf} samples each: ${perMinute(slopeOf(floors(samples.heap, floorOf)))}`,
  );
  return judged(slope, { lost, connected, failed: requests.failed });
}

/** Fewer than two points have no slope. */
function perMinute(slope: number): string {
  return Number.isFinite(slope) ? `${slope.toFixed(0)} KiB/min` : 'too few samples';
}

function slopeOf(points: readonly Point[]): number {
  return medianSlope(points.slice(Math.floor(points.length * warmUpShare)));
}

function stateOf(agents: Part): Readonly<Record<'connected' | 'returned' | 'lost', number>> {
  const state = agents.latest('state');
  const number = (name: string) => Number(state?.[name] ?? 0);
  return { connected: number('connected'), returned: number('returned'), lost: number('lost') };
}

/** A figure of the server, as its internal port tells it. */
async function figure(url: string, name: string): Promise<number> {
  const text = await (await fetch(url)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

function judged(
  slope: number,
  { lost, connected, failed }: Readonly<Record<'lost' | 'connected' | 'failed', number>>,
): boolean {
  const complaints = [
    ...(lost > 0 ? [`the server ended ${lost} tunnels`] : []),
    // Those that were cut in the last moment are on their way back.
    ...(connected < options.agents - Math.ceil(options.comeBacks / 20) - 1
      ? [`only ${connected} agents are connected`]
      : []),
    ...(failed > 0 ? [`${failed} requests failed`] : []),
    ...(options.minutes >= minutesForVerdict && slope > options.maxSlope
      ? [`memory grows by ${slope.toFixed(0)} KiB/min, more than ${options.maxSlope}`]
      : []),
  ];
  for (const complaint of complaints) say(`FAILED: ${complaint}`);
  if (complaints.length > 0) return false;
  const short =
    options.minutes < minutesForVerdict
      ? `; too short to judge the slope (${minutesForVerdict} minutes)`
      : '';
  say(`PASSED${short}`);
  return true;
}

type Samples = { readonly resident: Point[]; readonly heap: Point[] };

/** KiB over minutes. */
async function sampled(server: Part, agents: Part, figures: string): Promise<Samples> {
  const samples: Samples = { resident: [], heap: [] };
  const start = performance.now();
  const end = start + options.minutes * 60_000;
  let sayAt = start;
  while (performance.now() < end) {
    await delay(Math.min(sampleMs, Math.max(1, end - performance.now())));
    if (server.ended) throw new Error('the server process ended');
    const { rssBytes } = await processUsage(server.pid);
    const x = (performance.now() - start) / 60_000;
    samples.resident.push({ x, y: rssBytes / 1_024 });
    const heap = await figure(figures, 'cattery_heap_used_bytes');
    samples.heap.push({ x, y: heap / 1_024 });
    if (performance.now() < sayAt) continue;
    sayAt = performance.now() + Math.max(10_000, options.minutes * 6_000);
    say(`${mib(rssBytes)} resident, ${mib(heap)} heap, ${stateOf(agents).connected} connected`);
  }
  return samples;
}

/** For the server; gives the root that verifies it. */
async function writeCertificates(): Promise<string> {
  const ca = await makeCa('soak server');
  const file = (name: string) => path.join(directory, name);
  await writeFile(file('roots.crt'), ca.certificate);
  for (const [name, names] of [
    ['tunnel', [hintName]],
    ['public', ['127.0.0.1']],
  ] as const) {
    const { certificate, key } = await ca.issue({ names, usage: 'server' });
    await writeFile(file(`${name}.crt`), certificate);
    await writeFile(file(`${name}.key`), key, { mode: 0o600 });
  }
  return ca.certificate;
}

function started(part: Part): Part {
  parts.push(part);
  return part;
}
