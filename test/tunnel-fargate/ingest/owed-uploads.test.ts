import { describe, expect, test } from '@jest/globals';
import { OwedUploads } from '../../../tunnel-fargate/ingest/owed-uploads.ts';
import { UploadTrace } from '../../../tunnel-fargate/ingest/upload-trace.ts';
import { bucketOf, sha256 } from './flows.ts';

const cluster = 'c-1';
const second = 1_000;
const minute = 60 * second;

/** An upload that was read to its end, or the first `bytes` of it. */
function trace(body: string, end: number | undefined, bytes = Infinity): UploadTrace {
  const upload = new UploadTrace(Buffer.byteLength(body));
  upload.came(Buffer.from(body).subarray(0, bytes));
  if (end !== undefined) upload.sawEnd(end);
  if (bytes === Infinity) upload.sha256 = sha256(body);
  return upload;
}
const bucket = (end: number) => trace(bucketOf(end, ['a', 'b']), end);

describe('an upload that failed', () => {
  test('holds back newer ones, neither older ones nor itself, nor those of other clusters', () => {
    const owed = new OwedUploads();
    expect(owed.failed(cluster, bucket(600), 0)).toBe(true);
    expect(owed.holdsBack(cluster, bucket(900), 1)).toBe(true);
    expect(owed.holdsBack(cluster, bucket(300), 1)).toBe(false);
    expect(owed.holdsBack(cluster, bucket(600), 1)).toBe(false);
    expect(owed.holdsBack('c-2', bucket(900), 1)).toBe(false);
  });

  test('holds nothing back once it is stored, and leaves no entry', () => {
    const owed = new OwedUploads();
    owed.failed(cluster, bucket(600), 0);
    owed.settled(cluster, bucket(600), 1);
    expect(owed.holdsBack(cluster, bucket(900), 2)).toBe(false);
    expect(owed.clusters).toBe(0);
  });

  test('is settled by other flows that end at the same time: the bucket of a restarted Goldmane', () => {
    const owed = new OwedUploads();
    owed.failed(cluster, bucket(600), 0);
    const again = trace(bucketOf(600, ['a', 'b', 'c']), 600);
    expect(owed.holdsBack(cluster, again, 1)).toBe(false);
    owed.settled(cluster, again, 1);
    expect(owed.holdsBack(cluster, bucket(900), 2)).toBe(false);
  });

  test('among several comes in the order of their flows: each waits for the older ones', () => {
    const owed = new OwedUploads();
    for (const end of [900, 300, 600]) owed.failed(cluster, bucket(end), 0);
    for (const end of [300, 600, 900]) {
      for (const later of [600, 900, 1_200].filter((other) => other > end)) {
        expect(owed.holdsBack(cluster, bucket(later), 1)).toBe(true);
      }
      expect(owed.holdsBack(cluster, bucket(end), 1)).toBe(false);
      owed.settled(cluster, bucket(end), 1);
    }
    expect(owed.clusters).toBe(0);
  });

  test('is owed for 5.5 minutes from its first failure when it does not come again', () => {
    const owed = new OwedUploads();
    owed.failed(cluster, bucket(600), 0);
    expect(owed.holdsBack(cluster, bucket(900), 5.5 * minute - 1)).toBe(true);
    expect(owed.holdsBack(cluster, bucket(900), 5.5 * minute)).toBe(false);
    expect(owed.clusters).toBe(0);
  });

  test('is owed longer while its attempts go on, at most for 16 of them', () => {
    const owed = new OwedUploads();
    for (let attempt = 0; attempt < 15; attempt += 1)
      owed.failed(cluster, bucket(600), attempt * 50 * second);
    const last = 14 * 50 * second;
    expect(owed.holdsBack(cluster, bucket(900), last + 2 * minute - 1)).toBe(true);
    owed.failed(cluster, bucket(600), last + 50 * second);
    expect(owed.holdsBack(cluster, bucket(900), last + 50 * second)).toBe(false);
    expect(owed.clusters).toBe(0);
  });

  test('is known again when it broke off, by its length and its beginning', () => {
    const owed = new OwedUploads();
    const body = bucketOf(600, ['a', 'b']);
    owed.failed(cluster, trace(body, 600, 150), 0);
    expect(owed.holdsBack(cluster, bucket(900), 1)).toBe(true);
    expect(owed.holdsBack(cluster, bucket(600), 1)).toBe(false);
    owed.settled(cluster, bucket(600), 1);
    expect(owed.clusters).toBe(0);
  });

  test('before its first flow came holds back all others until it is known which one it is', () => {
    const owed = new OwedUploads();
    const body = bucketOf(600, ['a', 'much longer than the others']);
    owed.failed(cluster, trace(body, undefined, 0), 0);
    expect(owed.holdsBack(cluster, bucket(300), 1)).toBe(true);
    expect(owed.holdsBack(cluster, bucket(900), 1)).toBe(true);
    owed.failed(cluster, trace(body, 600), 2);
    expect(owed.holdsBack(cluster, bucket(300), 3)).toBe(false);
    expect(owed.holdsBack(cluster, bucket(900), 3)).toBe(true);
    owed.failed(cluster, trace(body, undefined, 10), 4);
    expect(owed.holdsBack(cluster, bucket(300), 5)).toBe(false);
    owed.settled(cluster, trace(body, 600), 6);
    expect(owed.clusters).toBe(0);
  });

  test('without any flow waits for all others and holds none back', () => {
    const owed = new OwedUploads();
    const none = trace('this is no flow', undefined);
    owed.failed(cluster, none, 0);
    expect(owed.holdsBack(cluster, bucket(300), 1)).toBe(false);
    owed.failed(cluster, bucket(300), 1);
    expect(owed.holdsBack(cluster, none, 2)).toBe(true);
  });

  test('is not noted beyond the bound of its cluster or of all clusters, and that is said', () => {
    const owed = new OwedUploads({ maxPerCluster: 2, maxClusters: 2 });
    expect(owed.failed(cluster, bucket(300), 0)).toBe(true);
    expect(owed.failed(cluster, bucket(600), 0)).toBe(true);
    expect(owed.failed(cluster, bucket(900), 0)).toBe(false);
    expect(owed.failed(cluster, bucket(600), 0)).toBe(true);
    expect(owed.failed('c-2', bucket(300), 0)).toBe(true);
    expect(owed.failed('c-3', bucket(300), 0)).toBe(false);
    expect(owed.failed('c-3', bucket(300), 6 * minute)).toBe(true);
    expect(owed.clusters).toBe(1);
  });
});
