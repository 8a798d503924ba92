import { setTimeout as delay } from 'node:timers/promises';
import {
  cattery,
  catteryTcp,
  type Contestant,
  goPlainRequest,
  goPooled,
  goRequest,
  goTcp,
  rathole,
  tunnelFlags,
} from './contestants.ts';
import { PeerProcess } from './peer-process.ts';
import { processUsage } from './process-usage.ts';
import type { Rig } from './rig.ts';
import type { Setting } from './setting.ts';

export type Measurement = {
  readonly metric: string;
  readonly unit: string;
  readonly value: number;
  /** A difference, say: its ratio means nothing. */
  readonly isCompared: boolean;
};

export type Entry = {
  readonly contestant: Contestant;
  /** The Go relay to compare with. */ readonly to: Contestant;
};

/** One of the works that docs/tunnel.md puts on every tunnel. */
export type Work = {
  readonly id: string;
  readonly title: string;
  /** How much of it, and what was scaled down. */
  readonly scale: string;
  readonly entries: readonly Entry[];
  /** Between agent and server, ms; default 0. */
  readonly roundTripMs?: number;
} & (
  | {
      /** On a rig that stands for all rounds. */ readonly measure: (
        rig: Rig,
        contestant: Contestant,
      ) => Promise<readonly Measurement[]>;
    }
  | {
      /** Each time from the start. */ readonly measureAnew: (
        contestant: Contestant,
        setting: Setting,
      ) => Promise<readonly Measurement[]>;
    }
);

const MiB = 1024 * 1024;
const GB = 1e9;

const comparedTo = (to: Contestant, ...contestants: readonly Contestant[]): Entry[] =>
  [to, ...contestants].map((contestant) => ({ contestant, to }));

const throughTcp = comparedTo(goTcp, catteryTcp, rathole);
const throughHttps = comparedTo(goRequest, cattery);
const isHttps = (contestant: Contestant) => throughTcp.every((entry) => entry.contestant !== contestant);
const bulkBytes = (contestant: Contestant) => (isHttps(contestant) ? 256 : 512) * MiB;

const of = (metric: string, unit: string, value: number): Measurement => ({
  metric,
  unit,
  value,
  isCompared: true,
});

const bulkScale = '512 MiB each way instead of 4 GB (HTTPS: 256 MiB)';

export const works: readonly Work[] = [
  {
    id: 'W1',
    title: 'one stream down and up',
    scale: bulkScale,
    entries: [...throughTcp, ...throughHttps],
    async measure(rig, contestant) {
      const measurements: Measurement[] = [];
      for (const direction of ['down', 'up']) {
        const { cpuSeconds, bytes, seconds } = await rig.load({
          work: 'bulk',
          direction,
          bytes: bulkBytes(contestant),
          http2: isHttps(contestant),
        });
        measurements.push(
          of(`server CPU ${direction}`, 's/GB', (cpuSeconds / bytes) * GB),
          of(`throughput ${direction}`, 'MB/s', bytes / 1e6 / seconds),
        );
      }
      return measurements;
    },
  },
  {
    id: 'W1',
    title: 'one stream down, 50 ms away',
    scale: '16 MiB, with a relay that holds every byte back for 25 ms on the tunnel leg',
    entries: [...comparedTo(goTcp, catteryTcp), ...throughHttps],
    roundTripMs: 50,
    async measure(rig, contestant) {
      const { bytes, seconds } = await rig.load({
        work: 'bulk',
        bytes: 16 * MiB,
        http2: isHttps(contestant),
      });
      return [of('throughput down, 50 ms away', 'MB/s', bytes / 1e6 / seconds)];
    },
  },
  {
    id: 'W2',
    title: '100 streams at once, down',
    scale: '512 MiB in all (HTTPS: 256 MiB, 100 users with a connection each)',
    entries: [...throughTcp, ...throughHttps],
    async measure(rig, contestant) {
      const { cpuSeconds, bytes, fairness } = await rig.load({
        work: 'bulk',
        streams: 100,
        bytes: Math.round(bulkBytes(contestant) / 100),
        http2: isHttps(contestant),
      });
      return [
        of('server CPU', 's/GB', (cpuSeconds / bytes) * GB),
        of("fairness (Jain's index when the first is done)", 'of 1', fairness),
        of('server RSS afterwards', 'MiB', (await rig.rssBytes()) / MiB),
      ];
    },
  },
  {
    id: 'W3',
    title: '1-byte echo beside one stream down',
    scale: 'an echo 2 ms after the last, while W1 runs',
    entries: [...throughTcp, ...throughHttps],
    async measure(rig, contestant) {
      const { p50, p99 } = await rig.load({
        work: 'bulk',
        bytes: 2 * bulkBytes(contestant),
        beside: '2ms',
        message: 1,
        http2: isHttps(contestant),
      });
      return [of('echo p50', 'ms', p50), of('echo p99', 'ms', p99)];
    },
  },
  {
    id: 'W4',
    title: 'one stalled reader beside 50 live streams',
    scale: 'each live stream echoes 1 KiB every 50 ms, for 1.5 s without and 1.5 s with the stalled reader',
    entries: [...throughTcp, ...throughHttps],
    async measure(rig, contestant) {
      const { p99, p99Alone } = await rig.load({
        work: 'stalled',
        streams: 50,
        length: '1500ms',
        beside: '50ms',
        http2: isHttps(contestant),
      });
      return [
        of('p99 without', 'ms', p99Alone),
        of('p99 with', 'ms', p99),
        { ...of('p99 moved by', 'ms', p99 - p99Alone), isCompared: false },
      ];
    },
  },
  {
    id: 'W5',
    title: '1 KiB there and back',
    scale: 'for 1 s each: 16 users who connect for each message; 64 kept connections',
    entries: [...throughTcp, ...comparedTo(goRequest, goPlainRequest, goPooled, cattery)],
    async measure(rig, contestant) {
      const measurements: Measurement[] = [];
      const repeat = async (what: string, flags: Parameters<Rig['load']>[0]) => {
        const { cpuSeconds, count, seconds } = await rig.load({ ...flags, length: '1s' });
        measurements.push(
          of(`server CPU, ${what}`, 'ms/message', (cpuSeconds / count) * 1000),
          of(`rate, ${what}`, '/s', count / seconds),
        );
      };
      await repeat('connect–1 KiB–close', { work: 'connect', streams: 16 });
      if (isHttps(contestant)) {
        await repeat('requests, HTTP/1.1', { work: 'exchange', streams: 64 });
        await repeat('requests, HTTP/2', { work: 'exchange', streams: 64, http2: true });
      } else {
        await repeat('messages', { work: 'exchange', streams: 64 });
      }
      return measurements;
    },
  },
  {
    id: 'W6',
    title: 'idle agents that ping every 100 ms',
    scale: '2,000 agents, watched for 5 s',
    entries: comparedTo(goTcp, cattery),
    measureAnew: idleAgents,
  },
  {
    id: 'W9',
    title: 'WebSocket echo',
    scale: '16 WebSockets, 1 KiB, for 1.5 s; HTTPS: as `kubectl exec`',
    entries: [...throughTcp, ...comparedTo(goPlainRequest, cattery)],
    async measure(rig) {
      const { cpuSeconds, count, p50, p99 } = await rig.load({
        work: 'socket',
        streams: 16,
        length: '1500ms',
      });
      return [
        of('server CPU', 'ms/message', (cpuSeconds / count) * 1000),
        of('echo p50', 'ms', p50),
        of('echo p99', 'ms', p99),
      ];
    },
  },
  {
    id: 'W10',
    title: 'half-close: 64 KiB up, the end, then the answer',
    scale: '16 users, for 1.5 s, a connection each time; HTTPS: the end of the request body',
    entries: [...throughTcp, ...throughHttps],
    async measure(rig, contestant) {
      const { cpuSeconds, count, p99 } = await rig.load({
        work: 'half-close',
        streams: 16,
        bytes: 64 * 1024,
        length: '1500ms',
        http2: isHttps(contestant),
      });
      return [of('server CPU', 'ms/exchange', (cpuSeconds / count) * 1000), of('p99', 'ms', p99)];
    },
  },
];

async function idleAgents(contestant: Contestant, setting: Setting): Promise<readonly Measurement[]> {
  const count = 2_000;
  const watchedMs = 5_000;
  if (!contestant.startServer) throw new Error(`${contestant.name} takes no agents in numbers`);
  const { server, tunnel } = await contestant.startServer(setting);
  const before = await processUsage(server.pid);
  const agents = new PeerProcess(setting.peers, [
    'agents',
    `-count=${count}`,
    ...tunnelFlags(setting, tunnel),
  ]);
  try {
    await server.event('agent', (event) => event.count === count);
    await agents.event('connected');
    // Handshakes leave garbage, and the first pings are answered late.
    await delay(3_000);
    const begin = await processUsage(server.pid);
    const from = performance.now();
    await delay(watchedMs);
    const end = await processUsage(server.pid);
    const seconds = (performance.now() - from) / 1000;
    return [
      of('server CPU', 'µs/s per agent', ((end.cpuSeconds - begin.cpuSeconds) / seconds / count) * 1e6),
      of('server RSS', 'KiB per agent', (end.rssBytes - before.rssBytes) / 1024 / count),
      of('server CPU of a handshake', 'ms', ((begin.cpuSeconds - before.cpuSeconds) / count) * 1000),
    ];
  } finally {
    await agents.stop();
    await server.stop();
  }
}
