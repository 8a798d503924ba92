/** What the documents say of the repository itself: links, paths, commands, routes, codes. */
import { existsSync, globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { routeTable } from '../../core/api/route-table.ts';
import { problemCodes } from '../../core/problem/problem.ts';
import { gitopsQuery } from '../../core/release/gitops-schema.ts';

const root = path.resolve(import.meta.dirname, '../..');
const text = (file: string): string => readFileSync(path.join(root, file), 'utf8');

const pages = globSync(['*.md', 'docs/**/*.md', 'test/kube/*.md', 'test/fixtures/**/*.md'], {
  cwd: root,
}).sort();
/** docs/design.md is kept as it was decided. */
const ours = pages.filter((page) => page !== 'docs/design.md');

/** Every match in the pages, as `page: match`, that is not as it should be. */
function wrong(
  within: readonly string[],
  pattern: RegExp,
  isRight: (groups: readonly string[], page: string) => boolean,
  read = text,
): string[] {
  let found = 0;
  const wrongOnes = within.flatMap((page) =>
    [...read(page).matchAll(pattern)].flatMap(([whole, ...groups]) => {
      found += 1;
      return isRight(groups, page) ? [] : [`${page}: ${whole}`];
    }),
  );
  expect(found).toBeGreaterThan(0);
  return wrongOnes;
}

const withoutBlocks = (page: string): string => text(page).replace(/^ *```[^]*?^ *```$/gm, '');
const prose = (page: string): string => withoutBlocks(page).replace(/`[^`\n]*`/g, '');

/** Anchors as GitHub makes them of headings. */
function anchors(page: string): Set<string> {
  const headings = [...withoutBlocks(page).matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

describe('the documents', () => {
  test('link to files that exist, and to headings that these have', () => {
    const dead = wrong(
      pages,
      /\]\((?![a-z]+:)([^)\s#]*)(?:#([^)\s]+))?\)/g,
      ([file = '', anchor = ''], page) => {
        const target = file === '' ? page : path.join(path.dirname(page), file);
        return existsSync(path.join(root, target)) && (anchor === '' || anchors(target).has(anchor));
      },
      prose,
    );
    expect(dead).toEqual([]);
  });

  test('name files and folders of the repository that exist', () => {
    const rooms = 'admission-webhook|bench|bin|cli|core|docs|functions|lib|local|scripts|test|tunnel-fargate';
    const absent = wrong(ours, new RegExp(`\`((?:${rooms})/[\\w./-]*)\``, 'g'), ([file = '']) =>
      existsSync(path.join(root, file)),
    );
    expect(absent).toEqual([]);
  });

  test('say of a code the status that it is answered with', () => {
    const others = wrong(
      ours,
      /\b([45]\d\d) `?([A-Z]+(?:_[A-Z]+)+|[A-Z]{6,})\b`?/g,
      ([status = '', code = '']) =>
        String(Object.entries(problemCodes).find(([each]) => each === code)?.[1][0]) === status,
    );
    expect(others).toEqual([]);
  });

  test('name routes that the API has', () => {
    const shape = (route: string) => route.replace(/\{[^}]*\}|<[^>]*>/g, '{}');
    const routes = new Set(Object.keys(routeTable).map(shape));
    const unknown = wrong(
      ours,
      /\b(GET|POST|PUT|PATCH|DELETE) (\/(?:v1\/|install\.sh|healthz|openapi)(?:\{[^}]*\}|<[^>]*>|[\w./-])*)/g,
      ([method = '', route = '']) => routes.has(shape(`${method} ${route.replace(/\.$/, '')}`)),
    );
    expect(unknown).toEqual([]);
  });

  test('have the parameters of gitops.yaml, and no other', () => {
    const [, table = ''] = /^(\| parameter [^]*?)\n\n/m.exec(text('docs/gitops.md')) ?? [];
    const told = [...table.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, cell = '']) => cell.match(/\w+/g) ?? []);
    expect(told.sort()).toEqual(Object.keys(gitopsQuery.shape).sort());
  });

  test('name scripts of package.json, and the README has each of them', () => {
    const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
    const unknown = wrong(ours, /npm run (?:--silent )?(\w[\w-]*(?::\w+)*)/g, ([script = '']) =>
      Object.hasOwn(scripts, script),
    );
    expect(unknown).toEqual([]);
    const [, table = ''] = /^(\| `npm run …`[^]*?)\n\n/m.exec(text('README.md')) ?? [];
    const told = [...table.matchAll(/`([\w:]+)[^`]*`/g)].map(([, script = '']) => script);
    expect(Object.keys(scripts).filter((script) => !told.includes(script))).toEqual([]);
  });
});
