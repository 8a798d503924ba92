import { beforeEach, describe, expect, test } from '@jest/globals';
import { PodFiles } from '../../../local/demo-cluster/pod-files.ts';
import { parseScript, runCommand } from '../../../local/demo-cluster/pod-shell.ts';
import { forTerminal, PodTerminal } from '../../../local/demo-cluster/pod-terminal.ts';
import { readTar } from '../../../local/demo-cluster/tar-archive.ts';

describe('a container of the demo', () => {
  let files: PodFiles;
  beforeEach(() => {
    files = new PodFiles({ '/etc/hostname': 'web-1\n', '/app/README': 'read me\n' });
  });

  async function* given(...chunks: (string | Buffer)[]): AsyncGenerator<Buffer> {
    for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk));
  }
  async function run(argv: string[], stdin = given(), terminal = false) {
    const out: Buffer[] = [];
    let errors = '';
    const io = {
      stdin,
      stdout: (bytes: Buffer | string) => Promise.resolve(void out.push(Buffer.from(bytes))),
      stderr: (bytes: Buffer | string) => Promise.resolve(void (errors += bytes.toString())),
      signal: new AbortController().signal,
      terminal,
    };
    const code = await runCommand(argv, io, { hostname: 'web-1', environment: { HOSTNAME: 'web-1' }, files });
    return { code, out: Buffer.concat(out).toString(), bytes: Buffer.concat(out), errors };
  }

  test.each([
    [['echo', 'a', 'b'], 'a b\n'],
    [['echo', '-n', 'a'], 'a'],
    [['hostname'], 'web-1\n'],
    [['env'], 'HOSTNAME=web-1\n'],
    [['cat', '/etc/hostname', '/app/README'], 'web-1\nread me\n'],
    [['ls', '-la', '/app'], 'README\n'],
    [['sh', '-c', `echo "a  b" 'c; d' && true; echo e`], 'a  b c; d\ne\n'],
    [['sh', '-c', 'false && echo no; echo yes'], 'yes\n'],
  ])('answers %j', async (argv, out) => {
    expect(await run(argv)).toMatchObject({ code: 0, out, errors: '' });
  });

  test.each([
    [['nothing'], 127, 'nothing: not found; a container of the demo has: echo,'],
    [['constructor'], 127, 'constructor: not found'],
    [['cat', '/missing'], 1, 'cat: /missing: no such file or directory\n'],
    [['sh', '-c', 'exit 7'], 7, ''],
    [['sh', '-c', 'cat < /etc/hostname'], 2, "the demo's shell knows words, quotes, ; and && only"],
    [['sh', '-c', 'echo $(hostname)'], 2, "the demo's shell knows"],
    [['test', '-d', '/etc/hostname'], 1, ''],
    [['tar', 'tf', '-'], 1, 'tar: unknown flag tf'],
  ])('ends %j with %d', async (argv, code, errors) => {
    const result = await run(argv);
    expect(result.code).toBe(code);
    expect(result.errors).toContain(errors);
  });

  test('passes its input through cat', async () => {
    expect((await run(['cat'], given('one ', 'two'))).out).toBe('one two');
  });

  test('packs and unpacks what kubectl cp asks for', async () => {
    const packed = await run(['tar', 'cf', '-', '/app']);
    expect(readTar(packed.bytes).map(({ path }) => path)).toEqual(['app/', 'app/README']);
    expect((await run(['tar', '-xmf', '-', '-C', '/tmp'], given(packed.bytes))).code).toBe(0);
    expect((await run(['cat', '/tmp/app/README'])).out).toBe('read me\n');
    expect(await run(['tar', 'xf', '-'], given('no archive'.repeat(100)))).toMatchObject({
      code: 1,
      errors: 'tar: this does not look like a tar archive\n',
    });
  });

  test('is a shell that runs its input line by line until exit', async () => {
    const { out, code } = await run(['sh'], given('echo a\nec', 'ho b\nexit 3\necho c\n'));
    expect([out, code]).toEqual(['a\nb\n', 3]);
    expect((await run(['sh'], given('hostname'), true)).out).toBe('$ web-1\n');
  });
});

describe('a script', () => {
  test('is taken apart into commands, or not at all', () => {
    expect(parseScript(' a b ; c&&d "e f"\n')).toEqual([
      { words: ['a', 'b'], onlyAfterSuccess: false },
      { words: ['c'], onlyAfterSuccess: false },
      { words: ['d', 'e f'], onlyAfterSuccess: true },
    ]);
    expect(parseScript('')).toEqual([]);
    for (const text of ['a | b', 'a > b', 'a &', '; a', 'a "b', '`a`', 'a #b']) {
      expect(parseScript(text)).toBeUndefined();
    }
  });
});

describe('a terminal', () => {
  const typed = (text: string) => [...new PodTerminal().type(text)];
  test('echoes, gives whole lines, takes back and drops', () => {
    const all = typed('lx\x7fs\r');
    expect(all.map(({ echo }) => echo).join('')).toBe('lx\b \bs\r\n');
    expect(all.flatMap(({ line }) => line ?? [])).toEqual(['ls\n']);
    expect(typed('abc\x03d\n').flatMap(({ line }) => line ?? [])).toEqual(['\n', 'd\n']);
    expect(typed('\x7f')).toEqual([]);
  });

  test('ends its input with Ctrl-D on an empty line only', () => {
    expect(typed('a\x04').some(({ end }) => end)).toBe(false);
    expect(typed('\x04')).toEqual([{ echo: '', end: true }]);
  });

  test('shows lines from their beginning, and bytes as they are', () => {
    expect(forTerminal('a\nb\r\n').toString()).toBe('a\r\nb\r\n');
    expect(forTerminal(Buffer.of(0xff, 10))).toEqual(Buffer.of(0xff, 13, 10));
  });
});
