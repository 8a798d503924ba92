import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isSameImage, maxNames, maxScanners, merge } from '../../../core/image/image-merge.ts';
import type { ScannedImage } from '../../../core/image/scanned-image.ts';
import {
  day,
  digestOf,
  findingsOf,
  hour,
  kept,
  outcomeFor,
  type Scan,
  shown,
  start,
} from './scanned-images.ts';

const digest = digestOf('merged');

function merged(before: ScannedImage | undefined, scan: Omit<Scan, 'digest'>) {
  const { at = scan.scannedAt ?? start, clusterId } = scan;
  const result = outcomeFor({ digest, ...scan });
  const after = merge(before, digest, { result, clusterId, at, expiresAt: at + kept });
  if (after === 'TOO_MANY') throw new Error('too many scanners');
  return after;
}

/** The image that uploads come to, one after another. */
const imageAfter = (...scans: readonly Omit<Scan, 'digest'>[]): ScannedImage => {
  const image = scans.reduce<ScannedImage | undefined>(
    (before, scan) => merged(before, scan).image,
    undefined,
  );
  if (!image) throw new Error('no scans');
  return image;
};

describe('an image with one more upload', () => {
  test('has the newest result of each scanner, whichever came first', () => {
    const older = { scannedAt: start - hour, findings: findingsOf('older', 2) };
    const newer = { scannedAt: start, findings: findingsOf('newer', 2) };
    const other = { scannerName: 'grype', scannedAt: start - 2 * hour };
    const images = [imageAfter(older, newer, other), imageAfter(newer, other, older)];
    for (const { results } of images) {
      expect(results.map(({ scannerName, scannedAt }) => [scannerName, scannedAt])).toEqual([
        ['grype', start - 2 * hour],
        ['trivy', start],
      ]);
    }
  });

  test('says whether it has taken the result', () => {
    const before = imageAfter({ scannedAt: start });
    expect(merged(before, { scannedAt: start - 1 }).isLatest).toBe(false);
    expect(merged(before, { scannedAt: start, scanId: 's-other' })).toMatchObject({
      isLatest: true,
      image: {
        results: [
          {
            scanId: 's-other',
            replaced: { scanId: before.results[0]?.scanId, ordinal: 1, pages: 1 },
          },
        ],
      },
    });
  });

  test('is the same after the same scan again, even if that scan seems newer now', () => {
    const scan = {
      scanId: 's-same',
      scannedAt: start,
      references: ['registry.example/web:1'],
      clusterId: 'c-1',
    };
    const before = imageAfter(scan);
    const again = merged(before, { ...scan, scannedAt: start + hour - 1000 });
    expect([again.isLatest, isSameImage(before, again.image)]).toEqual([true, true]);
  });

  test('learns names and clusters also from a report that it does not take', () => {
    const before = imageAfter({ scannedAt: start, references: ['registry.example/web:2'] });
    const { image } = merged(before, {
      scannedAt: start - day,
      at: start,
      references: ['registry.example/web:1'],
      clusterId: 'c-old',
    });
    expect(image.names).toEqual([
      { alias: 'registry.example/web:2', platform: '', scannedAt: start, reportedAt: start },
      { alias: 'registry.example/web:1', platform: '', scannedAt: start - day, reportedAt: start },
    ]);
    expect([...image.clusters]).toEqual([['c-old', start]]);
  });

  test('is named by references written out, and by its other digests, not by its own', () => {
    const references = [
      'web',
      `web@${digest}`,
      'web:1@sha256:' + 'a'.repeat(64),
      'NOT AN IMAGE',
      `a/${'b'.repeat(600)}`,
    ];
    const { names } = imageAfter({ references, digests: [digest, digestOf('index')] });
    expect(names.map(({ alias }) => alias)).toEqual(
      ['docker.io/library/web:latest', `sha256:${'a'.repeat(64)}`, digestOf('index')].sort(),
    );
  });

  test('keeps the 32 names that it was last scanned under, and tells which have gone', () => {
    const many = Array.from({ length: maxNames }, (_, index) => `registry.example/web:${index}`);
    const before = imageAfter({ scannedAt: start, references: many });
    const { image, dropped } = merged(before, {
      scannedAt: start + hour,
      references: [...many.slice(1), 'registry.example/web:new'],
    });
    expect(image.names).toHaveLength(maxNames);
    expect(dropped).toMatchObject([{ alias: 'registry.example/web:0', platform: '', scannedAt: start }]);
  });

  test('moves all its names to its platform once a report says it', () => {
    const before = imageAfter({ references: ['web:1'] });
    const { image, dropped } = merged(before, { scannerName: 'grype', platform: 'linux/arm64/v8' });
    expect(image.names.map(({ platform }) => platform)).toEqual(['linux/arm64']);
    expect(dropped.map(({ platform }) => platform)).toEqual(['']);
  });

  test.each([
    ['linux/amd64', 'linux/amd64'],
    ['Linux/ARM/v7', 'linux/arm/v7'],
    ['linux/amd64/v3', 'linux/amd64'],
    ['plan9/amd64', ''],
    ['amd64', ''],
    ['linux/amd64 ', ''],
  ])('takes the platform %j for %j: reports cannot make up any number of them', (said, platform) => {
    expect(imageAfter({ references: ['web:1'], platform: said }).names[0]?.platform).toBe(platform);
  });

  test('forgets results and names that nobody has reported for as long as it is kept, however old the scans are', () => {
    const old = { scannerName: 'grype', scannedAt: start - 10 * kept, references: ['web:1'] };
    const before = imageAfter({ ...old, at: start });
    const within = merged(before, { scannedAt: start, at: start + kept - hour }).image;
    expect([within.results.length, within.names.length]).toEqual([2, 1]);
    const { image, dropped } = merged(before, { scannedAt: start, at: start + kept + hour });
    expect(image.results.map(({ scannerName }) => scannerName)).toEqual(['trivy']);
    expect([image.names, dropped.length]).toEqual([[], 1]);
    const again = merged(before, { ...old, at: start + kept - day }).image;
    expect(merged(again, { scannedAt: start, at: start + kept + hour }).image.results).toHaveLength(2);
  });

  test('has six scanners at most, and has room again once one of them is long gone', () => {
    const scans = Array.from({ length: maxScanners }, (_, index) => ({
      scannerName: `scanner-${index}`,
      scannedAt: start,
      at: start - (index === 0 ? kept - day : 0),
    }));
    const image = imageAfter(...scans);
    const seventh = outcomeFor({ digest, scannerName: 'scanner-7', scannedAt: start });
    expect(merge(image, digest, { result: seventh, at: start, expiresAt: start + kept })).toBe('TOO_MANY');
    const later = start + 2 * day;
    const after = merge(image, digest, { result: seventh, at: later, expiresAt: later + kept });
    expect(after).toMatchObject({ isLatest: true });
  });

  test('is written again for a cluster or for its life alone after an hour, not before', () => {
    const scan = { scanId: 's-1', clusterId: 'c-1', scannedAt: start };
    const before = imageAfter(scan);
    expect(isSameImage(before, merged(before, { ...scan, at: start + hour - 1000 }).image)).toBe(true);
    const { image } = merged(before, { ...scan, at: start + hour + 1 });
    expect(isSameImage(before, image)).toBe(false);
    expect([image.clusters.get('c-1'), image.expiresAt]).toEqual([
      start + hour + 1,
      start + hour + kept + 1000,
    ]);
  });

  test('comes to the same whatever the order of uploads, and however often they are repeated', () => {
    const scan = fc.record({
      scannerName: fc.constantFrom('trivy', 'grype', 'other'),
      scannedAt: fc.integer({ min: 0, max: 50 }).map((minutes) => start - minutes * 60_000),
      references: fc.array(fc.constantFrom('web:1', 'web:2', 'registry.example/app:3'), { maxLength: 3 }),
      clusterId: fc.option(fc.constantFrom('c-1', 'c-2'), { nil: undefined }),
      at: fc.constant(start),
    });
    // Of equally old scans of one scanner the last stays: they do have an order.
    const scans = fc.uniqueArray(scan, {
      minLength: 1,
      maxLength: 6,
      selector: ({ scannerName, scannedAt }) => `${scannerName} ${scannedAt}`,
    });
    const shuffled = scans.chain((all) =>
      fc.tuple(fc.constant(all), fc.shuffledSubarray([...all, ...all], { minLength: 2 * all.length })),
    );
    fc.assert(
      fc.property(shuffled, ([some, others]) => {
        const given = some.map(({ clusterId, ...rest }) => ({
          ...rest,
          ...(clusterId ? { clusterId } : {}),
        }));
        const again = others.map(({ clusterId, ...rest }) => ({
          ...rest,
          ...(clusterId ? { clusterId } : {}),
        }));
        const comparable = (image: ScannedImage) => {
          const { results, ...rest } = shown(image);
          return {
            ...rest,
            results: results.map(({ replaced: _replaced, ...result }) => result),
          };
        };
        expect(comparable(imageAfter(...again))).toEqual(comparable(imageAfter(...given)));
      }),
      { seed: 6, numRuns: 200 },
    );
  });
});
