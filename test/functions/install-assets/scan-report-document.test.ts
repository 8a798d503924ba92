/** docs/image-scans.md, "Ways in", against the script that it is the reference of; test/stack runs its commands. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';

const root = path.resolve(import.meta.dirname, '../../..');
const script = readFileSync(path.join(root, 'functions/install-assets/scan-report.sh'), 'utf8');
const page = readFileSync(path.join(root, 'docs/image-scans.md'), 'utf8');
const section = page.split(/^### /m).find((each) => each.startsWith('scan-report.sh\n')) ?? '';
const all = (text: string, pattern: RegExp): string[] =>
  [...new Set([...text.matchAll(pattern)].map(([, found = '']) => found))].sort();

describe('docs/image-scans.md on scan-report.sh', () => {
  test('has every option of the script, and no other', () => {
    const [, parsing = ''] = /^options\(\) \{([^]*?)^\}/m.exec(script) ?? [];
    const known = all(parsing, /^ {4}(--[a-z-]+)(?: \| -h)?\)/gm);
    expect(known.length).toBeGreaterThan(5);
    expect(all(section, /^\| `(--[a-z-]+)/gm)).toEqual(known);
  });

  test('has every exit code of the script, and no other', () => {
    const codes = all(script, /\b(?:end|exit) (\d+)\b/g);
    expect(codes.length).toBeGreaterThan(5);
    expect(all(section, /^\| (\d+) \|/gm)).toEqual(codes);
  });
});
