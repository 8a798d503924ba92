import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import * as z from 'zod';
import type { PeerProcess } from './peer-process.ts';
import { processUsage } from './process-usage.ts';
import type { Setting } from './setting.ts';

const outcome = z.strictObject({
  seconds: z.number(),
  bytes: z.number().default(0),
  count: z.number().default(0),
  fairness: z.number().default(0),
  p50: z.number().default(0),
  p99: z.number().default(0),
  p99Alone: z.number().default(0),
});

/** What a load of bench/peers measured (times in ms), and what the server used for it. */
export type Outcome = z.infer<typeof outcome> & { readonly cpuSeconds: number };

export type LoadFlags = Readonly<Record<string, string | number | boolean>>;

/** A contestant at work: its server, its agent and the way to them. */
export type Rig = {
  readonly serverPid: number;
  /** Runs one load to its end; rejects unless every byte came as it was sent. */
  load(flags: LoadFlags): Promise<Outcome>;
  rssBytes(): Promise<number>;
  close(): Promise<void>;
};

type Route = {
  /** Started in this order, stopped in the reverse one; the first is the server, whose use is measured. */
  readonly processes: readonly [PeerProcess, ...PeerProcess[]];
  /** Flags that name the target. */
  readonly target: LoadFlags;
};

const run = promisify(execFile);
const longestLoadMs = 110_000;

export function rigOf(setting: Setting, { processes, target }: Route): Rig {
  const serverPid = processes[0].pid;
  return {
    serverPid,
    async load(flags) {
      const given = Object.entries({ ...target, ...flags }).map(([name, value]) => `-${name}=${value}`);
      const before = await processUsage(serverPid);
      const { stdout } = await run(setting.peers, ['load', ...given], { timeout: longestLoadMs });
      const after = await processUsage(serverPid);
      return { ...outcome.parse(JSON.parse(stdout)), cpuSeconds: after.cpuSeconds - before.cpuSeconds };
    },
    rssBytes: async () => (await processUsage(serverPid)).rssBytes,
    close: async () => {
      for (const process of [...processes].reverse()) await process.stop();
    },
  };
}
