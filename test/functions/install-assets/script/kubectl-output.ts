import { stringify } from 'yaml';
import { jsonPath } from './json-path.ts';
import type { Arguments } from './kubectl-arguments.ts';

type Json = Readonly<Record<string, unknown>>;
export type KubeObject = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
  };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: Json;
  readonly status?: Json;
};

export const line = (text: string) => (text === '' ? '' : `${text}\n`);

/** `kind.group/name`, as `-o name` and changes tell it. */
export function nameOf({ apiVersion, kind, metadata }: KubeObject): string {
  const [group, version] = apiVersion.split('/');
  return `${kind.toLowerCase()}${version === undefined ? '' : `.${group ?? ''}`}/${metadata.name}`;
}

export function printed(asked: Arguments, value: unknown): string {
  const format = asked.flag('output') ?? '';
  if (format === 'json') return `${JSON.stringify(value, null, 4)}\n`;
  if (format === 'yaml') return stringify(value);
  // The one form of Go's templates that is asked for: the names of a map.
  const [, member] =
    /^go-template=\{\{range \$name, \$value := \.(\w+)\}\}\{\{\$name\}\} \{\{end\}\}$/.exec(format) ?? [];
  if (member !== undefined)
    return Object.keys((value as Json)[member] ?? {})
      .map((name) => `${name} `)
      .join('');
  if (format.startsWith('jsonpath=')) return jsonPath(format.slice('jsonpath='.length), value);
  if (format === 'name') return line(nameOf(value as KubeObject));
  const items = (value as { items?: readonly KubeObject[] }).items ?? [value as KubeObject];
  const rows = items.map(({ metadata }) => `${metadata.name}   1d\n`).join('');
  if (format === '') return asked.has('no-headers') ? rows : `NAME   AGE\n${rows}`;
  throw new Error(`unknown output ${format}`);
}

export const versionInfo = (gitVersion: string) => {
  const [, major = '', minor = ''] = /^v(\d+)\.(\d+)/.exec(gitVersion) ?? [];
  return { major, minor, gitVersion, platform: 'linux/amd64' };
};

export function versionText(
  asked: Arguments,
  versions: Readonly<Record<string, { gitVersion: string }>>,
): string {
  if (asked.flag('output') !== undefined) return printed(asked, versions);
  const { clientVersion, serverVersion } = versions;
  return (
    `Client Version: ${clientVersion?.gitVersion ?? ''}\nKustomize Version: v5.6.0\n` +
    (serverVersion ? `Server Version: ${serverVersion.gitVersion}\n` : '')
  );
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON merge patch (RFC 7396). */
export function mergeJson(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged = new Map(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergeJson(merged.get(key), value));
  }
  return Object.fromEntries(merged);
}
