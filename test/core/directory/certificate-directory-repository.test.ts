import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import {
  certificatePartition,
  CertificateDirectoryRepository,
} from '../../../core/directory/certificate-directory-repository.ts';
import { type Engine, startEngine } from '../../engine.ts';

const start = Date.UTC(2026, 10, 23, 8);
const entryOf = (fingerprint: string) => ({
  fingerprint,
  tenantId: 't-a',
  clusterId: 'c-a',
  notAfter: start + 1_000_000,
});

describe('certificates in the directory', () => {
  let engine: Engine;
  let directory: CertificateDirectoryRepository;
  beforeAll(async () => {
    engine = await startEngine();
    directory = new CertificateDirectoryRepository(engine.dynamo, engine.tables.directory);
  });
  afterAll(() => engine.close());

  test('are found by their fingerprint, as first published', async () => {
    await directory.publish(entryOf('one'));
    await directory.publish({ ...entryOf('one'), tenantId: 't-b', clusterId: 'c-b' });
    expect(await directory.find('one')).toEqual(entryOf('one'));
    expect(await directory.find('two')).toBeUndefined();
  });

  test('that were revoked say since when, and are not brought back by publishing', async () => {
    await directory.publish(entryOf('revoked'));
    await directory.revoke({ fingerprint: 'revoked', clusterId: 'c-a' }, start);
    await directory.revoke({ fingerprint: 'revoked', clusterId: 'c-a' }, start + 5);
    await directory.publish(entryOf('revoked'));
    expect(await directory.find('revoked')).toEqual({ ...entryOf('revoked'), revokedAt: start });
  });

  test('revoked before they were published do not come in', async () => {
    await directory.revoke({ fingerprint: 'early', clusterId: 'c-a' }, start);
    await directory.publish(entryOf('early'));
    expect(await directory.find('early')).toMatchObject({ revokedAt: start });
    // What was never published ends, too, later than any certificate of that time.
    const { Item } = await engine.dynamo.send(
      new GetCommand({
        TableName: engine.tables.directory,
        Key: { pk: certificatePartition('early'), sk: 'CERTIFICATE' },
      }),
    );
    expect(Item?.expiresAt).toBe(start / 1000 + 400 * 86_400);
  });

  test('revoked since a time are told once each, oldest first, those of that very millisecond too', async () => {
    const times = [start + 10_000, start + 30_000, start + 20_000];
    for (const time of times) await directory.revoke({ fingerprint: `at-${time}`, clusterId: 'c-a' }, time);
    const since = async (time: number) =>
      (await directory.revokedSince(time)).map(({ revokedAt }) => revokedAt);
    expect(await since(start + 10_000)).toEqual([start + 10_000, start + 20_000, start + 30_000]);
    expect(await since(start + 10_001)).toEqual([start + 20_000, start + 30_000]);
    expect(await since(start + 30_001)).toEqual([]);
  });

  test('cost what is documented', async () => {
    expect(await engine.units(() => directory.publish(entryOf('cost')))).toEqual({ read: 0, write: 1 });
    expect(await engine.units(() => directory.find('cost'))).toEqual({ read: 1, write: 0 });
    const revoke = () => directory.revoke({ fingerprint: 'cost', clusterId: 'c-a' }, start);
    expect(await engine.units(revoke)).toEqual({ read: 0, write: 2 });
  });
});
