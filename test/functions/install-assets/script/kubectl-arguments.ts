/** kubectl's command line, taken apart. */
export type Arguments = {
  readonly words: readonly string[];
  /** The last value given; undefined: not given. */
  flag(name: string): string | undefined;
  all(name: string): readonly string[];
  /** A switch that is on. */
  has(name: string): boolean;
};

const withValue = [
  ...['context', 'kubeconfig', 'cluster', 'user', 'namespace', 'request-timeout', 'output', 'selector'],
  ...[
    'field-selector',
    'filename',
    'from-file',
    'from-literal',
    'type',
    'patch',
    'patch-file',
    'field-manager',
  ],
  ...['timeout', 'for', 'api-group', 'chunk-size', 'subresource'],
];
const switches = [
  ...[
    'all-namespaces',
    'no-headers',
    'ignore-not-found',
    'server-side',
    'force-conflicts',
    'client',
    'minify',
  ],
  ...[
    'quiet',
    'overwrite',
    'wait',
    'force',
    'save-config',
    'validate',
    'short',
    'all',
    'no',
    'flatten',
    'cached',
  ],
];
const short: Readonly<Record<string, string>> = {
  n: 'namespace',
  o: 'output',
  l: 'selector',
  f: 'filename',
  p: 'patch',
  A: 'all-namespaces',
  q: 'quiet',
};

/** Throws for a flag that is not known here. */
export function readArguments(given: readonly string[]): Arguments {
  const words: string[] = [];
  const flags: (readonly [name: string, value: string])[] = [];
  for (let at = 0; at < given.length; at += 1) {
    const word = given[at] ?? '';
    if (!word.startsWith('-') || word === '-') {
      words.push(word);
      continue;
    }
    const [bare = '', ...rest] = word.replace(/^--?/, '').split('=');
    const single = !word.startsWith('--') && bare.length > 1 ? bare.slice(1) : undefined;
    const name = word.startsWith('--') ? bare : (short[bare.charAt(0)] ?? bare);
    const joined =
      rest.length > 0 ? (single ?? '') + (single === undefined ? '' : '=') + rest.join('=') : single;
    if (withValue.includes(name)) flags.push([name, joined ?? given[(at += 1)] ?? '']);
    // Those that take a value with `=` only.
    else if (['raw', 'dry-run', 'cascade'].includes(name))
      flags.push([name, joined ?? (name === 'raw' ? (given[(at += 1)] ?? '') : 'client')]);
    else if (switches.includes(name)) flags.push([name, joined ?? 'true']);
    else throw new Error(`unknown flag ${word}`);
  }
  const all = (name: string) => flags.filter(([one]) => one === name).map(([, value]) => value);
  return {
    words,
    all,
    flag: (name) => all(name).at(-1),
    has: (name) => ![undefined, 'false'].includes(all(name).at(-1)),
  };
}
