import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ManifestRepository } from '../../../core/release/manifest-repository.ts';
import { manifestNames } from '../../../core/release/release-schema.ts';
import type { MirroredRelease } from '../../../functions/release-mirror/mirror-releases.ts';
import { mirroredInWords, requireManifestDirectory, takeManifests } from '../../../local/stack/manifests.ts';
import { EndpointUnderTest } from '../aws/endpoint-fixture.ts';

const versions = ['v3.32.1', 'v3.31.7'];
const contents = (version: string, name: string) => Buffer.from(`# ${name} of ${version}\n`.repeat(100));
const releases: readonly MirroredRelease[] = versions.map((version) => ({
  version,
  manifests: manifestNames.map((name) => {
    const bytes = contents(version, name);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    return { name, url: 'https://raw.githubusercontent.com/x', sha256, bytes: bytes.length };
  }),
}));

describe('a directory of manifests', () => {
  let directory: string;
  let under: EndpointUnderTest;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'manifests-'));
    for (const version of versions) {
      await mkdir(path.join(directory, version));
      for (const name of manifestNames)
        await writeFile(path.join(directory, version, name), contents(version, name));
    }
    under = await EndpointUnderTest.start();
  });
  afterEach(async () => {
    await under.stop();
    await rm(directory, { recursive: true, force: true });
  });
  const file = (version: string, name: string) => path.join(directory, version, name);
  const take = () =>
    takeManifests(directory, { endpoint: under.endpoint, bucket: 'versioned-bucket', releases });
  /** Digests in storage, by release. */
  const kept = async () => {
    const repository = new ManifestRepository(under.s3(under.endpoint.operator), 'versioned-bucket');
    return Promise.all(versions.map(async (version) => (await repository.mirrored(version)).size));
  };

  test('is taken whole, and said in one line', async () => {
    const mirrored = await take();
    expect(mirroredInWords(mirrored)).toEqual(['6 of 6 manifests are mirrored, 6 of them now']);
    expect(await kept()).toEqual([3, 3]);
  });

  test('of which all is there already is not read again', async () => {
    await take();
    await rm(file('v3.32.1', 'operator-crds.yaml'));
    await writeFile(file('v3.31.7', 'operator-crds.yaml'), 'changed');
    expect(mirroredInWords(await take())).toEqual(['6 of 6 manifests are mirrored']);
    expect(await kept()).toEqual([3, 3]);
  });

  test('that lacks a file, has one changed, one cut and one too large: each is said, the others are taken', async () => {
    await rm(file('v3.32.1', 'operator-crds.yaml'));
    const changed = contents('v3.32.1', 'tigera-operator.yaml');
    changed.write('!');
    await writeFile(file('v3.32.1', 'tigera-operator.yaml'), changed);
    await writeFile(
      file('v3.32.1', 'custom-resources.yaml'),
      contents('v3.32.1', 'custom-resources.yaml').subarray(1),
    );
    await writeFile(file('v3.31.7', 'operator-crds.yaml'), 'x'.repeat(1_000_000));
    await rm(file('v3.31.7', 'tigera-operator.yaml'));
    await mkdir(file('v3.31.7', 'tigera-operator.yaml'));
    const [first, ...refused] = mirroredInWords(await take());
    expect(first).toBe('1 of 6 manifests are mirrored, 1 of them now');
    expect(refused).toEqual([
      expect.stringContaining(
        `not v3.32.1/operator-crds.yaml: there is no ${file('v3.32.1', 'operator-crds.yaml')};`,
      ),
      expect.stringMatching(
        /not v3\.32\.1\/tigera-operator\.yaml: its SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64} as in the catalogue;/,
      ),
      expect.stringMatching(/not v3\.32\.1\/custom-resources\.yaml: it has \d+ of \d+ bytes;/),
      expect.stringMatching(/not v3\.31\.7\/operator-crds\.yaml: it has more than \d+ bytes;/),
      expect.stringContaining('tigera-operator.yaml cannot be read (EISDIR);'),
    ]);
    expect(await kept()).toEqual([0, 1]);
  });

  test('that is empty leaves all to upstream and throws nothing', async () => {
    await rm(directory, { recursive: true });
    await mkdir(directory);
    const words = mirroredInWords(await take());
    expect(words[0]).toBe('0 of 6 manifests are mirrored');
    expect(words.slice(1)).toHaveLength(6);
  });

  test('that is none is an error before anything starts, which names the option', async () => {
    await expect(requireManifestDirectory(directory)).resolves.toBeUndefined();
    for (const wrong of [`${directory}-not`, file('v3.32.1', 'operator-crds.yaml')])
      await expect(requireManifestDirectory(wrong)).rejects.toThrow(
        `--manifests ${wrong}: there is no such directory.`,
      );
  });
});
