import { ACK, DATA, FIN, RST, SYN, UPDATE } from '../raw-peer.ts';

const WINDOW = 262_144;

type Way = { sent: number; granted: number; flags: number };
type Seen = [Way, Way];

const way = (): Way => ({ sent: 0, granted: 0, flags: 0 });

/**
 * Reads what two sessions write to each other, with no code of theirs, and notes every breach of the spec. Side 0 is the
 * client.
 */
export class WireWatch {
  readonly faults: string[] = [];
  readonly #streams = new Map<number, Seen>();
  readonly #rest: [Buffer, Buffer] = [Buffer.alloc(0), Buffer.alloc(0)];
  readonly #payloadLeft: [number, number] = [0, 0];

  write(side: 0 | 1, bytes: Buffer): void {
    let rest = this.#rest[side].length > 0 ? Buffer.concat([this.#rest[side], bytes]) : bytes;
    for (;;) {
      const skipped = Math.min(this.#payloadLeft[side], rest.length);
      this.#payloadLeft[side] -= skipped;
      rest = rest.subarray(skipped);
      if (rest.length < 12) break;
      const header = rest.subarray(0, 12);
      rest = rest.subarray(12);
      if (header[0] !== 0) this.faults.push(`side ${side} writes version ${header[0]}`);
      if (header[1] === DATA) this.#payloadLeft[side] = header.readUInt32BE(8);
      if (header[1] === DATA || header[1] === UPDATE) this.#stream(side, header);
    }
    this.#rest[side] = Buffer.from(rest);
  }

  #stream(side: 0 | 1, header: Buffer): void {
    const type = header[1];
    const flags = header.readUInt16BE(2);
    const id = header.readUInt32BE(4);
    const length = header.readUInt32BE(8);
    const seen: Seen = this.#streams.get(id) ?? [way(), way()];
    this.#streams.set(id, seen);
    const ours = seen[side];
    const theirs = seen[side === 0 ? 1 : 0];
    const fault = (what: string) => void this.faults.push(`side ${side}, stream ${id}: ${what}`);
    if (id === 0) fault('the id of the session');
    const opens = id % 2 === (side === 0 ? 1 : 0);
    if (opens && ((ours.flags | flags) & SYN) === 0) fault('a frame before SYN');
    if (opens ? (flags & ACK) !== 0 : (flags & SYN) !== 0) fault('SYN or ACK of the wrong side');
    if ((ours.flags & flags) !== 0) fault(`flags ${flags} for the second time`);
    if ((ours.flags & RST) !== 0) fault('a frame after RST');
    if (type === DATA) {
      if (((ours.flags | (flags & ~FIN)) & FIN) !== 0) fault('data after FIN');
      if (!opens && (ours.flags & ACK) === 0) fault('data before ACK');
      ours.sent += length;
      if (ours.sent > WINDOW + theirs.granted) fault(`${ours.sent} bytes, ${theirs.granted} granted`);
    } else {
      ours.granted += length;
      if ((flags & FIN) !== 0 && length > 0) fault('credit with FIN');
    }
    ours.flags |= flags;
  }
}
