/** Upstream's manifests on a laptop: from a directory when one is given, otherwise from nowhere by itself. */
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { catalogue } from '../../core/release/catalogue.ts';
import type { Stack } from './stack.ts';

const { releases } = catalogue();
const count = releases.reduce((sum, { manifests }) => sum + manifests.length, 0);

/** A directory that has one file of all, and this one changed. */
export async function changedManifests(directory: string): Promise<string> {
  const [release] = releases;
  const [manifest] = release?.manifests ?? [];
  if (!release || !manifest) throw new Error('The catalogue is empty.');
  await mkdir(path.join(directory, release.version), { recursive: true });
  await writeFile(path.join(directory, release.version, manifest.name), Buffer.alloc(manifest.bytes, '#'));
  return directory;
}

async function nothingIsMirrored({ api }: Stack): Promise<void> {
  for (const { version, manifests } of releases) {
    const { json } = await api.get(`/v1/releases/${version}`, { token: null });
    expect(json).toMatchObject({ manifests: manifests.map(({ name }) => ({ name, mirrored: false })) });
    for (const { name, url } of manifests) {
      const answer = await api.get(`/v1/releases/${version}/manifests/${name}`, { token: null });
      expect([answer.status, answer.headers.location]).toEqual([302, url]);
    }
  }
}

/** What the mirror's function has written: it was never invoked. */
async function mirrorLog({ process: { data } }: Stack): Promise<string> {
  const names = (await readdir(path.join(data, 'logs'))).filter((name) => name.startsWith('ReleaseMirror'));
  expect(names).toHaveLength(1);
  return readFile(path.join(data, 'logs', names[0] ?? ''), 'utf8');
}

export function withoutManifests(stack: () => Stack): void {
  describe('without --manifests', () => {
    test('nothing is fetched: the mirror does not run, and each manifest is a redirect to upstream', async () => {
      await nothingIsMirrored(stack());
      expect(await mirrorLog(stack())).toBe('');
      expect(stack().process.output).not.toContain('manifests are mirrored');
    });
  });
}

export function withChangedManifests(stack: () => Stack): void {
  test('with --manifests it says what is changed and lacking, takes none of it, and is up all the same', async () => {
    const { output } = stack().process;
    expect(output).toContain(`0 of ${count} manifests are mirrored\n`);
    expect(output.match(/ {2}not v\d\S+\.yaml: /g)).toHaveLength(count);
    expect(
      output.match(/: its SHA-256 is [0-9a-f]{64}, not [0-9a-f]{64} as in the catalogue;/g),
    ).toHaveLength(1);
    expect(output.match(/: there is no \S+\.yaml;/g)).toHaveLength(count - 1);
    await nothingIsMirrored(stack());
  });
}
