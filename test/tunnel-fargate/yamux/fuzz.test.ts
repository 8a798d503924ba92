import { describe, expect, test } from '@jest/globals';
import { fuzzOnce } from './fuzz/fuzz.ts';
import { WireWatch } from './fuzz/wire-watch.ts';
import { ACK, DATA, FIN, raw, RST, SYN, UPDATE } from './raw-peer.ts';

const WINDOW = 262_144;

describe('fuzz', () => {
  test('finds nothing in 40 random pairs of sessions and 800 mutated byte streams', async () => {
    for (let seed = 1; seed <= 40; seed += 1) expect(await fuzzOnce(seed)).toBeUndefined();
  });
});

describe('the watch on the wire', () => {
  test.each([
    ['data beyond the window', [raw(UPDATE, SYN, 1, 0), raw(DATA, 0, 1, WINDOW + 1)]],
    ['a second FIN', [raw(UPDATE, SYN | FIN, 1, 0), raw(UPDATE, FIN, 1, 0)]],
    ['a second SYN', [raw(UPDATE, SYN, 1, 0), raw(UPDATE, SYN, 1, 0)]],
    ['SYN for an id of the other side', [raw(UPDATE, SYN, 2, 0)]],
    ['an id that was never opened', [raw(UPDATE, 0, 1, 5)]],
    ['data before the ACK of a stream it accepts', [raw(DATA, 0, 2, 0)]],
    ['data after its FIN', [raw(UPDATE, SYN | FIN, 1, 0), raw(DATA, 0, 1, 0)]],
    ['anything after its RST', [raw(UPDATE, SYN, 1, 0), raw(UPDATE, RST, 1, 0), raw(UPDATE, 0, 1, 5)]],
  ])('notes %s', (_what, frames) => {
    const watch = new WireWatch();
    for (const bytes of frames) watch.write(0, bytes);
    expect(watch.faults).toHaveLength(1);
  });

  test('notes nothing where data keeps to the credit that was given, however it is cut', () => {
    const watch = new WireWatch();
    watch.write(0, raw(UPDATE, SYN, 1, 0));
    watch.write(1, raw(UPDATE, ACK, 1, 1000));
    const bytes = Buffer.concat([
      raw(DATA, 0, 1, WINDOW, Buffer.alloc(WINDOW, 0xff)),
      raw(DATA, FIN, 1, 1000, Buffer.alloc(1000, 0xff)),
    ]);
    for (let at = 0; at < bytes.length; at += 7_919) watch.write(0, bytes.subarray(at, at + 7_919));
    expect(watch.faults).toEqual([]);
    watch.write(0, raw(UPDATE, FIN, 1, 0));
    expect(watch.faults).toHaveLength(1);
  });
});
