import { randomBytes } from 'node:crypto';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { platforms } from '../../../core/image/image-name.ts';
import { imageNameKey, imagesNamedIn } from '../../../core/image/image-name-repository.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { digestOf, findingsOf, hour, imageStores, outcomeFor, type Scan, start } from './scanned-images.ts';

const alias = 'registry.example/web:1';
/** In the order of their digests. */
const [one = '', other = ''] = [digestOf('one'), digestOf('other')].sort();
let engine: Engine;
let stores: ReturnType<typeof imageStores>;
beforeAll(async () => {
  engine = await startEngine();
  stores = imageStores(engine);
});
afterAll(() => engine.close());

async function named(tenantId: string, name = alias) {
  const { Item } = await engine.dynamo.send(
    new GetCommand({
      TableName: engine.tables.tenant,
      Key: imageNameKey(tenantId, name),
      ConsistentRead: true,
    }),
  );
  return Item ? imagesNamedIn(Item) : [];
}
const digestsOf = async (tenantId: string, name = alias) =>
  (await named(tenantId, name)).map(({ digest }) => digest).sort();

const scan = (digest: string, extra: Partial<Scan> = {}): Scan => ({
  digest,
  references: [alias],
  platform: 'linux/amd64',
  ...extra,
});

describe('a name', () => {
  test('has a copy of the results that its image has, with all of its names', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, scan(one, { digests: [digestOf('index')], findings: findingsOf('a', 4) }));
    const { image } = await stores.upload(tenantId, scan(one, { scannerName: 'grype' }));
    for (const name of [alias, digestOf('index')]) {
      const [only, ...others] = await named(tenantId, name);
      expect([only?.digest, only?.revision, others]).toEqual([one, image.revision, []]);
      expect(only?.judged?.names?.map((each) => each.alias)).toEqual([alias, digestOf('index')]);
      expect(only?.judged?.results.map((each) => [each.scannerName, each.evidence()])).toEqual(
        image.results.map((each) => [each.scannerName, each.evidence()]),
      );
    }
  });

  test('is brought up to date when its image is scanned by digest alone', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, scan(one));
    const rescanned = { digest: one, scannedAt: start + hour, findings: findingsOf('worse', 9) };
    const { image } = await stores.upload(tenantId, rescanned);
    const [only] = await named(tenantId);
    expect([only?.revision, only?.scannedAt]).toEqual([image.revision, start]);
    expect(only?.judged?.results[0]?.evidence().findings).toHaveLength(9);
  });

  test.each([
    ['one after the other', [0, 1]],
    ['the later one first', [1, 0]],
  ])('belongs on a platform to the image that was scanned last under it, %s', async (_order, order) => {
    const tenantId = newTenantId();
    const scans = [scan(one, { scannedAt: start }), scan(other, { scannedAt: start + 1 })];
    for (const index of order) {
      const each = scans[index];
      if (each) await stores.upload(tenantId, { ...each, at: start + 1 });
    }
    expect(await digestsOf(tenantId)).toEqual([other]);
  });

  test('belongs to the greater digest of two that were scanned at the same time, whatever came first', async () => {
    for (const order of [
      [one, other],
      [other, one],
    ]) {
      const tenantId = newTenantId();
      for (const digest of order) await stores.upload(tenantId, scan(digest));
      expect(await digestsOf(tenantId)).toEqual([other]);
    }
  });

  test('that has become another image’s does not come back with a scan by digest, but with one under the name', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, scan(one));
    await stores.upload(tenantId, scan(other, { scannedAt: start + hour }));
    await stores.upload(tenantId, { digest: one, scannedAt: start + 2 * hour });
    expect(await digestsOf(tenantId)).toEqual([other]);
    await stores.upload(tenantId, scan(one, { scannedAt: start + 3 * hour }));
    expect(await digestsOf(tenantId)).toEqual([one]);
  });

  test('has an image for each platform', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, scan(one));
    await stores.upload(tenantId, scan(other, { platform: 'linux/arm64' }));
    expect(await digestsOf(tenantId)).toEqual([one, other]);
  });

  test('moves with its image to the platform that a later report says', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, { digest: one, references: [alias] });
    await stores.upload(tenantId, scan(one, { scannerName: 'grype' }));
    expect(await digestsOf(tenantId)).toEqual([one]);
  });

  test('keeps the newer copy when the writer of the older one is late', async () => {
    const tenantId = newTenantId();
    const { image: older } = await stores.upload(tenantId, scan(one));
    const { image: newer } = await stores.upload(tenantId, scan(one, { scannerName: 'grype' }));
    await stores.names.keep(tenantId, older);
    expect((await named(tenantId)).map(({ revision }) => revision)).toEqual([newer.revision]);
  });

  test('that an image has no more is no longer its, and stays another’s', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, scan(one));
    const name = { alias, platform: 'linux/amd64', scannedAt: start };
    await stores.names.remove(tenantId, other, [name]);
    expect(await digestsOf(tenantId)).toEqual([one]);
    await stores.names.remove(tenantId, one, [name, { ...name, alias: 'registry.example/unknown:1' }]);
    expect(await digestsOf(tenantId)).toEqual([]);
  });

  test('has room for an image of each platform, each with as much as a copy may have', async () => {
    const tenantId = newTenantId();
    const some = findingsOf('nearly', 150).map((finding) => ({
      ...finding,
      location: randomBytes(60).toString('base64'),
    }));
    const bytes = outcomeFor({ digest: one, findings: some }).evidence.length;
    expect([bytes > 12 * 1024, bytes < 15.5 * 1024]).toEqual([true, true]);
    for (const [number, platform] of [...platforms, 'another/os'].entries()) {
      await stores.upload(tenantId, scan(digestOf(number), { platform, findings: some }));
    }
    const entries = await named(tenantId);
    expect(entries).toHaveLength(15);
    expect(entries.filter(({ judged }) => judged)).toHaveLength(15);
  });

  test('has no copy of more than 16 KB: with all platforms it must fit into an item', async () => {
    const tenantId = newTenantId();
    const findings = findingsOf('noise', 400).map((finding) => ({
      ...finding,
      location: randomBytes(60).toString('base64'),
    }));
    expect(outcomeFor({ digest: one, findings }).evidence.length).toBeGreaterThan(16 * 1024);
    await stores.upload(tenantId, scan(one, { findings }));
    const [only, ...others] = await named(tenantId);
    expect([only?.digest, only?.judged, others]).toEqual([one, undefined, []]);
  });
});
