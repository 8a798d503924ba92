import { describe, expect, test } from '@jest/globals';
import { readTrivyK8s } from '../../../../functions/image-scan/report/trivy-k8s.ts';
import { digestOf, scored } from '../reports.ts';
import { counted, fixtureJson, onlyScan, refusal, scansOf } from './refusal.ts';

const [one, two] = [digestOf('1'), digestOf('2')];
const metadata = (name: string, digest: string) => ({
  RepoTags: [`${name}:1`],
  RepoDigests: [`${name}@${digest}`],
});
const resource = (name: string, vulnerabilities: readonly unknown[], overrides = {}) => ({
  Namespace: 'shop',
  Kind: 'Deployment',
  Name: name,
  Metadata: [metadata(`registry.example/${name}`, one)],
  Results: [
    {
      Target: `registry.example/${name}:1 (debian 12.1)`,
      Class: 'os-pkgs',
      Type: 'debian',
      Vulnerabilities: vulnerabilities,
    },
  ],
  ...overrides,
});
const misconfigured = (overrides = {}) =>
  resource('web', [], {
    Results: [{ Target: 'Deployment/web', Class: 'config', Type: 'kubernetes' }],
    ...overrides,
  });
const read = (...Resources: unknown[]) => scansOf(readTrivyK8s({ ClusterName: 'kind', Resources }));

describe("a report of 'trivy k8s'", () => {
  test('of 2022 has the images by name and counts what Trivy counts', () => {
    const report = readTrivyK8s(fixtureJson('trivy-k8s-before-036.json'));
    expect(report).toMatchObject({ format: 'trivy-k8s', scanner: { name: 'trivy' } });
    expect(scansOf(report).map((scan) => [scan.image.references, counted(scan)])).toEqual([
      [['gcr.io/google_samples/gb-redis-follower:v2'], { medium: 1, low: 2 }],
      [['docker.io/redis:6.0.5'], { medium: 1, low: 3 }],
    ]);
  });

  test('is a scan for each image', () => {
    expect(
      read(
        resource('web', [scored('CVE-1', 5)]),
        resource('api', [], { Metadata: [metadata('registry.example/api', two)] }),
      ).map(({ image, findings }) => [image.digests, image.references, findings.length]),
    ).toEqual([
      [[one], ['registry.example/web:1'], 1],
      [[two], ['registry.example/api:1'], 0],
    ]);
  });

  test('takes an image that several workloads run once, with all that is found in it', () => {
    const [scan, ...others] = read(
      resource('web', [scored('CVE-1', 5), scored('CVE-1', 5)]),
      resource('web', [scored('CVE-1', 5), scored('CVE-2', 5)], { Name: 'worker' }),
    );
    expect(others).toEqual([]);
    // Trivy counts an entry that stands there twice twice.
    expect(scan?.findings.map(({ vulnerability }) => vulnerability)).toEqual(['CVE-1', 'CVE-1', 'CVE-2']);
  });

  test('takes metadata as one object too, as versions before 0.50 wrote them', () => {
    expect(
      read(resource('web', [], { Metadata: metadata('registry.example/web', one) }))[0]?.image.digests,
    ).toEqual([one]);
  });

  test('leaves out what is no scan of an image, so that no image looks clean that nobody scanned', () => {
    const scans = read(
      misconfigured(),
      resource('web', [], { Results: null, Error: 'unable to pull' }),
      resource('node', [scored('CVE-1', 5)], { Kind: 'NodeComponents', Metadata: [{}] }),
      resource('api', [scored('CVE-2', 5)], { Metadata: [{ ImageConfig: {} }, metadata('a', two)] }),
    );
    expect(scans.map(({ image }) => image.digests)).toEqual([[two]]);
    expect(
      onlyScan(readTrivyK8s({ ClusterName: 'kind', Resources: [resource('web', [], { Results: [] })] })),
    ).toMatchObject({ findings: [] });
    const withSystem = { ...metadata('registry.example/web', one), OS: { Family: 'alpine' } };
    expect(read(resource('web', [scored('CVE-1', 5)], { Metadata: [withSystem] }))).toHaveLength(1);
    expect(
      refusal(() =>
        readTrivyK8s({
          ClusterName: 'kind',
          Resources: [resource('web', [], { Results: [], Metadata: [withSystem] })],
        }),
      ).code,
    ).toBe('REPORT_UNSUPPORTED');
  });

  test('is refused with REPORT_UNSUPPORTED when no image was scanned', () => {
    for (const Resources of [[], null, [misconfigured()]]) {
      const refused = refusal(() => readTrivyK8s({ ClusterName: 'kind', Resources }));
      expect(refused.code).toBe('REPORT_UNSUPPORTED');
      expect(refused.message).toContain('no image was scanned');
    }
  });

  test('is refused with REPORT_UNSUPPORTED when it does not say which image has which finding', () => {
    const merged = resource('web', [scored('CVE-1', 5)], {
      Metadata: [metadata('a', one), metadata('b', two)],
    });
    const refused = refusal(() => readTrivyK8s({ ClusterName: 'kind', Findings: [merged] }));
    expect(refused.code).toBe('REPORT_UNSUPPORTED');
    expect(refused.message).toContain('--report all');
  });

  test('is refused with PAYLOAD_TOO_LARGE for more than 500 images', () => {
    const many = Array.from({ length: 501 }, (_, at) =>
      resource(`web-${at}`, [], { Metadata: [{ Reference: `web-${at}` }] }),
    );
    expect(refusal(() => read(...many)).code).toBe('PAYLOAD_TOO_LARGE');
  });
});
