import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JSONWebKeySet } from 'jose';
import { bundleClient } from '../../../admission-webhook/knowledge/bundle-client.ts';
import { BundleKeeper, type PollOutcome } from '../../../admission-webhook/knowledge/bundle-keeper.ts';
import { BundleStore } from '../../../admission-webhook/knowledge/bundle-store.ts';
import type { Verdict } from '../../../core/image/image-schema.ts';
import { eventually } from '../../stack/poll.ts';
import { apiKey, ControlPlane, digestOf, scanned, tenantId } from '../control-plane.ts';

const hour = 3_600_000;
let now: number;
let directory: string;
let plane: ControlPlane;
let polls: PollOutcome[];
let logged: string[];
const signal = new AbortController().signal;

beforeEach(async () => {
  now = Date.parse('2026-11-23T12:00:00Z');
  directory = await mkdtemp(path.join(tmpdir(), 'cattery-bundle-'));
  plane = await ControlPlane.start();
  plane.now = () => now;
  polls = [];
  logged = [];
});
afterEach(async () => {
  await plane.stop();
  await rm(directory, { recursive: true, force: true });
});

const log = (fields: object) => logged.push((fields as { event: string }).event);
const keeper = (store = new BundleStore(directory)) =>
  new BundleKeeper({
    ask: bundleClient({ apiUrl: plane.url, readKey: () => Promise.resolve(apiKey) }),
    store,
    origin: () => Promise.resolve({ keys: plane.keys as JSONWebKeySet, issuer: plane.url, tenantId }),
    onPoll: (outcome) => polls.push(outcome),
    logger: { info: log, warn: log, error: log },
    now: () => now,
    random: () => 0.5,
  });
const loaded = async (store?: BundleStore) => {
  const made = keeper(store);
  await made.load();
  return made;
};
const verdictOf = (its: BundleKeeper, name: string): Verdict | undefined =>
  its.knowledge?.images.named(`registry.example/${name}:1`, now)[0]?.verdict;

describe('the keeper of the bundle', () => {
  test('knows nothing at first, then all of the bundle, however many parts it has', async () => {
    plane.partSize = 3;
    for (let n = 0; n < 10; n++) plane.scan(scanned(`app-${n}`, n % 2 ? 'fail' : 'pass'));
    const its = await loaded();
    expect([its.knowledge, its.ageMs]).toEqual([undefined, Infinity]);
    expect(await its.poll(signal)).toBe('taken');
    expect(its.knowledge?.images.size).toBe(10);
    expect([verdictOf(its, 'app-3'), verdictOf(its, 'app-4'), verdictOf(its, 'none')]).toEqual([
      ...['fail', 'pass', undefined],
    ]);
    expect(plane.asked.map(({ since, cursor }) => [since, cursor])).toEqual([
      ...[[undefined, undefined], ...[1, 2, 3].map((part) => [undefined, `10.${part}`])],
    ]);
  });

  test('asks for what has changed since, and by the tag of what it has, so that nothing new costs nothing', async () => {
    plane.scan(scanned('shop', 'pass'), scanned('old', 'pass'));
    const its = await loaded();
    await its.poll(signal);
    now += 30_000;
    expect(await its.poll(signal)).toBe('unchanged');
    expect(its.ageMs).toBe(0);
    plane.scan(scanned('shop', 'fail'));
    plane.forget(digestOf('old'));
    expect(await its.poll(signal)).toBe('taken');
    expect([verdictOf(its, 'shop'), verdictOf(its, 'old'), its.knowledge?.images.size]).toEqual([
      ...['fail', undefined, 1],
    ]);
    expect(plane.asked.map(({ since }) => since)).toEqual([undefined, '2', '2']);
    expect(plane.asked[1]?.etag).toMatch(/^"2-/);
    expect(polls).toEqual(['taken', 'unchanged', 'taken']);
  });

  test('takes rules and policy of the newest bundle, a delta without images too', async () => {
    const its = await loaded();
    await its.poll(signal);
    expect(its.knowledge?.settings('registry.example/a').mode).toBe('enforce');
    expect(its.knowledge?.asksNamespaces).toBe(false);
    plane.rules = {
      mode: 'enforce',
      unscanned: 'warn',
      overrides: [{ repositories: ['registry.example/b'], mode: 'audit' }],
    };
    const rule = { action: 'Allow' as const };
    plane.policy = {
      ...plane.policy,
      policies: [{ name: 'p', selector: 'all()', namespaceSelector: "a == 'b'", rules: [rule] }],
    };
    await its.poll(signal);
    expect(its.knowledge?.settings('registry.example/b')).toMatchObject({ mode: 'audit', unscanned: 'warn' });
    expect(its.knowledge?.asksNamespaces).toBe(true);
  });

  test('a new process knows what the one before knew, without a control plane, and how old that is', async () => {
    plane.partSize = 2;
    for (let n = 0; n < 5; n++) plane.scan(scanned(`app-${n}`, 'pass'));
    const first = await loaded();
    await first.poll(signal);
    plane.scan(scanned('app-1', 'fail'));
    plane.forget(digestOf('app-2'));
    await first.poll(signal);
    await plane.stop();

    now += 24 * hour;
    const second = await loaded();
    expect(second.knowledge?.images.size).toBe(4);
    expect([verdictOf(second, 'app-1'), verdictOf(second, 'app-2')]).toEqual(['fail', undefined]);
    expect(second.ageMs).toBe(24 * hour);
    expect(first.ageMs).toBe(24 * hour);
    // And goes on from there when it is back.
    await plane.listen();
    plane.asked.length = 0;
    expect(await second.poll(signal)).toBe('taken');
    expect([plane.asked[0]?.since, second.ageMs]).toEqual(['7', 0]);
  });

  test('remembers on disk that nothing was new, at least every five minutes', async () => {
    const first = await loaded();
    await first.poll(signal);
    for (let minute = 1; minute <= 12; minute++) {
      now += 60_000;
      await first.poll(signal);
    }
    expect((await loaded()).ageMs).toBeLessThanOrEqual(300_000);
  });

  test('does not live on unsigned words: from an hour on after a bundle the next is asked for without a tag', async () => {
    plane.scan(scanned('shop', 'pass'));
    const its = await loaded();
    await its.poll(signal);
    // Whoever stands between says for ever that nothing is new.
    plane.fault = (_asked, outgoing) => {
      outgoing.writeHead(304).end();
      return true;
    };
    now += hour - 1;
    expect(await its.poll(signal)).toBe('unchanged');
    now += 1;
    await expect(its.poll(signal)).rejects.toThrow('unchanged');
    now += 23 * hour;
    await expect(its.poll(signal)).rejects.toThrow('unchanged');
    expect(its.ageMs).toBe(23 * hour + 1);

    plane.fault = undefined;
    expect(await its.poll(signal)).toBe('taken');
    now += 30_000;
    expect(await its.poll(signal)).toBe('unchanged');
    expect(verdictOf(its, 'shop')).toBe('pass');
  });

  test('refuses a bundle that is older than what is known, and keeps what it has', async () => {
    plane.scan(scanned('shop', 'fail'));
    const its = await loaded();
    await its.poll(signal);
    // What was signed before the image failed is played back.
    plane.edit = (payload) => ({
      ...payload,
      kind: 'full',
      since: undefined,
      images: [],
      iat: payload.iat - 1,
    });
    plane.scan(scanned('new', 'pass'));
    await expect(its.poll(signal)).rejects.toThrow('older than what is known');
    expect(verdictOf(its, 'shop')).toBe('fail');
    expect(verdictOf(await loaded(), 'shop')).toBe('fail');
  });

  test.each<[string, (plane: ControlPlane) => void]>([
    [
      'is spoilt in the second part',
      (its) => (its.spoil = spoilt(2, (jws) => `${jws.slice(0, -9)}AAAAAAAAA`)),
    ],
    ['has parts of two states', (its) => (its.edit = edited(2, (part) => ({ ...part, asOf: 'another' })))],
    [
      'has parts under two policies',
      (its) => (its.edit = edited(2, (part) => ({ ...part, revisions: { rules: 2, admission: 1 } }))),
    ],
    ['leaves a part out', (its) => (its.edit = edited(2, (part) => ({ ...part, part: 2 })))],
    ['continues another one', (its) => (its.edit = (part) => ({ ...part, since: '0' }))],
  ])('takes nothing of a bundle that %s', async (_, spoil) => {
    plane.partSize = 2;
    plane.scan(scanned('shop', 'pass'));
    const its = await loaded();
    await its.poll(signal);
    for (let n = 0; n < 5; n++) plane.scan(scanned(n === 0 ? 'shop' : `app-${n}`, 'fail'));
    spoil(plane);
    await expect(its.poll(signal)).rejects.toMatchObject({ name: 'BundleRefused' });
    expect([verdictOf(its, 'shop'), its.knowledge?.images.size]).toEqual(['pass', 1]);
    plane.spoil = (jws) => jws;
    plane.edit = (part) => part;
    expect(await its.poll(signal)).toBe('taken');
    expect([verdictOf(its, 'shop'), its.knowledge?.images.size]).toEqual(['fail', 5]);
  });

  test('begins again when the control plane says that its state has changed between two parts', async () => {
    plane.partSize = 1;
    plane.scan(scanned('a', 'pass'), scanned('b', 'pass'));
    plane.fault = ({ cursor }, outgoing) => {
      if (cursor === undefined) return false;
      outgoing.writeHead(409).end('{"code":"CONFLICT"}');
      return true;
    };
    const its = await loaded();
    await expect(its.poll(signal)).rejects.toMatchObject({ name: 'BundleUnavailable', status: 409 });
    expect(its.knowledge).toBeUndefined();
    plane.fault = undefined;
    await its.poll(signal);
    expect(its.knowledge?.images.size).toBe(2);
    expect(await readdir(directory)).toHaveLength(3);
  });

  test('asks for all when the control plane knows nothing of the state that it continues from', async () => {
    plane.scan(scanned('shop', 'pass'));
    const its = await loaded();
    await its.poll(signal);
    // As after a restore from a backup.
    plane.scan(scanned('shop', 'fail'));
    plane.fault = ({ since }, outgoing) => {
      if (since !== undefined) outgoing.writeHead(400).end('{"code":"INVALID_CURSOR"}');
      return since !== undefined;
    };
    await expect(its.poll(signal)).rejects.toMatchObject({ status: 400 });
    expect(verdictOf(its, 'shop')).toBe('pass');
    expect(await its.poll(signal)).toBe('taken');
    expect(verdictOf(its, 'shop')).toBe('fail');
  });

  test('takes a whole bundle where it has asked for changes: what is not in it is known no more', async () => {
    plane.scan(scanned('shop', 'pass'), scanned('gone', 'pass'));
    const its = await loaded();
    await its.poll(signal);
    plane.scan(scanned('shop', 'fail'));
    plane.edit = ({ since: _, removed: __, ...payload }) => ({ ...payload, kind: 'full' });
    expect(await its.poll(signal)).toBe('taken');
    expect([verdictOf(its, 'shop'), verdictOf(its, 'gone')]).toEqual(['fail', undefined]);
    expect((await loaded()).knowledge?.images.size).toBe(1);
    expect(await readdir(directory)).toHaveLength(2);
  });

  test('of what is stored uses as much as can be verified', async () => {
    plane.scan(scanned('shop', 'pass'));
    const first = await loaded();
    await first.poll(signal);
    for (const verdict of ['warn', 'fail'] as const) {
      plane.scan(scanned('shop', verdict));
      await first.poll(signal);
    }
    const { bundles } = JSON.parse(await readFile(path.join(directory, 'bundle.json'), 'utf8')) as {
      bundles: { files: string[] }[];
    };
    const files = bundles.map(({ files: [file = ''] }) => path.join(directory, file));
    await writeFile(files[2] ?? '', 'half a fi');
    const second = await loaded();
    expect([verdictOf(second, 'shop'), logged]).toEqual([
      'warn',
      ['stored-bundle-unusable', 'bundle-loaded'],
    ]);
    plane.asked.length = 0;
    await second.poll(signal);
    // The tag was that of what is lost.
    expect(plane.asked).toMatchObject([{ since: '2', etag: undefined }]);
    expect(verdictOf(second, 'shop')).toBe('fail');
    expect(verdictOf(await loaded(), 'shop')).toBe('fail');

    await writeFile(files[0] ?? '', '');
    const third = await loaded();
    expect(third.knowledge).toBeUndefined();
    await third.poll(signal);
    expect(verdictOf(third, 'shop')).toBe('fail');
  });

  test('starts with nothing where the index cannot be read, and takes away parts that do not count, and no other file', async () => {
    await writeFile(path.join(directory, 'bundle.json'), '{"format":2}');
    for (const file of [`${'a'.repeat(16)}-0000.jws`, 'somebody-elses.jws'])
      await writeFile(path.join(directory, file), 'x');
    const its = await loaded();
    expect(its.knowledge).toBeUndefined();
    await its.poll(signal);
    expect((await readdir(directory)).sort()).toEqual([
      ...[expect.stringMatching(/^[0-9a-f]{16}-0000\.jws$/), 'bundle.json', 'somebody-elses.jws'],
    ]);
    expect(await readdir(directory)).not.toContain(`${'a'.repeat(16)}-0000.jws`);
  });

  test('goes on with what it gets when the disk is full, and stores the next whole bundle', async () => {
    plane.scan(scanned('shop', 'pass'));
    const store = new BundleStore(directory);
    const its = await loaded(store);
    await its.poll(signal);
    await rm(directory, { recursive: true });
    plane.scan(scanned('shop', 'fail'));
    expect(await its.poll(signal)).toBe('taken');
    expect([verdictOf(its, 'shop'), logged.includes('bundle-not-stored')]).toEqual(['fail', true]);
  });

  test('asks for a whole bundle anew when the deltas have outgrown it', async () => {
    const store = new BundleStore(directory);
    const its = await loaded(store);
    await its.poll(signal);
    const large = scanned('large', 'pass', {
      names: Array.from({ length: 20_000 }, (_, n) => ({
        alias: `registry.example/large:${n}`,
        platform: '',
        scannedAt: now,
      })),
    });
    for (let n = 0; !store.isOvergrown; n++) {
      plane.scan({ ...large, scannedAt: now + n });
      await its.poll(signal);
      expect(n).toBeLessThan(20);
    }
    plane.asked.length = 0;
    await its.poll(signal);
    expect(plane.asked).toMatchObject([{ since: undefined, etag: undefined }]);
    expect([store.isOvergrown, its.knowledge?.images.size]).toEqual([false, 1]);
    expect(await readdir(directory)).toHaveLength(2);
  }, 60_000);

  test('polls by itself, counts what fails, and comes back when the control plane does', async () => {
    plane.scan(scanned('shop', 'pass'));
    await plane.stop();
    const its = await loaded();
    const stop = new AbortController();
    const running = its.run(30_000, stop.signal);
    await eventually('a failure', 5_000, () => polls.includes('unavailable'));
    expect(logged).toContain('bundle-unavailable');
    await plane.listen();
    await eventually('a bundle', 10_000, () => its.knowledge);
    stop.abort();
    await running;
    expect(polls.at(-1)).toBe('taken');
  }, 30_000);

  test('after any run of scans, deltas give what a whole bundle gives, and so does the disk', async () => {
    const verdict = fc.constantFrom<Verdict>('pass', 'warn', 'fail');
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({ name: fc.constantFrom('a', 'b', 'c', 'd'), verdict, at: fc.nat(3) }),
      },
      { weight: 1, arbitrary: fc.record({ forget: fc.constantFrom('a', 'b', 'c', 'd') }) },
      { weight: 3, arbitrary: fc.constant('poll' as const) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const [own, fresh] = await Promise.all([1, 2].map(() => mkdtemp(path.join(directory, 'run-'))));
        const deltas = await loaded(new BundleStore(own ?? ''));
        for (const each of [...steps, 'poll' as const]) {
          now += 1_000;
          if (each === 'poll') await deltas.poll(signal);
          else if ('forget' in each) plane.forget(digestOf(each.forget));
          else {
            // All of them contend for one name.
            const names = ['registry.example/one:1', `registry.example/${each.name}:1`].map((alias) => ({
              ...{ alias, platform: 'linux/amd64', scannedAt: each.at },
            }));
            plane.scan(scanned(each.name, each.verdict, { names, scannedAt: each.at }));
          }
        }
        const full = await loaded(new BundleStore(fresh ?? ''));
        await full.poll(signal);
        const stored = await loaded(new BundleStore(own ?? ''));
        for (const name of ['one', 'a', 'b', 'c', 'd']) {
          const alias = `registry.example/${name}:1`;
          const expected = full.knowledge?.images.named(alias, now);
          expect(deltas.knowledge?.images.named(alias, now)).toEqual(expected);
          expect(stored.knowledge?.images.named(alias, now)).toEqual(expected);
        }
      }),
      { numRuns: 15, seed: 6 },
    );
  }, 60_000);
});

function edited<T>(nth: number, edit: (part: T) => object): (part: T) => T {
  let count = 0;
  return (part) => (++count === nth ? (edit(part) as T) : part);
}
function spoilt(nth: number, spoil: (jws: string) => string): (jws: string) => string {
  let count = 0;
  return (jws) => (++count === nth ? spoil(jws) : jws);
}
