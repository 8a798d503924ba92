import { describe, expect, test } from '@jest/globals';
import { absolute, PodFiles } from '../../../local/demo-cluster/pod-files.ts';

describe('the files of a demo pod', () => {
  test('are found by any spelling of their path', () => {
    const files = new PodFiles({ '/etc/hostname': 'a' });
    for (const path of ['/etc/hostname', 'etc/hostname', '/./etc//x/../hostname', '../etc/hostname']) {
      expect(files.read(path).bytes.toString()).toBe('a');
    }
    expect(absolute('..')).toBe('/');
  });

  test('are written where a folder is, and listed', () => {
    const files = new PodFiles();
    expect(() => files.write('/data/a', Buffer.from('a'))).toThrow('no such file or directory');
    files.makeFolder('/data/deep');
    files.write('/data/a', Buffer.from('a'), { mode: 0o755 });
    expect(files.list('/data')).toEqual(['a', 'deep']);
    expect(files.read('/data/a').mode).toBe(0o755);
    expect(() => files.write('/data', Buffer.from('a'))).toThrow('is a directory');
    expect(() => files.makeFolder('/data/a/b')).toThrow('file exists');
    expect(() => files.read('/data')).toThrow('is a directory');
    expect(() => files.list('/nowhere')).toThrow('no such file or directory');
  });

  test('take no more than the limit, and what is removed or replaced makes room', () => {
    const files = new PodFiles({}, 10);
    files.write('/tmp/a', Buffer.alloc(8));
    expect(() => files.write('/tmp/b', Buffer.alloc(3))).toThrow('no space left on device');
    files.write('/tmp/a', Buffer.alloc(7));
    files.write('/tmp/b', Buffer.alloc(3));
    files.remove('/tmp/a');
    files.write('/tmp/c', Buffer.alloc(7));
    expect(files.list('/tmp')).toEqual(['b', 'c']);
  });

  test('go with their folder; the root stays', () => {
    const files = new PodFiles();
    files.makeFolder('/tmp/a/b');
    files.write('/tmp/a/b/c', Buffer.alloc(1));
    files.remove('/tmp/a');
    expect([files.isFolder('/tmp/a/b'), files.isFile('/tmp/a/b/c')]).toEqual([false, false]);
    expect(() => files.remove('/tmp/a')).toThrow('no such file');
    expect(() => files.remove('/')).toThrow('may not be removed');
  });
});
