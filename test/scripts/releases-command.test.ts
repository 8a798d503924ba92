import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type Catalogue, CatalogueError } from '../../core/release/catalogue.ts';
import { releasesCommand } from '../../scripts/releases-command.ts';
import { madeRelease } from '../core/release/made-release.ts';

const contentOf = (version: string, name: string) => `# ${name} of ${version}\n`;
const releases = ['v3.2.0', 'v3.1.0'].map((version) => {
  const made = madeRelease(version);
  const manifests = made.manifests.map((manifest) => {
    const content = contentOf(version, manifest.name);
    const sha256 = createHash('sha256').update(content).digest('hex');
    return { ...manifest, sha256, bytes: content.length };
  });
  return { ...made, manifests };
});
const catalogue: Catalogue = {
  releases,
  find: (wanted) => releases.find(({ version }) => version === wanted),
};

describe('npm run releases -- check', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'cattery-manifests-'));
    for (const { version, manifests } of releases) {
      mkdirSync(path.join(directory, version));
      for (const { name } of manifests)
        writeFileSync(path.join(directory, version, name), contentOf(version, name));
    }
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const at = (...parts: string[]) => path.join(directory, ...parts);

  const run = async (...argv: string[]) => {
    let [out, err] = ['', ''];
    const code = await releasesCommand(argv, {
      catalogue: () => catalogue,
      out: (text) => (out += text),
      err: (text) => (err += text),
    });
    return { code, out, lines: out.trimEnd().split('\n'), err };
  };
  const check = (...argv: string[]) => run('check', directory, ...argv);
  const verdicts = (lines: readonly string[]) => lines.map((each) => /^\S+ +(\w+)/.exec(each)?.[1]);

  test('says ok of every manifest that is what the catalogue says, and exits 0', async () => {
    const { code, lines, err } = await check();
    expect([code, lines.length, err]).toEqual([0, 6, '']);
    expect(lines[0]).toBe('v3.2.0/operator-crds.yaml     ok');
    expect(new Set(verdicts(lines))).toEqual(new Set(['ok']));
  });

  test('exits 1 for one changed, missing or unreadable, and looks at the others all the same', async () => {
    writeFileSync(at('v3.2.0', 'operator-crds.yaml'), `${contentOf('v3.2.0', 'operator-crds.yaml')} `);
    rmSync(at('v3.2.0', 'custom-resources.yaml'));
    rmSync(at('v3.1.0', 'operator-crds.yaml'));
    mkdirSync(at('v3.1.0', 'operator-crds.yaml'));
    const { code, lines } = await check();
    expect([code, ...verdicts(lines)]).toEqual([
      ...[1, 'changed', 'ok', 'missing'],
      ...['unreadable', 'ok', 'ok'],
    ]);
    expect(lines[0]).toMatch(/changed: it has 32 bytes and SHA-256 [0-9a-f]{64}, in the catalogue 31 and /);
    expect(lines[2]).toContain(`there is no ${at('v3.2.0', 'custom-resources.yaml')}`);
    expect(lines[3]).toContain('EISDIR');
  });

  test('says changed of another content of the same length', async () => {
    writeFileSync(
      at('v3.1.0', 'operator-crds.yaml'),
      contentOf('v3.1.0', 'operator-crds.yaml').toUpperCase(),
    );
    expect(verdicts((await check()).lines)[3]).toBe('changed');
  });

  test('looks at the releases that are named only', async () => {
    rmSync(at('v3.2.0'), { recursive: true });
    expect((await check('v3.1.0')).code).toBe(0);
    expect(await check('v3.1.0', 'v3.2.0')).toMatchObject({ code: 1, lines: { length: 6 } });
  });

  test('exits 1 when there is no such directory, or it is a file', async () => {
    expect((await run('check', at('nowhere'))).code).toBe(1);
    const { code, lines } = await run('check', at('v3.1.0', 'operator-crds.yaml'));
    expect([code, ...new Set(verdicts(lines))]).toEqual([1, 'missing']);
  });

  test('exits 2 for a release that is not in the catalogue, naming those that are', async () => {
    const { code, err, out } = await check('v3.1.0', 'v9.9.9');
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('not in the catalogue: v9.9.9. It has v3.2.0, v3.1.0.');
  });

  test.each([[[]], [['check']], [['verify', 'x']], [['check', '.', '--fix']]])(
    'exits 2 for the command line %j, and says why',
    async (argv) => {
      const { code, err } = await run(...argv);
      expect([code, err === '']).toEqual([2, false]);
    },
  );

  test('helps with exit code 0', async () => {
    expect(await run('--help')).toMatchObject({ code: 0, out: expect.stringContaining('check') });
    const { code, out } = await run('check', '--help');
    expect([code, out]).toEqual([0, expect.stringContaining('Exit codes:')]);
  });

  test('exits 1 with the name of the file when the catalogue is broken', async () => {
    let err = '';
    const code = await releasesCommand(['check', directory], {
      catalogue: () => {
        throw new CatalogueError('v3.1.0.json: colour');
      },
      out: () => undefined,
      err: (text) => (err += text),
    });
    expect([code, err]).toEqual([1, 'The catalogue is broken: v3.1.0.json: colour\n']);
  });
});
