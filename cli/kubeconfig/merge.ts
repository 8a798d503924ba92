import {
  type Document,
  type DocumentOptions,
  isMap,
  isSeq,
  type Node,
  parseDocument,
  type ParseOptions,
  type SchemaOptions,
  stringify,
  YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { Failure } from '../failure.ts';
import type { Entries } from './entries.ts';

const format = { lineWidth: 0, indentSeq: false } as const;

/** No numbers: what looks like one, such as the token 0123e4, is written back as it was read, not as its value. */
const asWritten = {
  schema: 'failsafe',
  customTags: ['bool', 'null'],
} satisfies ParseOptions & DocumentOptions & SchemaOptions;

/** A kubeconfig of these entries alone, YAML; the first context is the current one. */
export const freshKubeconfig = (entries: Entries): string =>
  stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: entries.clusters,
      contexts: entries.contexts,
      users: entries.users,
      'current-context': entries.contexts[0]?.name ?? '',
    },
    format,
  );

/**
 * The kubeconfig with these entries in it: those of the same names are replaced, everything else stays, comments too.
 * The current context changes only when there is none, or to `use`. Throws a Failure when the text is no kubeconfig.
 */
export function mergedKubeconfig(text: string, entries: Entries, use?: string): string {
  if (text.trim() === '') return freshKubeconfig(entries);
  const document = parseDocument(text, asWritten);
  if (
    document.errors.length > 0 ||
    !isMap(document.contents) ||
    (document.get('kind') ?? 'Config') !== 'Config'
  ) {
    const why = document.errors[0]?.message.split('\n')[0] ?? 'it is no Config';
    throw new Failure('failed', `The kubeconfig cannot be changed without harm: ${why}`);
  }
  for (const list of ['clusters', 'contexts', 'users'] as const) {
    const there = listIn(document, list);
    for (const entry of entries[list]) place(document, there, entry);
  }
  const current = use ?? (document.get('current-context') || entries.contexts[0]?.name);
  document.set('current-context', current);
  return document.toString(format);
}

/** The list of that name; kubectl writes an empty one as null. */
function listIn(document: Document, name: string): YAMLSeq {
  const there = document.get(name, true);
  if (isSeq(there)) {
    if (there.items.length === 0) there.flow = false;
    return there;
  }
  if (document.get(name) !== undefined && document.get(name) !== null) {
    throw new Failure('failed', `The kubeconfig cannot be changed without harm: its ${name} are no list.`);
  }
  const made = document.createNode([]);
  made.flow = false;
  document.set(name, made);
  return made;
}

function place(document: Document, list: YAMLSeq, entry: { readonly name: string }): void {
  const node: Node = document.createNode(entry);
  const at = list.items.findIndex((item) => item instanceof YAMLMap && item.get('name') === entry.name);
  if (at < 0) {
    list.add(node);
    return;
  }
  const old = list.items[at] as YAMLMap;
  node.commentBefore = old.commentBefore ?? null;
  node.comment = old.comment ?? null;
  if (old.spaceBefore) node.spaceBefore = true;
  list.items[at] = node;
}
