import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { root } from './stack.ts';

type Values = { readonly api: string; readonly ca: string; readonly name: string; readonly token: string };

/** The blocks of shell commands under a heading of docs/connect-a-cluster.md and those below it, in their order. */
export async function blocksUnder(heading: string): Promise<string[]> {
  const text = await readFile(path.join(root, 'docs/connect-a-cluster.md'), 'utf8');
  // Comments of shell blocks begin like headings do.
  const pieces = text.split(/^(```sh\n[\s\S]*?^```)$/m);
  let depth = 0;
  const blocks: string[] = [];
  for (const piece of pieces) {
    const block = /^```sh\n([\s\S]*)```$/.exec(piece)?.[1];
    if (block !== undefined) {
      if (depth > 0) blocks.push(block);
      continue;
    }
    for (const [, marks = '', title] of piece.matchAll(/^(#+) (.*)$/gm)) {
      if (title === heading) depth = marks.length;
      else if (marks.length <= depth) depth = 0;
    }
  }
  if (blocks.length === 0) throw new Error(`The document has no commands under ${heading}.`);
  return blocks;
}

/** The commands with the reader's own values in the two lines that hold them. */
export function withOwnValues(commands: string, values: Values): string {
  const own = [
    [/^API=\S+ CA=\S+ NAME=\S+$/m, `API=${values.api} CA=${values.ca} NAME=${values.name}`],
    [/^TOKEN=.*$/m, `TOKEN=${values.token}`],
  ] as const;
  return own.reduce((script, [line, value]) => {
    if (!line.test(script)) throw new Error(`The commands have no line like ${String(line)}.`);
    return script.replace(line, value);
  }, commands);
}
