import { duplexPair } from 'node:stream';
import type { YamuxErrorCode } from '../../../../tunnel-fargate/yamux/error.ts';
import { YamuxSession } from '../../../../tunnel-fargate/yamux/session.ts';
import type { YamuxStream } from '../../../../tunnel-fargate/yamux/stream.ts';
import { BoundedBudget } from '../../../../tunnel-fargate/yamux/window-budget.ts';
import { ACK, DATA, FIN, GOAWAY, PING, raw, RST, SYN, UPDATE } from '../raw-peer.ts';
import { Random, turns } from './random.ts';

const LIMIT = 2_097_152;

/** What bytes from outside may end a session with. */
const endings = new Set<YamuxErrorCode | undefined>([
  'BAD_VERSION',
  'BAD_TYPE',
  'BAD_STREAM_ID',
  'DUPLICATE_STREAM',
  'RECV_WINDOW_EXCEEDED',
  'WINDOW_OVERFLOW',
  'UNEXPECTED_FIN',
  'PING_FLOOD',
  'REMOTE_GOAWAY',
  'TRANSPORT_CLOSED',
  'TRUNCATED_FRAME',
]);

function frame(random: Random): Buffer {
  const id = random.oneIn(8) ? random.below(12) : 1 + 2 * random.below(8);
  const word = () => random.pick([0, 1, random.below(5_000), 262_144, 2 ** 31, 2 ** 32 - 1]);
  const payload = Buffer.alloc(random.size(random.oneIn(10) ? 262_145 : 4_000), id);
  const data = (flags: number) => raw(DATA, flags, id, payload.length, payload);
  return random.pick([
    () => raw(UPDATE, SYN, id, 0),
    () => data(SYN),
    () => data(0),
    () => data(0),
    () => data(random.oneIn(2) ? FIN : ACK),
    () => raw(UPDATE, 0, id, random.below(100_000)),
    () => raw(UPDATE, random.pick([FIN, RST, ACK, SYN | FIN]), id, 0),
    () => raw(PING, random.pick([SYN, ACK]), 0, word()),
    () => (random.oneIn(10) ? raw(GOAWAY, 0, 0, random.below(4)) : raw(UPDATE, random.below(16), id, word())),
  ])();
}

/** A sequence of frames that a peer could send, most of them in its rights, with bytes changed, lost, doubled or added. */
export function mutatedBytes(seed: number): Buffer {
  const random = new Random(seed);
  let bytes = Buffer.concat(Array.from({ length: 1 + random.below(30) }, () => frame(random)));
  for (let left = random.below(6); left > 0 && bytes.length > 0; left -= 1) {
    const at = random.below(bytes.length);
    const to = Math.min(bytes.length, at + 1 + random.below(random.pick([4, 30, 3_000])));
    bytes = random.pick([
      () => {
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
        return bytes;
      },
      () => bytes.fill(random.below(256), at, to),
      () => Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]),
      () => Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]),
      () => Buffer.concat([bytes.subarray(0, at), frame(random), bytes.subarray(at)]),
      () => bytes.subarray(0, to),
    ])();
  }
  return bytes;
}

/**
 * Feeds bytes to a session, cut as the seed will have it. Returns what went wrong: an end without a known code, a stream
 * or a budget that holds more than it may, memory that does not come back.
 */
export async function fuzzBytes(seed: number, bytes = mutatedBytes(seed)): Promise<string[]> {
  const random = new Random(seed + 1);
  const faults: string[] = [];
  const budget = new BoundedBudget({ limit: LIMIT });
  const [ours, theirs] = duplexPair();
  const session = new YamuxSession(ours, {
    role: 'server',
    maxWindow: 1_048_576,
    windowBudget: budget,
    pongDelayMs: random.pick([0, 1]),
  });
  const streams: YamuxStream[] = [];
  const ends: (YamuxErrorCode | undefined)[] = [];
  session.on('close', (reason) => {
    ends.push(reason?.code);
    if (!endings.has(reason?.code)) faults.push(`the session ended with ${reason?.code}`);
  });
  const use = (stream: YamuxStream) => {
    streams.push(stream.on('error', () => undefined));
    random.pick<() => unknown>([
      () => undefined,
      () => void stream.resume(),
      () => void stream.pipe(stream),
      () => void stream.end('bye'),
      () => stream.reset(),
    ])();
  };
  session.on('stream', use);
  use(session.open());
  use(session.open());
  theirs.on('error', () => undefined).resume();
  for (let at = 0; at < bytes.length;) {
    const size = 1 + random.size(100_000);
    theirs.write(bytes.subarray(at, at + size));
    at += size;
    if (random.oneIn(2)) await turns(1);
    const unread = streams.reduce((sum, stream) => sum + (stream.destroyed ? 0 : stream.readableLength), 0);
    if (unread > budget.inUse) faults.push(`${unread} bytes unread, ${budget.inUse} paid for`);
    if (budget.inUse > LIMIT) faults.push(`${budget.inUse} bytes promised of ${LIMIT}`);
  }
  theirs.end();
  for (let turn = 0; ends.length === 0 && turn < 10_000; turn += 1) await turns(1);
  if (ends.length !== 1) faults.push(`the session ended ${ends.length} times`);
  session.destroy();
  for (const stream of streams) stream.destroy();
  if (budget.inUse !== 0) faults.push(`${budget.inUse} bytes of the budget did not come back`);
  return faults;
}
