import type { YamuxError } from '../../../../tunnel-fargate/yamux/error.ts';
import { YamuxSession } from '../../../../tunnel-fargate/yamux/session.ts';
import type { YamuxStream } from '../../../../tunnel-fargate/yamux/stream.ts';
import { BoundedBudget } from '../../../../tunnel-fargate/yamux/window-budget.ts';
import { link } from './link.ts';
import { Random, turns } from './random.ts';
import { WireWatch } from './wire-watch.ts';

const PAGE = 65_536;
const MIB = 1_048_576;

/** Two equal pages of bytes: any 64 KiB of the endless repetition of one lie here in a row. */
const page = (() => {
  const random = new Random(1);
  const one = Buffer.from(Array.from({ length: PAGE }, () => random.below(256)));
  return Buffer.concat([one, one]);
})();

/** What one side does with its half of a stream. */
type Plan = {
  /** Bytes to write before FIN. */
  readonly bytes: number;
  readonly write: 'whole' | 'pieces' | 'corked' | 'held';
  readonly read: 'flowing' | 'halting' | 'exact';
  /** Bytes to read before the stream is given up, and how. */
  readonly quitAt: number;
  readonly quit: 'never' | 'reset' | 'error' | 'destroy';
};

function planOf(random: Random): Plan {
  return {
    bytes: random.size(random.oneIn(4) ? 2 * MIB : 100_000),
    write: random.pick(['whole', 'pieces', 'corked', 'held']),
    read: random.pick(['flowing', 'halting', 'exact']),
    quitAt: random.size(200_000),
    quit: random.oneIn(4) ? random.pick(['reset', 'error', 'destroy']) : 'never',
  };
}

const endings = new Set(['STREAM_RESET', 'SESSION_CLOSED']);
const sessionEndings = new Set([undefined, 'TRANSPORT_CLOSED', 'TRUNCATED_FRAME']);

/** Bytes `from` … of what a side writes on a stream; each stream and side has its own sequence. */
function content(id: number, side: number, from: number, bytes: number): Buffer {
  const at = (id * 7919 + side * 31 + from) % PAGE;
  return page.subarray(at, at + Math.min(bytes, PAGE));
}

/**
 * Two sessions of ours over a link that chops and delays, with streams that write, read, halt and give up as the seed
 * will have it. Returns what went wrong: bytes that are not those sent, a stream that never ends, a breach of the spec
 * on the wire, memory that does not come back.
 */
export async function fuzzSessions(seed: number): Promise<string[]> {
  const random = new Random(seed);
  const watch = new WireWatch();
  const faults = watch.faults;
  const transports = link(random, (side, bytes) => watch.write(side, bytes));
  const budgets = transports.map(() => new BoundedBudget({ limit: random.pick([1, 3, 20, 200]) * MIB }));
  let time = 0;
  const plans = new Map<number, [Plan, Plan]>();
  const live = new Set<YamuxStream>();
  const sides = transports.map((transport, side) => {
    const windowBudget = budgets[side];
    if (windowBudget === undefined) throw new Error('no budget');
    const session = new YamuxSession(transport, {
      role: side === 0 ? 'client' : 'server',
      maxWindow: random.pick([1, 4, 16]) * MIB,
      maxStreams: random.pick([3, 4096]),
      windowBudget,
      now: () => (time += random.below(100) / 1000),
    });
    session.on('stream', (stream) => use(stream, side));
    session.on('close', (reason) => {
      if (!sessionEndings.has(reason?.code)) faults.push(`session ${side} ended: ${reason?.code}`);
    });
    return session;
  });

  function use(stream: YamuxStream, side: number): void {
    live.add(stream);
    const both = plans.get(stream.id) ?? [planOf(random), planOf(random)];
    plans.set(stream.id, both);
    const [mine, other] = side === 0 ? both : [both[1], both[0]];
    let given = false;
    stream.on('close', () => live.delete(stream));
    stream.on('error', (error: Error & { code?: string }) => {
      if (!given && !endings.has(error.code ?? '')) faults.push(`stream ${stream.id}: ${error.message}`);
    });
    let received = 0;
    const quit = () => {
      if (given || mine.quit === 'never' || received < mine.quitAt) return;
      given = true;
      // After our FIN destroy() would wait 5 s for the peer's, which is longer than a run.
      if (mine.quit === 'reset' || stream.writableEnded) stream.reset();
      else stream.destroy(mine.quit === 'error' ? new Error('enough') : undefined);
    };
    const take = (chunk: Buffer) => {
      for (let at = 0; at < chunk.length; at += PAGE) {
        const expected = content(stream.id, 1 - side, received + at, chunk.length - at);
        if (!chunk.subarray(at, at + PAGE).equals(expected)) {
          faults.push(`stream ${stream.id}: other bytes than those sent, after ${received + at}`);
        }
      }
      received += chunk.length;
      quit();
    };
    stream.on('end', () => {
      if (received !== other.bytes)
        faults.push(`stream ${stream.id}: ended after ${received} of ${other.bytes}`);
    });
    read(stream, mine, take);
    void write(stream, mine, side).then(quit);
  }

  function read(stream: YamuxStream, plan: Plan, take: (chunk: Buffer) => void): void {
    if (plan.read === 'exact') {
      const size = 1 + random.below(3_000);
      stream.on('readable', () => {
        for (;;) {
          const chunk: unknown = stream.read(Math.min(size, Math.max(1, stream.readableLength)));
          if (!(chunk instanceof Uint8Array)) return;
          take(Buffer.from(chunk));
        }
      });
      return;
    }
    stream.on('data', (chunk: Buffer) => {
      take(chunk);
      if (plan.read !== 'halting' || !random.oneIn(3)) return;
      stream.pause();
      void turns(random.below(30)).then(() => stream.resume());
    });
  }

  async function write(stream: YamuxStream, plan: Plan, side: number): Promise<void> {
    if (plan.write === 'held') stream.hold();
    for (let at = 0; at < plan.bytes && !stream.destroyed;) {
      if (plan.write === 'corked') stream.cork();
      const bytes = content(stream.id, side, at, Math.min(plan.bytes - at, 1 + random.size(PAGE)));
      at += bytes.length;
      const wantsMore = stream.write(bytes);
      if (plan.write === 'corked' && random.oneIn(2)) while (stream.writableCorked > 0) stream.uncork();
      if (plan.write === 'held' && random.oneIn(3)) stream.release();
      if (!wantsMore || plan.write === 'pieces') await turns(1);
    }
    while (stream.writableCorked > 0) stream.uncork();
    stream.end();
  }

  const count = 1 + random.below(12);
  for (let index = 0; index < count; index += 1) {
    const side = random.below(2);
    try {
      const stream = sides[side]?.open();
      if (stream !== undefined) use(stream, side);
    } catch (error) {
      const { code } = error as YamuxError;
      if (code !== 'STREAM_LIMIT' && code !== 'SESSION_CLOSED') faults.push(`open() threw ${code}`);
    }
    if (random.oneIn(5)) void sides[random.below(2)]?.ping().catch(() => undefined);
    if (random.oneIn(3)) await turns(random.below(10));
    if (random.oneIn(60)) transports[random.below(2)]?.destroy();
  }
  for (let turn = 0; live.size > 0; turn += 1) {
    await turns(1);
    if (turn < 200_000) continue;
    faults.push(`${live.size} streams never ended`);
    break;
  }
  await Promise.all(sides.map((session) => session.close()));
  budgets.forEach((budget, side) => {
    if (budget.inUse !== 0) faults.push(`side ${side} keeps ${budget.inUse} bytes of its budget`);
  });
  return faults;
}
