import { gunzipSync, gzipSync } from 'node:zlib';
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { LogRepository, type LogObject } from '../../../tunnel-fargate/ingest/log-repository.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { clusterA, tenantA } from '../tunnel-fixture.ts';

const object: LogObject = {
  tenantId: tenantA,
  clusterId: clusterA,
  kind: 'flows',
  date: '2026-11-23',
  sha256: 'a'.repeat(64),
  body: gzipSync('{"start_time":1}'),
};
const key = `tenant/${tenantA}/cluster/${clusterA}/kind/flows/date=2026-11-23/${'a'.repeat(64)}.ndjson.gz`;

describe('logs in S3', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterAll(() => engine.close());

  test('stand under tenant, cluster, kind and date, whole, and once however often they are put', async () => {
    const asked: string[] = [];
    const repository = new LogRepository((tenantId) => {
      asked.push(tenantId);
      return engine.access(tenantId);
    }, engine.buckets.log);
    await repository.put(object);
    await repository.put(object);
    const { Contents } = await engine.s3.send(new ListObjectsV2Command({ Bucket: engine.buckets.log }));
    expect(Contents?.map(({ Key }) => Key)).toEqual([key]);
    const { Body } = await engine.s3.send(new GetObjectCommand({ Bucket: engine.buckets.log, Key: key }));
    expect(gunzipSync((await Body?.transformToByteArray()) ?? '').toString()).toBe('{"start_time":1}');
    expect(asked).toEqual([tenantA, tenantA]);
  });

  test('of what is no cluster or no tenant are not put', async () => {
    const repository = new LogRepository(engine.access, engine.buckets.log);
    await expect(repository.put({ ...object, clusterId: '../c-x' })).rejects.toThrow('not a cluster ID');
    await expect(repository.put({ ...object, tenantId: 't-x/../y' })).rejects.toThrow('not a tenant ID');
  });

  test('are given up when S3 does not answer in time', async () => {
    const silent = new S3Client({
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      requestHandler: {
        handle: (_request: unknown, { abortSignal }: { abortSignal?: AbortSignal } = {}) =>
          new Promise<never>((_resolve, reject) => {
            abortSignal?.addEventListener('abort', () => reject(abortSignal.reason as Error));
          }),
      },
    });
    const repository = new LogRepository(() => ({ dynamo: engine.dynamo, s3: silent }), 'bucket', 30);
    await expect(repository.put(object)).rejects.toMatchObject({ name: 'AbortError' });
  });
});
