import { spawnSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** A shell of this machine, and whose tools it is used with. */
export type Shell = {
  readonly name: string;
  /** The shell, to be followed by a script's name or `-s`. */
  readonly command: readonly string[];
  /** busybox's file, when its tools are used; else the system's. */
  readonly busybox?: string;
};

/** The tools that a script may count on: of POSIX, and mktemp, which every system has. */
const posixTools =
  'awk basename cat chmod cmp cp cut date dd diff dirname env expr false find fold grep head id kill ls mkdir mkfifo mktemp mv od paste printf ps pwd rm rmdir sed sort tail tee test touch tr true tty uname uniq wc xargs'.split(
    ' ',
  );
export const neededTools = ['curl', 'openssl', 'kubectl'] as const;
export type NeededTool = (typeof neededTools)[number];

/** Where the PATH has it. */
export function onPath(tool: string): string | undefined {
  for (const folder of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(folder, tool);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // The next folder.
    }
  }
  return undefined;
}

/** `npm run test:shells` says so: in every shell the tests take some minutes, which `npm test` has not. */
const all = process.env.CATTERY_SHELLS === 'all';

/** The machine's `sh`, or all shells that are here, and in words which are not. */
export function shellsHere(): readonly Shell[] {
  const sh = onPath('sh');
  if (!all) return sh === undefined ? [] : [{ name: 'sh', command: [sh] }];
  const found: Shell[] = [];
  for (const [name, shell, ...more] of [
    ['sh', 'sh'],
    ['dash', 'dash'],
    ['bash', 'bash'],
    ['bash --posix', 'bash', '--posix'],
  ]) {
    const file = onPath(shell ?? '');
    if (file === undefined) console.log(`${shell ?? ''} is not here: install.sh is not tried with it`);
    else found.push({ name: name ?? '', command: [file, ...more] });
  }
  const busybox = process.env.CATTERY_BUSYBOX ?? onPath('busybox');
  if (busybox === undefined)
    console.log(
      'busybox is neither on the PATH nor named by CATTERY_BUSYBOX: install.sh is not tried with its ash and its tools',
    );
  else found.push({ name: 'busybox ash', command: [busybox, 'ash'], busybox });
  return found;
}

/**
 * Stands for kubectl: keeps its arguments and its standard input, where it would read it, in files, tells the test's
 * process through a pipe with a name, waits on another for its exit code, and prints what that has written.
 */
const kubectl = (mkfifo: string, cat: string) => `#!/bin/sh
call=$STAND_IN/call-$$
[ -p "$call" ] || ${mkfifo} "$call"
printf '%s\\0' "$@" >"$call.arguments"
case " $* " in
*' - '* | *'=- '* | */dev/stdin*) ${cat} >"$call.input" ;;
esac
echo "$$" >"$STAND_IN/kubectl"
read -r code <"$call"
[ ! -s "$call.stderr" ] || ${cat} "$call.stderr" >&2
[ ! -s "$call.stdout" ] || ${cat} "$call.stdout"
exit "$code"
`;

/** Keeps the program's name and arguments and, when asked to, the names of temporary files that hold a secret. */
const recorded = (tool: string, file: string) => `#!/bin/sh
printf '%s\\0' '${tool}' "$@" '
' >>"$STAND_IN/programs"
if [ -e "$STAND_IN/secrets" ] && [ -d "$TMPDIR" ]; then
  /bin/grep -rlFf "$STAND_IN/secrets" "$TMPDIR" >>"$STAND_IN/leaks" 2>/dev/null
fi
exec ${file} "$@"
`;

/** Fails as the file "$STAND_IN/curl-fails" says (an exit code), else is curl. */
const failingCurl = (file: string) => `#!/bin/sh
if [ -e "$STAND_IN/curl-fails" ]; then
  read -r code <"$STAND_IN/curl-fails"
  echo "curl: ($code) as the test wants it" >&2
  exit "$code"
fi
exec ${file} "$@"
`;

/**
 * Fills a directory that is to be the only one of a PATH. `record`: every program's arguments are kept. \`without\`: tools
 * that are not there.
 */
export function fillPath(
  directory: string,
  { busybox }: Pick<Shell, 'busybox'>,
  { record = false, without = [] as readonly NeededTool[] } = {},
): void {
  mkdirSync(directory);
  const script = (name: string, text: string) =>
    writeFileSync(path.join(directory, name), text, { mode: 0o755 });
  // Nothing here takes its time: what a script waits for is there, or never comes.
  script('sleep', `#!/bin/sh\nexec ${onPath('sleep') ?? ''} 0.05\n`);
  const applets =
    busybox === undefined ? [] : spawnSync(busybox, ['--list'], { encoding: 'utf8' }).stdout.split('\n');
  for (const tool of posixTools) {
    const file = applets.includes(tool) ? busybox : onPath(tool);
    if (file === undefined) continue;
    if (record) script(tool, recorded(tool, applets.includes(tool) ? `${file} ${tool}` : file));
    else symlinkSync(file, path.join(directory, tool));
  }
  const curl = onPath('curl') ?? '';
  const openssl = onPath('openssl') ?? '';
  const texts: Readonly<Record<NeededTool, string>> = {
    curl: record ? recorded('curl', curl) : failingCurl(curl),
    openssl: record ? recorded('openssl', openssl) : `#!/bin/sh\nexec ${openssl} "$@"\n`,
    kubectl: kubectl(onPath('mkfifo') ?? '', onPath('cat') ?? ''),
  };
  for (const tool of neededTools) if (!without.includes(tool)) script(tool, texts[tool]);
}
