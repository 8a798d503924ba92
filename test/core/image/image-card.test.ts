import { describe, expect, test } from '@jest/globals';
import { encodeEvidence, evidenceOf } from '../../../core/image/evidence.ts';
import { cardOf, nameHash } from '../../../core/image/image-card.ts';
import type { Finding } from '../../../core/image/image-schema.ts';
import { outcomeOf, type ScannedImage } from '../../../core/image/scanned-image.ts';
import { digestOf, findingWith, outcomeFor, type Scan, start } from './scanned-images.ts';

const digest = digestOf('carded');

function imageOf(scans: readonly Omit<Scan, 'digest'>[], extra: Partial<ScannedImage> = {}): ScannedImage {
  return {
    digest,
    revision: 7,
    results: scans.map((scan) => outcomeOf(outcomeFor({ digest, ...scan }))),
    names: [],
    clusters: new Map(),
    firstSeenAt: start,
    expiresAt: start,
    ...extra,
  };
}
const hex = (bytes: readonly Uint8Array[]) => bytes.map((each) => Buffer.from(each).toString('hex'));
const unfixed: Finding['fix'] = { state: 'not-fixed', versions: [] };

describe('the card of an image', () => {
  test('counts of each severity what the scanner that finds most of it has found, and what has a fix', () => {
    const card = cardOf(
      imageOf([
        {
          findings: [
            findingWith({ severity: 'critical', fix: unfixed }),
            findingWith({ severity: 'high' }),
            findingWith({ severity: 'high', fix: unfixed }),
          ],
        },
        {
          scannerName: 'grype',
          findings: [findingWith({ severity: 'high' }), findingWith({ severity: 'low' })],
        },
      ]),
    );
    expect(card.counts).toEqual({ critical: 1, high: 2, medium: 0, low: 1, negligible: 0, unknown: 0 });
    expect(card.fixable).toEqual({ critical: 0, high: 1, medium: 0, low: 1, negligible: 0, unknown: 0 });
  });

  test('does not count what a report suppresses, but knows its name', () => {
    const suppressed = findingWith({
      vulnerability: 'CVE-2026-1',
      aliases: [],
      suppressed: { status: 'not_affected' },
    });
    const card = cardOf(imageOf([{ findings: [suppressed] }]));
    expect(Object.values(card.counts)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(hex(card.vulnerabilities)).toEqual(hex([nameHash('CVE-2026-1')]));
  });

  test('has the hashes of all names, each once, in their order, whatever the case', () => {
    const card = cardOf(
      imageOf([
        {
          findings: [
            findingWith({ vulnerability: 'CVE-2026-1', aliases: ['GHSA-abcd-efgh-jkmn'] }),
            findingWith({ vulnerability: 'cve-2026-1', aliases: ['ghsa-ABCD-efgh-jkmn'] }),
          ],
        },
      ]),
    );
    expect(hex(card.vulnerabilities)).toEqual(
      hex([nameHash('GHSA-ABCD-EFGH-JKMN'), nameHash('Cve-2026-1')]).sort(),
    );
    expect(card.partial).toBe(false);
  });

  test('has the repositories of all references and names, the clusters, and when it was scanned last', () => {
    const card = cardOf(
      imageOf(
        [
          { references: ['web:1', 'registry.example/app/web:1'], scannedAt: start - 1 },
          { scannerName: 'grype', references: [`registry.example/other@${digest}`, 'NONE'] },
        ],
        {
          names: [
            { alias: 'registry.example/once:1', platform: '', scannedAt: start },
            { alias: digestOf('index'), platform: '', scannedAt: start },
          ],
          clusters: new Map([
            ['c-2', start],
            ['c-1', start],
          ]),
        },
      ),
    );
    expect(card).toMatchObject({
      digest,
      revision: 7,
      repositories: [
        'docker.io/library/web',
        'registry.example/app/web',
        'registry.example/once',
        'registry.example/other',
      ],
      clusters: ['c-1', 'c-2'],
      scannedAt: start,
    });
  });

  test('is partial, and without hashes, where the image no longer tells all findings apart', () => {
    const findings = Array.from({ length: 9_000 }, (_, index) =>
      findingWith({ vulnerability: `CVE-${index * 7919}-${index}` }),
    );
    const evidence = encodeEvidence(evidenceOf(findings), 40 * 1024);
    const image = imageOf([{ findings: [] }]);
    const folded = image.results.map((result) => outcomeOf({ ...result, evidence }));
    const card = cardOf({ ...image, results: folded });
    expect(folded[0]?.evidence().rest.length).toBeGreaterThan(0);
    expect([card.partial, card.vulnerabilities]).toEqual([true, []]);
    expect(Object.values(card.counts).reduce((sum, each) => sum + each)).toBe(9_000);
    expect(card.fixable).toEqual(card.counts);
  });

  test('is partial for more than 16,384 names', () => {
    const findings = Array.from({ length: 8_500 }, (_, index) =>
      findingWith({ vulnerability: `CVE-2026-${index}`, aliases: [`GHSA-${index}`] }),
    );
    expect(cardOf(imageOf([{ findings }]))).toMatchObject({ partial: true, vulnerabilities: [] });
    expect(cardOf(imageOf([{ findings: findings.slice(0, 8_000) }])).vulnerabilities).toHaveLength(16_000);
  });
});
