import { describe, expect, test } from '@jest/globals';
import { grown, sampleOf } from '../../../bench/scan/grype-report.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const report = (ids: readonly string[]) =>
  sampleOf(
    JSON.stringify({
      matches: ids.map((id) => ({ vulnerability: { id, severity: 'High' }, artifact: { name: 'libc6' } })),
      source: { target: { manifestDigest: digest } },
    }),
  );

describe('a Grype report to measure with', () => {
  test('tells its findings and the digest of its image', () => {
    expect(report(['CVE-1', 'CVE-2'])).toMatchObject({ findings: 2, digest });
  });

  test('grows to the size that is asked for, and hardly beyond, by matches of its own under new names', () => {
    const { text, findings } = grown(report(['CVE-1', 'CVE-2']), 100_000);
    expect(Buffer.byteLength(text)).toBeGreaterThanOrEqual(100_000);
    expect(Buffer.byteLength(text)).toBeLessThan(110_000);
    const { matches } = JSON.parse(text) as { matches: { vulnerability: { id: string } }[] };
    expect(matches).toHaveLength(findings);
    expect(new Set(matches.map(({ vulnerability }) => vulnerability.id)).size).toBe(findings);
    expect(matches.slice(0, 3).map(({ vulnerability }) => vulnerability.id)).toEqual([
      'CVE-1',
      'CVE-2',
      'CVE-1-1',
    ]);
  });

  test('stays as it is when it is large enough', () => {
    expect(grown(report(['CVE-1']), 10).findings).toBe(1);
  });
});
