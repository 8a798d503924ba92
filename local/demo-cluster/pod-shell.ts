import { setTimeout as delay } from 'node:timers/promises';
import { FileError, type PodFiles } from './pod-files.ts';
import { tar } from './pod-tar.ts';

/** What a command of a demo pod sees and says. */
export type CommandIo = {
  readonly stdin: AsyncIterable<Buffer>;
  /** Resolves when there is room for more. */
  readonly stdout: (bytes: Buffer | string) => Promise<void>;
  readonly stderr: (bytes: Buffer | string) => Promise<void>;
  /** Aborted when nobody is left to listen. */
  readonly signal: AbortSignal;
  /** Interactive: a shell shows a prompt. */
  readonly terminal: boolean;
};

export type PodPlace = {
  readonly hostname: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly files: PodFiles;
};

type Command = (given: readonly string[], io: CommandIo, place: PodPlace) => Promise<number>;

/** A demo pod holds no more than this of its standard input, bytes. */
const maxInput = 16 * 1024 * 1024;

async function allOf(stdin: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stdin) {
    size += chunk.length;
    if (size > maxInput) throw new FileError('no space left on device');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

const commands: Readonly<Record<string, Command>> = {
  async echo(given, { stdout }) {
    await stdout(given[0] === '-n' ? given.slice(1).join(' ') : `${given.join(' ')}\n`);
    return 0;
  },
  async cat(given, { stdin, stdout }, { files }) {
    for (const name of given.length > 0 ? given : ['-']) {
      if (name === '-') for await (const chunk of stdin) await stdout(chunk);
      else await stdout(files.read(name).bytes);
    }
    return 0;
  },
  async env(_given, { stdout }, { environment }) {
    for (const [name, value] of Object.entries(environment)) await stdout(`${name}=${value}\n`);
    return 0;
  },
  async hostname(_given, { stdout }, { hostname }) {
    await stdout(`${hostname}\n`);
    return 0;
  },
  async ls(given, { stdout }, { files }) {
    const names = given.filter((word) => !word.startsWith('-'));
    for (const name of names.length > 0 ? names : ['/']) {
      const lines = files.isFile(name) ? [name] : files.list(name);
      for (const line of lines) await stdout(`${line}\n`);
    }
    return 0;
  },
  mkdir(given, _io, { files }) {
    for (const name of given.filter((word) => word !== '-p')) files.makeFolder(name);
    return Promise.resolve(0);
  },
  rm(given, _io, { files }) {
    for (const name of given.filter((word) => !word.startsWith('-'))) files.remove(name);
    return Promise.resolve(0);
  },
  async sleep([seconds = '0'], { signal }) {
    await delay(Number(seconds) * 1000, undefined, { signal }).catch(() => undefined);
    return 0;
  },
  async tar(given, { stdin, stdout }, { files }) {
    const archive = await tar(files, given, () => allOf(stdin));
    if (archive) await stdout(archive);
    return 0;
  },
  async test([flag, name = ''], { stderr }, { files }) {
    const tests = {
      '-d': files.isFolder(name),
      '-f': files.isFile(name),
      '-e': files.isFile(name) || files.isFolder(name),
    };
    const result = flag === '-d' || flag === '-f' || flag === '-e' ? tests[flag] : undefined;
    if (result === undefined) await stderr('test: only -d, -e and -f are known\n');
    return result === undefined ? 2 : result ? 0 : 1;
  },
  true: () => Promise.resolve(0),
  false: () => Promise.resolve(1),
  async sh(given, io, place) {
    if (given[0] === '-c') return (await script(given[1] ?? '', io, place)).code;
    if (given.length > 0) throw new FileError('only "sh" and "sh -c TEXT" are known');
    return interactive(io, place);
  },
};

/** Runs a command of the demo's containers; resolves with its exit code. */
export async function runCommand(argv: readonly string[], io: CommandIo, place: PodPlace): Promise<number> {
  const [name = '', ...given] = argv;
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    const known = Object.keys(commands).join(', ');
    await io.stderr(`${name}: not found; a container of the demo has: ${known}\n`);
    return 127;
  }
  try {
    return await command(given, io, place);
  } catch (error) {
    if (!(error instanceof FileError)) throw error;
    await io.stderr(`${name}: ${error.message}\n`);
    return 1;
  }
}

type Step = { readonly words: string[]; readonly onlyAfterSuccess: boolean };

/** Commands with quotes, `;` and `&&`; undefined for anything else that a real shell knows. */
export function parseScript(text: string): Step[] | undefined {
  const steps: { words: string[]; onlyAfterSuccess: boolean }[] = [];
  let current = { words: [] as string[], onlyAfterSuccess: false };
  const part = /\s*(?:(&&|;|\n)|((?:[^\s"'\\;&|<>$`*?()#]|"[^"$`\\]*"|'[^']*')+))[^\S\n]*/y;
  while (part.lastIndex < text.trimEnd().length) {
    const found = part.exec(text.trimEnd());
    if (!found) return undefined;
    const [, separator, word] = found;
    if (word !== undefined) current.words.push(word.replace(/"([^"]*)"|'([^']*)'/g, '$1$2'));
    else {
      if (current.words.length === 0) return undefined;
      steps.push(current);
      current = { words: [], onlyAfterSuccess: separator === '&&' };
    }
  }
  if (current.words.length > 0) steps.push(current);
  return steps;
}

async function script(
  text: string,
  io: CommandIo,
  place: PodPlace,
): Promise<{ code: number; over: boolean }> {
  const steps = parseScript(text);
  if (!steps) {
    await io.stderr("sh: the demo's shell knows words, quotes, ; and && only\n");
    return { code: 2, over: false };
  }
  let code = 0;
  for (const { words, onlyAfterSuccess } of steps) {
    if (onlyAfterSuccess && code !== 0) continue;
    if (words[0] === 'exit') return { code: Number(words[1] ?? code) & 0xff, over: true };
    code = await runCommand(words, io, place);
  }
  return { code, over: false };
}

/** Line by line, until the input ends or `exit`. */
async function interactive(io: CommandIo, place: PodPlace): Promise<number> {
  const prompt = () => (io.terminal ? io.stdout('$ ') : Promise.resolve());
  let code = 0;
  let rest = '';
  // What a command reads is not the script: there is only one input.
  const inner = { ...io, stdin: none() };
  await prompt();
  for await (const chunk of io.stdin) {
    const lines = (rest + chunk.toString('utf8')).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const done = await script(line, inner, place);
      code = done.code;
      if (done.over) return code;
      await prompt();
    }
  }
  return rest.trim() === '' ? code : (await script(rest, inner, place)).code;
}

async function* none(): AsyncGenerator<Buffer> {
  // Ended before it begins.
}
