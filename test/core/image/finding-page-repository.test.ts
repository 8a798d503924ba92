import { randomBytes } from 'node:crypto';
import { QueryCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Finding } from '../../../core/image/image-schema.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { tenantPartition } from '../../../core/tenant/tenant-partition.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { digestOf, findingsOf, imageStores, kept, start } from './scanned-images.ts';

const scan = { digest: digestOf('paged'), scannerName: 'trivy', scanId: 's-1', ordinal: 1 };
let engine: Engine;
let pages: ReturnType<typeof imageStores>['pages'];
beforeAll(async () => {
  engine = await startEngine();
  ({ pages } = imageStores(engine));
});
afterAll(() => engine.close());

const noise = (bytes: number) => randomBytes(bytes).toString('base64');

async function all(tenantId: string, count: number): Promise<Finding[]> {
  const read: Finding[] = [];
  for (let page = 0; page < count; page += 1) read.push(...((await pages.page(tenantId, scan, page)) ?? []));
  return read;
}

describe('findings', () => {
  test('come back whole and in their order, 250 to a page', async () => {
    const tenantId = newTenantId();
    const findings = findingsOf('whole', 601);
    expect(await pages.write(tenantId, scan, findings, start + kept)).toBe(3);
    expect(await pages.page(tenantId, scan, 0)).toHaveLength(250);
    expect(await all(tenantId, 3)).toEqual(findings);
  });

  test('are no page when there are none', async () => {
    const tenantId = newTenantId();
    expect(await pages.write(tenantId, scan, [], start + kept)).toBe(0);
    expect(await pages.page(tenantId, scan, 0)).toBeUndefined();
  });

  test('that are too long for an item take more pages', async () => {
    const tenantId = newTenantId();
    const findings = findingsOf('long', 300).map((finding) => ({ ...finding, location: noise(3_000) }));
    const count = await pages.write(tenantId, scan, findings, start + kept);
    expect(count).toBeGreaterThan(2);
    expect(await all(tenantId, count)).toEqual(findings);
  });

  test('of which one alone does not fit into an item are refused with PAYLOAD_TOO_LARGE, and none is stored', async () => {
    const tenantId = newTenantId();
    const findings = findingsOf('huge', 300).map((finding, index) =>
      index === 299 ? { ...finding, location: noise(500_000) } : finding,
    );
    await expect(pages.write(tenantId, scan, findings, start + kept)).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
    });
    expect(await pages.page(tenantId, scan, 0)).toBeUndefined();
  });

  test('of 50,000 are stored several pages at once, and deleted again', async () => {
    const tenantId = newTenantId();
    const [finding] = findingsOf('many', 1);
    if (!finding) throw new Error('no finding');
    const findings = Array.from({ length: 50_000 }, (_, index) => ({
      ...finding,
      vulnerability: `CVE-1-${index}`,
    }));
    const count = await pages.write(tenantId, scan, findings, start + kept);
    expect(count).toBe(200);
    expect((await pages.page(tenantId, scan, 199))?.at(-1)?.vulnerability).toBe('CVE-1-49999');
    await pages.write(tenantId, { ...scan, scanId: 's-2' }, findings.slice(0, 1), start + kept);
    await pages.delete(tenantId, { ...scan, pages: count });
    const { Items = [] } = await engine.dynamo.send(
      new QueryCommand({
        TableName: engine.tables.tenant,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': tenantPartition(tenantId, 'IMAGE_FINDINGS') },
      }),
    );
    expect(Items.map(({ sk }) => String(sk).slice(scan.digest.length))).toEqual(['#trivy#s-2#1#0000']);
  });
});
