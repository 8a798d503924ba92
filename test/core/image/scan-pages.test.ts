import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { QueryCommand } from '@aws-sdk/lib-dynamodb';
import { merge } from '../../../core/image/image-merge.ts';
import { ScanPages } from '../../../core/image/scan-pages.ts';
import type { ScannedImage } from '../../../core/image/scanned-image.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { tenantPartition } from '../../../core/tenant/tenant-partition.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { digestOf, findingsOf, hour, imageStores, kept, outcomeFor, start } from './scanned-images.ts';

const digest = digestOf('pages of a scan');
let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterAll(() => engine.close());

/** An image to which these scans have come, each with its offset in time. */
const imageAfter = (...scans: readonly (readonly [string, number])[]) =>
  scans.reduce<ScannedImage | undefined>((before, [scanId, offset]) => {
    const result = outcomeFor({ digest, scanId, scannedAt: start + offset });
    const after = merge(before, digest, { result, at: start, expiresAt: start + kept });
    if (after === 'TOO_MANY') throw new Error('too many scanners');
    return after.image;
  }, undefined);

function uploading() {
  const tenantId = newTenantId();
  const scan = { digest, scannerName: 'trivy', scanId: 'a', scannedAt: start, expiresAt: start + kept };
  const { pages } = imageStores(engine);
  return {
    own: new ScanPages(pages, tenantId, { ...scan, findings: findingsOf('a', 300) }),
    /** `<place>#<page>` of what is stored. */
    stored: async () => {
      const { Items = [] } = await engine.dynamo.send(
        new QueryCommand({
          TableName: engine.tables.tenant,
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': tenantPartition(tenantId, 'IMAGE_FINDINGS') },
        }),
      );
      return Items.map(({ sk }) => String(sk).replace(`${digest}#trivy#a#`, ''));
    },
  };
}

describe('pages of a scan', () => {
  test('are written once for each place among the scanner’s results, and those of places that others took go', async () => {
    const { own, stored } = uploading();
    for (const image of [undefined, undefined, imageAfter(['b', 0]), imageAfter(['b', 0])])
      expect(await own.before(image)).toBe(2);
    expect(await stored()).toEqual(['1#0000', '1#0001', '2#0000', '2#0001']);
    await own.deleteOthers(imageAfter(['b', 0], ['a', 0]));
    expect(await stored()).toEqual(['2#0000', '2#0001']);
    await own.deleteOthers(undefined);
    expect(await stored()).toEqual([]);
  });

  test.each([
    ['the same scan is there: its own are', [['a', 0]], 1],
    ['a newer scan is there', [['newer', hour]], 0],
  ] as const)('are not written when %s', async (_what, scans, count) => {
    const { own, stored } = uploading();
    expect(await own.before(imageAfter(...scans))).toBe(count);
    expect(await stored()).toEqual([]);
  });
});
