import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { BatchGetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import fc from 'fast-check';
import { admissionPolicyKey } from '../../../core/admission/admission-policy-repository.ts';
import { resolveNames } from '../../../core/admission/admission-bundle.ts';
import { AdmissionLookupRepository } from '../../../core/image/admission-lookup-repository.ts';
import { namesOf } from '../../../core/image/image-name.ts';
import { rulesKey } from '../../../core/image/image-rules-repository.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import {
  digestOf,
  findingsOf,
  hour,
  imageStores,
  kept,
  outcomeFor,
  type Scan,
  start,
} from './scanned-images.ts';

let engine: Engine;
let stores: ReturnType<typeof imageStores>;
beforeAll(async () => {
  engine = await startEngine();
  stores = imageStores(engine);
});
afterAll(() => engine.close());

const [one, other, index] = [digestOf('one'), digestOf('other'), digestOf('index')];
const tag = 'registry.example/web:1';
const scan = (digest: string, extra: Partial<Scan> = {}): Scan => ({
  digest,
  references: [tag],
  platform: 'linux/amd64',
  ...extra,
});
const noise = () =>
  findingsOf('noise', 400).map((finding) => ({ ...finding, location: randomBytes(60).toString('base64') }));

/** The digests under each alias, and how many batches it took. */
async function looked(tenantId: string, aliases: readonly string[], at = start) {
  let batches = 0;
  const access: typeof engine.access = (tenant) => {
    const clients = engine.access(tenant);
    const send = (command: unknown) => {
      if (command instanceof BatchGetCommand) {
        batches += 1;
        expect(Object.values(command.input.RequestItems ?? {})[0]?.ConsistentRead).toBe(true);
      }
      return clients.dynamo.send(command as never);
    };
    return { ...clients, dynamo: { send } as never };
  };
  const lookups = new AdmissionLookupRepository(access, engine.tables.tenant, () => at);
  const { images } = await lookups.find(tenantId, aliases);
  const digests = [...images].map(
    ([alias, found]) => [alias, found.map(({ digest }) => digest).sort()] as const,
  );
  return { batches, digests: Object.fromEntries(digests), images };
}

describe('a lookup', () => {
  test('finds images by tag, by digest, and by the digest of their index, in one batch', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, scan(one, { digests: [one, index] }));
    await stores.upload(tenantId, scan(other, { platform: 'linux/arm64', digests: [other, index] }));
    const both = [one, other].sort();
    expect(await looked(tenantId, [tag, one, index])).toMatchObject({
      batches: 1,
      digests: { [tag]: both, [one]: [one], [index]: both },
    });
  });

  test('leaves out what is not known, and what no registry could have', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, scan(one));
    const { digests } = await looked(tenantId, [
      'registry.example/web:2',
      digestOf('unknown'),
      `sha512:${'a'.repeat(128)}`,
      '',
      'x'.repeat(5_000),
    ]);
    expect(digests).toEqual({});
  });

  test('has what judging needs: results with their evidence, and all names', async () => {
    const tenantId = newTenantId();
    const { image } = await stores.upload(tenantId, scan(one, { findings: findingsOf('some', 20) }));
    const { images } = await looked(tenantId, [tag, one]);
    for (const alias of [tag, one]) {
      const [found] = images.get(alias) ?? [];
      expect(found?.revision).toBe(image.revision);
      expect(found?.results[0]?.evidence()).toEqual(image.results[0]?.evidence());
      expect(found?.results[0]).toMatchObject({
        scannerName: 'trivy',
        scannedAt: start,
        aliases: { references: [tag] },
      });
      expect(found?.names?.map(({ alias: name }) => name)).toEqual([tag]);
    }
  });

  test('reads images with more findings than a name can copy in a second batch', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, scan(one, { findings: noise() }));
    const { batches, images } = await looked(tenantId, [tag]);
    expect([batches, images.get(tag)?.[0]?.results[0]?.evidence().findings.length]).toEqual([2, 400]);
    expect((await looked(tenantId, [tag, one])).batches).toBe(1);
  });

  test('finds an image once, as it is now, that stands under a name on two platforms', async () => {
    const tenantId = newTenantId();
    const { image: older } = await stores.upload(tenantId, { digest: one, references: [tag] });
    const { image: newer } = await stores.upload(tenantId, scan(one, { scannerName: 'grype' }));
    // As a writer leaves it that is overtaken between image and names.
    await stores.names.keep(tenantId, older);
    const { images } = await looked(tenantId, [tag]);
    expect(images.get(tag)?.map(({ digest, revision }) => [digest, revision])).toEqual([
      [one, newer.revision],
    ]);
  });

  test('finds neither image nor name whose time is over, even if the table still has them', async () => {
    const tenantId = newTenantId();
    await stores.upload(tenantId, scan(one));
    await stores.upload(tenantId, scan(other, { platform: 'linux/arm64', scannedAt: start + hour }));
    expect((await looked(tenantId, [tag, one], start + kept)).digests).toEqual({ [tag]: [other] });
    expect((await looked(tenantId, [tag], start + kept + hour)).digests).toEqual({});
  });

  test('of another tenant finds nothing', async () => {
    await stores.upload(newTenantId(), scan(one));
    expect((await looked(newTenantId(), [tag, one])).digests).toEqual({});
  });

  test('of 150 names takes as many batches as it needs, and finds all', async () => {
    const tenantId = newTenantId();
    const digests = Array.from({ length: 150 }, (_, number) => digestOf(`many ${number}`));
    await Promise.all(
      digests.map((digest) =>
        stores.images.keep(
          tenantId,
          digest,
          { result: outcomeFor({ digest, findings: [] }), at: start, expiresAt: start + kept },
          { recorded: () => undefined },
        ),
      ),
    );
    const found = await looked(tenantId, digests);
    expect([found.batches, found.images.size]).toEqual([4, 150]);
  });

  test('brings the items of rules and policy as they are stored, or nothing', async () => {
    const tenantId = newTenantId();
    expect(await stores.lookups.find(tenantId, [])).toEqual({
      images: new Map(),
      rules: undefined,
      admission: undefined,
    });
    for (const [key, revision] of [
      [rulesKey(tenantId), 4],
      [admissionPolicyKey(tenantId), 9],
    ] as const) {
      await engine.dynamo.send(
        new PutCommand({ TableName: engine.tables.tenant, Item: { ...key, revision } }),
      );
    }
    expect(await stores.lookups.find(tenantId, [])).toMatchObject({
      rules: { revision: 4 },
      admission: { revision: 9 },
    });
  });

  test('finds under every name what a reader of all images makes of their names, whatever was uploaded', async () => {
    const tags = ['registry.example/a:1', 'registry.example/b:1', index];
    const upload = fc.record({
      digest: fc.constantFrom(one, other, digestOf('third'), index),
      scannerName: fc.constantFrom('trivy', 'grype'),
      references: fc.subarray(tags.slice(0, 2)),
      digests: fc.constantFrom([], [index]),
      platform: fc.option(fc.constantFrom('linux/amd64', 'linux/arm64'), { nil: undefined }),
      scannedAt: fc.integer({ min: 0, max: 5 }).map((hours) => start - hours * hour),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(upload, { minLength: 1, maxLength: 10 }), async (uploads) => {
        const tenantId = newTenantId();
        for (const { platform, ...each } of uploads) {
          const { scannedAt, scannerName } = each;
          const findings = findingsOf(`${scannerName} ${scannedAt}`, 1);
          await stores.upload(tenantId, { ...each, findings, at: start, ...(platform ? { platform } : {}) });
        }
        const { images } = await stores.images.list(tenantId, { limit: 100, after: undefined });
        const names = images.flatMap((image) =>
          namesOf(image).map(({ alias, ...name }) => ({ alias, digest: image.digest, ...name })),
        );
        const known = new Map(images.map((image) => [image.digest, image]));
        const found = await stores.lookups.find(tenantId, tags);
        for (const alias of tags) {
          const owners = resolveNames(names.filter((name) => name.alias === alias));
          const expected = [...new Set([...(known.has(alias) ? [alias] : []), ...owners])].sort();
          const at = (found.images.get(alias) ?? []).map(({ digest, revision }) => [digest, revision]);
          expect(at.sort()).toEqual(expected.map((digest) => [digest, known.get(digest)?.revision]));
        }
      }),
      { seed: 6, numRuns: 15 },
    );
  });

  test('fails as a whole when the table does not answer', async () => {
    engine.faults.failWhen((operation) => operation === 'BatchGetItem');
    await expect(stores.lookups.find(newTenantId(), [tag])).rejects.toThrow('did not get out');
    engine.faults.mend();
  });

  (unitsAreExact ? test : test.skip)(
    'of ten tags with 100 findings each costs 12 reads, of ten digests 22',
    async () => {
      const tenantId = newTenantId();
      const aliases: string[] = [];
      const digests: string[] = [];
      for (let number = 0; number < 10; number += 1) {
        const digest = digestOf(`priced ${number}`);
        const name = `registry.example/priced-${number}:1`;
        await stores.upload(tenantId, { digest, references: [name], findings: findingsOf(number, 100) });
        aliases.push(name);
        digests.push(digest);
      }
      expect(await engine.units(() => stores.lookups.find(tenantId, aliases))).toEqual({
        read: 12,
        write: 0,
      });
      expect(await engine.units(() => stores.lookups.find(tenantId, digests))).toEqual({
        read: 22,
        write: 0,
      });
    },
  );
});
