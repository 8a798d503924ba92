/** docs/install.md against the script that it is the reference of. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../../..');
const script = readFileSync(path.join(root, 'functions/install-assets/install.sh'), 'utf8');
const page = readFileSync(path.join(root, 'docs/install.md'), 'utf8');

const section = (heading: string): string =>
  page.split(/^## /m).find((each) => each.startsWith(`${heading}\n`)) ?? '';
/** The first cells of a section's tables, without their heads. */
const firstCells = (heading: string): string[] =>
  [...section(heading).matchAll(/^\| (.*?) \|/gm)]
    .map(([, cell = '']) => cell)
    .filter((cell) => /^[`\w]/.test(cell));
const all = (text: string, pattern: RegExp): string[] =>
  [...new Set([...text.matchAll(pattern)].map(([, found = '']) => found))].sort();

describe('docs/install.md', () => {
  test('has every option of the script, and no other', () => {
    const [, , parsing = ''] = script.split('case $option in\n');
    const [cases = ''] = parsing.split(/\n {4}esac\n/);
    const known = cases
      .split('\n')
      .flatMap((line) => /^ {4}((?:-[\w-]+(?: \| )?)+)\)/.exec(line)?.[1]?.split(' | ') ?? [])
      .filter((option) => option.startsWith('--'));
    expect(known.length).toBeGreaterThan(20);
    expect(all(section('Options'), /`(--[a-z-]+)/g)).toEqual([...known].sort());
  });

  test('has every exit code of the script, and no other', () => {
    expect(firstCells('Exit codes').sort()).toEqual(all(script, /\b(?:die|exit) (\d+)\b/g));
  });

  test('has every check of the preflight, and no other', () => {
    const checks = all(script, /(?:^|\s)(?:ok|warn|fail|read_kube) ([a-z]+) /gm);
    const [head, ...rows] = firstCells('Preflight');
    expect(head).toBe('check');
    expect(rows.sort()).toEqual(checks);
  });

  test('names every member of the ConfigMap that a run reads of another', () => {
    const [kept = ''] = /^recall\(\) \{[^]*?^\}/m.exec(script) ?? [];
    const members = all(kept, /\{\.data\.(\w+)\}/g);
    expect(members).toContain('clusterId');
    const named = all(section('What is written where'), /`([\w.-]+)`/g);
    expect(members.filter((member) => !named.includes(member))).toEqual([]);
  });
});
