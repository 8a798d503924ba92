import { once } from 'node:events';
import { Duplex, duplexPair } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { join } from '../../../tunnel-fargate/access/joined-streams.ts';
import { Traffic } from '../../../tunnel-fargate/access/traffic.ts';

function joined(timing = { lingerMs: 10_000, stalledMs: 10_000 }) {
  const [client, ours] = duplexPair();
  const [theirs, cluster] = duplexPair();
  const traffic = new Traffic();
  return { client, ours, theirs, cluster, traffic, ...join(ours, theirs, traffic, timing) };
}

describe('two joined streams', () => {
  test('carry bytes both ways and count them', async () => {
    const { client, cluster, traffic } = joined();
    client.write('there');
    expect(String((await once(cluster, 'data'))[0])).toBe('there');
    cluster.write('and back');
    expect(String((await once(client, 'data'))[0])).toBe('and back');
    expect([traffic.received, traffic.sent]).toEqual([5, 8]);
  });

  test('end when one side ends, the last bytes delivered', async () => {
    const { client, cluster, done } = joined();
    cluster.end('last words');
    const chunks: Buffer[] = [];
    for await (const chunk of client) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toBe('last words');
    client.end();
    cluster.resume();
    await done;
  });

  test('are cut when the other side does not end within its time', async () => {
    const { ours, theirs, client, done } = joined({ lingerMs: 20, stalledMs: 10_000 });
    client.end();
    await done;
    expect([ours.destroyed, theirs.destroyed]).toEqual([true, true]);
  });

  test.each(['ours', 'theirs'] as const)('break off together: %s', async (first) => {
    const pair = joined();
    pair[first].destroy(new Error('broken'));
    await pair.done;
    expect([pair.ours.destroyed, pair.theirs.destroyed]).toEqual([true, true]);
  });

  test('one of which is gone already are over at once', async () => {
    const [ours, theirs] = [duplexPair()[0], duplexPair()[0]];
    theirs.destroy();
    await once(theirs, 'close');
    await join(ours, theirs, new Traffic()).done;
    expect(ours.destroyed).toBe(true);
  });

  test('are cut when the cluster takes nothing for too long, and not while it takes little', async () => {
    const { client, cluster, ours, done } = joined({ lingerMs: 10_000, stalledMs: 150 });
    const send = () => {
      while (!ours.destroyed && client.write(Buffer.alloc(16_384)));
    };
    client.on('drain', send).on('error', () => undefined);
    send();
    const startedAt = Date.now();
    const reading = setInterval(() => void cluster.read(), 20);
    while (Date.now() - startedAt < 400) await new Promise((resolve) => setImmediate(resolve));
    expect(ours.destroyed).toBe(false);
    clearInterval(reading);
    await done;
    expect(ours.destroyed).toBe(true);
  });

  test('that are silent go on', async () => {
    const { client, cluster, ours } = joined({ lingerMs: 10, stalledMs: 10 });
    const startedAt = Date.now();
    while (Date.now() - startedAt < 100) await new Promise((resolve) => setImmediate(resolve));
    expect(ours.destroyed).toBe(false);
    client.write('still here');
    expect(String((await once(cluster, 'data'))[0])).toBe('still here');
  });

  test('end in order when they are finished', async () => {
    const { client, cluster, finish, done } = joined();
    const ends = [client, cluster].map((side: Duplex) => once(side.resume(), 'end'));
    finish();
    await Promise.all(ends);
    client.end();
    cluster.end();
    await done;
  });
});
