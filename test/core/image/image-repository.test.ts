import { createHash, randomBytes } from 'node:crypto';
import { PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pagesOf } from '../../../core/image/finding-page-repository.ts';
import { ImageRepository } from '../../../core/image/image-repository.ts';
import type { ScannedImage } from '../../../core/image/scanned-image.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type TenantCollection, tenantPartition } from '../../../core/tenant/tenant-partition.ts';
import { type Engine, startEngine } from '../../engine.ts';
import {
  day,
  digestOf,
  findingsOf,
  hour,
  imageStores,
  kept,
  outcomeFor,
  type Scan,
  shown,
  start,
} from './scanned-images.ts';

const digest = digestOf('kept');
let engine: Engine;
let stores: ReturnType<typeof imageStores>;
beforeAll(async () => {
  engine = await startEngine();
  stores = imageStores(engine);
});
afterAll(() => engine.close());

const stored = async (tenantId: string) => {
  const image = await stores.images.find(tenantId, digest);
  if (!image) throw new Error('the image is not there');
  return image;
};
const scansOf = async (tenantId: string) =>
  (await stored(tenantId)).results.map(({ scannerName, scannedAt }) => [scannerName, scannedAt]);

type Stored = readonly [collection: TenantCollection, item: unknown];
const collections: readonly TenantCollection[] = [
  'IMAGES',
  'IMAGE_NAMES',
  'IMAGE_CARDS',
  'IMAGE_FINDINGS',
  'IMAGE_HISTORY',
  'IMAGE_CHANGES',
];

/** All that a tenant has; bytes by their hash, as differences of bytes take a minute to show. */
async function everything(tenantId: string): Promise<readonly Stored[]> {
  const all: Stored[] = [];
  for (const collection of collections) {
    const { Items = [] } = await engine.dynamo.send(
      new QueryCommand({
        TableName: engine.tables.tenant,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': tenantPartition(tenantId, collection) },
      }),
    );
    all.push(...Items.map(({ pk: _pk, ...item }) => [collection, hashed(item)] as const));
  }
  return all;
}

function hashed(value: unknown): unknown {
  if (value instanceof Uint8Array) return createHash('sha256').update(value).digest('hex');
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, hashed(member)]));
}

describe('an image', () => {
  test('comes back as it was kept', async () => {
    const tenantId = newTenantId();
    const scan: Scan = {
      digest,
      references: ['registry.example/web:1'],
      platform: 'linux/amd64',
      clusterId: 'c-1',
      verdict: 'fail',
    };
    const { image, kept: isKept, before, history } = await stores.upload(tenantId, scan);
    expect(shown(await stored(tenantId))).toEqual(shown(image));
    expect([isKept, before, image.revision]).toEqual([true, undefined, start]);
    expect(history).toMatchObject([{ to: 'fail', at: start }]);
    expect(image.results[0]?.evidence().findings).toHaveLength(3);
  });

  test('that nobody has reported is not there', async () => {
    expect(await stores.images.find(newTenantId(), digest)).toBeUndefined();
  });

  test('is not written again for the same scan', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, { digest, verdict: 'warn' });
    const before = await everything(tenantId);
    const again = await stores.upload(tenantId, { digest, verdict: 'warn', at: start + 1000 });
    expect(again).toMatchObject({ kept: true, image: { revision: start } });
    const after = await everything(tenantId);
    expect(after.filter(([collection]) => collection === 'IMAGES')).toEqual(
      before.filter(([collection]) => collection === 'IMAGES'),
    );
  });

  test('keeps what both of two scanners have found, however they race', async () => {
    const tenantId = newTenantId();
    const scanners = ['trivy', 'grype', 'other'];
    const uploads = scanners.map((scannerName) => stores.upload(tenantId, { digest, scannerName }));
    await Promise.all(uploads);
    expect(await scansOf(tenantId)).toEqual([...scanners].sort().map((name) => [name, start]));
  });

  test('has one whole result of a scanner, the newest, when twelve of its uploads race', async () => {
    const tenantId = newTenantId();
    const uploads = Array.from({ length: 12 }, (_, index) => {
      const scannedAt = start - ((index * 7) % 12) * hour;
      return stores.upload(tenantId, { digest, scannedAt, at: start, findings: findingsOf(scannedAt, 5) });
    });
    const results = await Promise.all(uploads);
    const {
      results: [only, ...others],
    } = await stored(tenantId);
    expect([only?.scannedAt, others]).toEqual([start, []]);
    expect(
      only
        ?.evidence()
        .findings.map(({ vulnerability }) => vulnerability)
        .sort(),
    ).toEqual(
      findingsOf(start, 5)
        .map(({ vulnerability }) => vulnerability)
        .sort(),
    );
    expect(results.filter(({ kept: isKept }) => isKept).length).toBeGreaterThan(0);
    // Of all others' pages nothing is left.
    const pages = (await everything(tenantId)).filter(([collection]) => collection === 'IMAGE_FINDINGS');
    expect(pages).toHaveLength(1);
  });

  test.each([
    ['older first', [-hour, 0]],
    ['newer first', [0, -hour]],
  ])('has the newer result of a scanner, the %s', async (_order, times) => {
    const tenantId = newTenantId();
    for (const offset of times)
      await stores.upload(tenantId, { digest, scannedAt: start + offset, at: start });
    expect(await scansOf(tenantId)).toEqual([['trivy', start]]);
  });

  test('says of an older result that it was not kept, and that none of the newer one’s pages can go', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, { digest });
    const older = await stores.upload(tenantId, {
      digest,
      scannedAt: start - hour,
      scanId: 's-older',
      at: start,
    });
    expect([older.kept, older.replaced]).toEqual([false, undefined]);
    const [result] = older.image.results;
    if (!result) throw new Error('no result');
    expect(await stores.pages.page(tenantId, pagesOf(digest, result), 0)).toHaveLength(3);
  });

  test('refuses the result of a seventh scanner with LIMIT_REACHED, and is as before', async () => {
    const tenantId = newTenantId();
    for (const scannerName of ['a', 'b', 'c', 'd', 'e', 'f'])
      await stores.upload(tenantId, { digest, scannerName });
    const before = await stored(tenantId);
    await expect(stores.upload(tenantId, { digest, scannerName: 'g' })).rejects.toMatchObject({
      code: 'LIMIT_REACHED',
    });
    expect(shown(await stored(tenantId))).toEqual(shown(before));
  });

  test('is another tenant’s only if that has reported it', async () => {
    const [one, other] = [newTenantId(), newTenantId()];
    await stores.upload(one, { digest });
    expect(await stores.images.find(other, digest)).toBeUndefined();
    expect(await stores.images.findMany(other, [digest])).toEqual([]);
    expect(await stores.images.list(other, { limit: 5, after: undefined })).toEqual({
      images: [],
      more: false,
    });
  });

  test('is judged anew when another upload was quicker, and records what it then is', async () => {
    const tenantId = newTenantId();
    const stale = (await stores.upload(tenantId, { digest, verdict: 'pass' })).image;
    await stores.upload(tenantId, { digest, scannerName: 'grype', verdict: 'fail', at: start + 1 });
    const seen: unknown[] = [];
    const result = outcomeFor({ digest, scannerName: 'other' });
    const { image } = await stores.images.keep(
      tenantId,
      digest,
      { result, at: start + 2, expiresAt: start + kept },
      {
        found: stale,
        recorded: (before) => {
          seen.push(before?.recorded?.verdict);
          return before?.recorded;
        },
      },
    );
    expect(seen).toEqual(['pass', 'fail']);
    expect(image.results).toHaveLength(3);
    expect(image.recorded?.verdict).toBe('fail');
  });

  test('is kept once when the answer to its write is lost, and the SDK writes it again', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, { digest, verdict: 'pass' });
    const access: typeof engine.access = (tenant) => {
      const clients = engine.access(tenant);
      const send = async (command: unknown) => {
        if (command instanceof PutCommand) await clients.dynamo.send(command);
        return clients.dynamo.send(command as never);
      };
      return { ...clients, dynamo: { send } as never };
    };
    const { scanner, scanId, ...result } = outcomeFor({ digest, scannedAt: start + hour });
    const written = await new ImageRepository(access, engine.tables.tenant).keep(
      tenantId,
      digest,
      { result: { scanner, scanId, ...result }, at: start + hour, expiresAt: start + kept },
      {
        recorded: (before, after) => {
          if (after.results[0]?.scanId === before?.results[0]?.scanId) return before?.recorded;
          const change = {
            at: start + hour,
            from: 'pass',
            to: 'fail',
            cause: 'scan',
            scanId,
            scanner,
          } as const;
          return { verdict: 'fail', at: start + hour, changes: [change] };
        },
      },
    );
    expect(written).toMatchObject({
      kept: true,
      image: { revision: start + 1 },
      history: [{ from: 'pass', to: 'fail' }],
      replaced: { scanId: outcomeFor({ digest }).scanId, ordinal: 1, pages: 1 },
    });
  });

  test('has all changes in its history, also those whose uploads have stopped before it', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, { digest, verdict: 'pass' });
    // What comes right before the history.
    const failing = async (scan: Scan) => {
      engine.faults.failWhen((_operation, input) => JSON.stringify(input).includes('IMAGE_CARDS'));
      await expect(stores.upload(tenantId, scan)).rejects.toThrow('did not get out');
      engine.faults.mend();
    };
    const last: Scan = { digest, scannedAt: start + 2 * hour, verdict: 'warn' };
    await failing({ digest, scannedAt: start + hour, verdict: 'fail' });
    await failing(last);
    await stores.upload(tenantId, last);
    const { changes } = await stores.history.list(tenantId, digest, { limit: 10, after: undefined });
    expect(changes.map(({ from, to }) => [from, to])).toEqual([
      ['fail', 'warn'],
      ['pass', 'fail'],
      [undefined, 'pass'],
    ]);
  });
});

describe('an upload that stops half-way', () => {
  const first: Scan = {
    digest,
    references: ['registry.example/web:1'],
    findings: findingsOf('first', 300),
    verdict: 'pass',
    clusterId: 'c-1',
  };
  const second: Scan = {
    digest,
    scannedAt: start + hour,
    references: ['registry.example/web:2'],
    digests: [digestOf('index')],
    platform: 'linux/amd64',
    findings: findingsOf('second', 600),
    verdict: 'fail',
  };

  test('after any of its writes is completed by the same upload', async () => {
    const undisturbed = newTenantId();
    await stores.upload(undisturbed, first);
    await stores.upload(undisturbed, second);
    const expected = await everything(undisturbed);
    let stops = 0;
    for (let write = 1; ; write += 1) {
      const tenantId = newTenantId();
      await stores.upload(tenantId, first);
      engine.faults.dieAfterWrite(write);
      const outcome = await stores.upload(tenantId, second).then(
        () => 'whole',
        () => 'stopped',
      );
      engine.faults.mend();
      if (outcome === 'whole') break;
      stops += 1;
      await stores.upload(tenantId, second);
      expect(await everything(tenantId)).toEqual(expected);
    }
    // Pages, note, the name that moves to its platform, image, three names, card, history, pages of the first.
    expect(stops).toBeGreaterThanOrEqual(10);
  });

  test('and never leads to a result whose pages are not there', async () => {
    for (let write = 1; write <= 10; write += 1) {
      const tenantId = newTenantId();
      await stores.upload(tenantId, first);
      engine.faults.dieAfterWrite(write);
      await expect(stores.upload(tenantId, second)).rejects.toThrow();
      engine.faults.mend();
      const {
        results: [result],
      } = await stored(tenantId);
      if (!result) throw new Error('no result');
      const { pages } = result;
      expect(pages).toBe(Math.ceil((result.scannedAt === start ? 300 : 600) / 250));
      for (let page = 0; page < pages; page += 1) {
        expect(await stores.pages.page(tenantId, pagesOf(digest, result), page)).not.toHaveLength(0);
      }
    }
  });
});

describe('an image of which six scanners have found more than fits into an item', () => {
  /** Findings that gzip can do nothing with. */
  const noise = () =>
    findingsOf('noise', 2_500).map((finding) => ({
      ...finding,
      location: randomBytes(60).toString('base64'),
    }));

  test('is kept, and its scanners share the room: the least severe findings are counted only', async () => {
    const tenantId = newTenantId();
    const clusters = new Map(
      Array.from({ length: 500 }, (_, index) => [`c-${index}`.padEnd(22, 'a'), start]),
    );
    let found: ScannedImage | undefined;
    for (let scanner = 0; scanner < 6; scanner += 1) {
      const result = outcomeFor({
        digest,
        scannerName: `scanner-${scanner}`,
        findings: scanner === 5 ? findingsOf('small', 10) : noise(),
        references: Array.from(
          { length: 20 },
          (_each, tag) => `registry.example/${scanner}-${tag}/${'b'.repeat(200)}:${'1'.repeat(128)}`,
        ),
        digests: Array.from({ length: 20 }, (_each, index) => digestOf(`${scanner} ${index}`)),
      });
      const upload = { result, at: start, expiresAt: start + kept };
      ({ image: found } = await stores.images.keep(tenantId, digest, upload, {
        found: found && { ...found, clusters },
        recorded: () => undefined,
      }));
    }
    const image = await stored(tenantId);
    expect([image.clusters.size, image.names.length]).toEqual([500, 32]);
    for (const { scannerName, encoded, evidence } of image.results) {
      const isSmall = scannerName === 'scanner-5';
      const { findings, rest } = evidence();
      expect(findings.length + rest.reduce((sum, { count }) => sum + count, 0)).toBe(isSmall ? 10 : 2_500);
      expect(rest.length > 0).toBe(!isSmall);
      if (!isSmall) expect(encoded.length).toBeGreaterThan(40 * 1024);
    }
  });
});

describe('images', () => {
  test('are found by any number of digests, in their order, each once', async () => {
    const tenantId = newTenantId();
    const digests = Array.from({ length: 120 }, (_, index) => digestOf(index));
    await Promise.all(
      digests.map((each) =>
        stores.images.keep(
          tenantId,
          each,
          { result: outcomeFor({ digest: each, findings: [] }), at: start, expiresAt: start + kept },
          { recorded: () => undefined },
        ),
      ),
    );
    const asked = [...digests, digestOf('unknown'), ...digests.slice(0, 3)];
    const images = await stores.images.findMany(tenantId, asked);
    expect(images.map((image) => image.digest)).toEqual(digests);

    const listed: string[] = [];
    for (let after: string | undefined; ; after = listed.at(-1)) {
      const { images: page, more } = await stores.images.list(tenantId, { limit: 50, after });
      expect(page.length).toBeLessThanOrEqual(50);
      listed.push(...page.map((image) => image.digest));
      if (!more) break;
    }
    expect(listed).toEqual([...digests].sort());
  });

  test('go when their time is over, as items of the table', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, { digest, references: ['web:1'], verdict: 'pass' });
    const ends = new Map<unknown, unknown>();
    for (const [collection, item] of (await everything(tenantId)) as [string, { expiresAt: number }][]) {
      ends.set(collection, item.expiresAt - start / 1000);
    }
    const days = 86_400;
    expect(Object.fromEntries(ends)).toEqual({
      IMAGES: 90 * days,
      IMAGE_NAMES: 90 * days,
      IMAGE_CARDS: 90 * days,
      IMAGE_HISTORY: 90 * days,
      IMAGE_FINDINGS: 120 * days,
      IMAGE_CHANGES: 8 * days,
    });
    expect(kept).toBe(90 * day);
  });
});
