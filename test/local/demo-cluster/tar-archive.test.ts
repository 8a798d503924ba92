import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readTar, writeTar } from '../../../local/demo-cluster/tar-archive.ts';

const entry = (path: string, bytes: Buffer) => ({
  path,
  bytes,
  mode: 0o644,
  modified: new Date(1_700_000_000_000),
  folder: false,
});
const long = `${'deep/'.repeat(40)}a file with ä`;

describe('a tar archive', () => {
  let home: string;
  beforeAll(() => void (home = mkdtempSync(join(tmpdir(), 'cattery-tar-'))));
  afterAll(() => rmSync(home, { recursive: true }));

  test('comes back as it was written: names of any length, bytes of any number', () => {
    const entries = [0, 1, 511, 512, 513, 2_000].map((size) => entry(`f${size}`, randomBytes(size)));
    const folder = { ...entry('folder', Buffer.alloc(0)), mode: 0o755, folder: true };
    const read = readTar(writeTar([folder, ...entries, entry(long, Buffer.from('x'))]));
    expect(read.map(({ path }) => path)).toEqual([
      'folder/',
      'f0',
      'f1',
      'f511',
      'f512',
      'f513',
      'f2000',
      long,
    ]);
    expect(read.slice(1, -1).map(({ bytes }) => bytes)).toEqual(entries.map(({ bytes }) => bytes));
    expect(read[0]).toMatchObject({ folder: true, mode: 0o755 });
    expect(read.at(-1)?.modified).toEqual(new Date(1_700_000_000_000));
  });

  test('is what the system’s tar reads', () => {
    const archive = writeTar([entry('plain', Buffer.from('one')), entry(long, Buffer.from('two'))]);
    execFileSync('tar', ['xf', '-', '-C', home], { input: archive });
    expect(readFileSync(join(home, 'plain'), 'utf8')).toBe('one');
    expect(readFileSync(join(home, long), 'utf8')).toBe('two');
  });

  test.each(['ustar', 'gnu', 'pax'])('of the system’s tar is read (%s)', (format) => {
    const folder = join(home, format);
    mkdirSync(join(folder, 'deep/'.repeat(30)), { recursive: true });
    writeFileSync(join(folder, 'deep/'.repeat(30), 'file'), 'three');
    const archive = execFileSync('tar', ['cf', '-', `--format=${format}`, '-C', folder, '.']);
    const file = readTar(archive).find(({ path }) => path.endsWith('/file'));
    expect(file?.path).toBe(`./${'deep/'.repeat(30)}file`);
    expect(file?.bytes.toString()).toBe('three');
  });

  test('that is damaged or cut is refused', () => {
    const archive = writeTar([entry('a', randomBytes(600))]);
    expect(() => readTar(archive.subarray(0, 900))).toThrow('unexpected end');
    archive[3] = 1;
    expect(() => readTar(archive)).toThrow('does not look like a tar archive');
  });
});
