import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { StoredStatement } from '../../core/image/exception-schema.ts';
import type { ListedException } from '../../core/image/exception-list-schema.ts';
import { member } from '../functions/api-call.ts';
import { ruleSetting } from '../functions/image-scan/rule-setting.ts';
import { type Engine, startEngine } from '../engine.ts';
import { apiKey, Laptop } from './fixture.ts';

/** The API's own handlers of exceptions, statements and policy behind a port. */
let [engine, server, setting]: [Engine?, Server?, ReturnType<typeof ruleSetting>?] = [];
let laptop: Laptop;
const rules = () => {
  if (!setting) throw new Error('not started');
  return setting;
};

beforeAll(async () => {
  engine = await startEngine();
  server = createServer((request, response) => {
    void answer(request).then(({ status, text, headers }) => response.writeHead(status, headers).end(text));
  });
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
});
afterAll(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve));
  await engine?.close();
});
beforeEach(async () => {
  if (!engine || !server) throw new Error('not started');
  setting = ruleSetting(engine, randomBytes);
  setting.clock.now = Date.now();
  laptop = await Laptop.of();
  const { port } = server.address() as AddressInfo;
  Object.assign(laptop.env, { CATTERY_API_URL: `http://127.0.0.1:${port}`, CATTERY_API_KEY: apiKey });
});
afterEach(() => laptop.remove());

async function answer(request: IncomingMessage) {
  const url = new URL(request.url ?? '/', 'http://api');
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const [, list = '', id] = /^\/v1\/image-(exception|statement)s\/([^/]+)$/.exec(url.pathname) ?? [];
  const isOne = id !== undefined && id !== 'imports';
  return rules().call({
    method: request.method ?? '',
    path: url.pathname,
    resource: isOne ? `/v1/image-${list}s/{${list}Id}` : url.pathname,
    ...(isOne ? { params: { [`${list}Id`]: decodeURIComponent(id) } } : {}),
    query: Object.fromEntries(url.searchParams),
    headers: { 'content-type': request.headers['content-type'] ?? '' },
    ...(chunks.length > 0 ? { body: Buffer.concat(chunks) } : {}),
    caller: member(rules().tenantId),
  });
}

const add = (...more: readonly string[]) =>
  laptop.cattery('image-exception', 'add', '--justification', 'not reachable', ...more);
const file = async (name: string, text: string) => {
  const whole = path.join(laptop.home, name);
  await writeFile(whole, text);
  return whole;
};
const stored = async (...filter: readonly string[]) =>
  (
    JSON.parse((await laptop.ok('image-exception', 'list', '-o', 'json', ...filter)).out) as {
      items: ListedException[];
    }
  ).items;

describe('cattery image-exception', () => {
  test('add prints the ID alone to standard output, list shows it, remove takes it away', async () => {
    const about = [
      '--vulnerability',
      'CVE-2019-14697',
      '--package',
      'musl',
      '--repository',
      'registry.example/**',
    ];
    const { out, err, code } = await add(...about, '--ttl', '14d');
    expect([code, out]).toEqual([0, expect.stringMatching(/^[a-z2-7]{16}\n$/)]);
    expect(err).toMatch(/^It holds until 20\d\d-.*\n$/);
    const table = (await laptop.ok('image-exception', 'list')).out
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(table).toEqual([
      ['ID', 'VULNERABILITY', 'PACKAGE', 'WHERE', 'ENDS', 'BY', 'JUSTIFICATION'],
      [out.trim(), 'CVE-2019-14697', 'musl', 'registry.example/**', 'in 13d', 'user:test', 'not reachable'],
      [''],
    ]);
    await laptop.ok('image-exception', 'remove', out.trim());
    expect((await laptop.ok('image-exception', 'list')).out).toBe('There are no exceptions.\n');
    const gone = await laptop.cattery('image-exception', 'remove', out.trim());
    expect([gone.code, gone.err]).toEqual([1, expect.stringContaining('[NOT_FOUND')]);
  });

  test.each([
    [['--image', `sha256:${'a'.repeat(64)}`], { image: `sha256:${'a'.repeat(64)}` }],
    [['--repository', 'registry.example/shop'], { repository: 'registry.example/shop' }],
    [['--everywhere'], 'any'],
  ])('add %j holds there', async (where, scope) => {
    const made = await add('--vulnerability', 'CVE-2026-1', ...where, '-o', 'json');
    expect(JSON.parse(made.out)).toMatchObject({ scope, daysLeft: 30 });
  });

  test.each([
    ['nowhere', ['--vulnerability', 'CVE-2026-1']],
    [
      'in two places',
      ['--vulnerability', 'CVE-2026-1', '--everywhere', '--repository', 'registry.example/a'],
    ],
    ['about nothing', ['--everywhere']],
    ['for no time', ['--vulnerability', 'CVE-2026-1', '--everywhere', '--ttl', 'long']],
  ])('add %s is wrong usage: 2', async (_what, options) => {
    expect((await add(...options)).code).toBe(2);
    expect(await stored('--state', 'all')).toEqual([]);
  });

  test('add without a justification is wrong usage: 2', async () => {
    expect((await laptop.cattery('image-exception', 'add', '--everywhere')).code).toBe(2);
  });

  test('list filters by vulnerability and state', async () => {
    await add('--vulnerability', 'CVE-2026-1', '--everywhere');
    await add('--vulnerability', 'CVE-2026-2', '--everywhere');
    expect(await stored('--vulnerability', 'cve-2026-2')).toMatchObject([{ vulnerability: 'CVE-2026-2' }]);
    expect(await stored('--state', 'expired')).toEqual([]);
    rules().clock.now += 31 * 86_400_000;
    expect(await stored()).toEqual([]);
    expect(await stored('--state', 'expired')).toHaveLength(2);
  });

  const header = 'vulnerability,justification,expires';
  const soon = new Date(Date.now() + 5 * 86_400_000).toISOString();

  test('import --dry-run says what would happen, and ends with 1 where a row is faulty', async () => {
    const good = await file('good.csv', `${header}\nCVE-2026-1,x,${soon}\nCVE-2026-1,x,${soon}\n`);
    const preview = await laptop.ok('image-exception', 'import', '--dry-run', good);
    expect(preview.err).toBe('1 would be made, 0 there already, 1 twice in the file, 0 faulty.\n');
    expect(preview.out).toMatch(/^ROW +OUTCOME +WHY\n3 +duplicate +says what row 2 says\n$/);
    const bad = await file('bad.csv', `${header}\nCVE-2026-1,x,tomorrow\n`);
    const faulty = await laptop.cattery('image-exception', 'import', '--dry-run', bad);
    expect(faulty.code).toBe(1);
    expect(faulty.out).toMatch(/2 +faulty +expires must be a day \(2026-12-31\)/);
    expect(await stored()).toEqual([]);
  });

  test('import takes the whole file or nothing of it', async () => {
    const good = await file('good.csv', `${header}\nCVE-2026-1,"a, b",${soon}\nCVE-2026-2,x,${soon}\n`);
    const done = await laptop.ok('image-exception', 'import', good);
    expect([done.out, done.err]).toEqual(['', '2 made, 0 there already, 0 twice in the file, 0 faulty.\n']);
    expect(await stored()).toHaveLength(2);
    const again = await laptop.ok('image-exception', 'import', good, '-o', 'json');
    expect(JSON.parse(again.out)).toMatchObject({ totals: { existing: 2 } });
    const bad = await file('bad.csv', `${header}\nCVE-2026-3,x,${soon}\nCVE-2026-4,,${soon}\n`);
    const refused = await laptop.cattery('image-exception', 'import', bad);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('/rows/3/justification: ')]);
    expect(await stored()).toHaveLength(2);
  });

  test('import of a file that is not there says so: 1', async () => {
    const missing = await laptop.cattery('image-exception', 'import', path.join(laptop.home, 'none.csv'));
    expect([missing.code, missing.err]).toEqual([1, expect.stringContaining('cannot be read (ENOENT).')]);
  });
});

describe('cattery image-statement', () => {
  const libc = 'pkg:deb/debian/libc6';
  const said = (
    author: string,
    vulnerability: string,
    more: Partial<StoredStatement> = {},
  ): StoredStatement => ({
    author,
    vulnerability,
    aliases: [],
    products: [{ id: libc, subcomponents: [] }],
    status: 'affected',
    at: rules().clock.now - 3 * 86_400_000,
    ...more,
  });
  const store = (...statements: readonly StoredStatement[]) =>
    rules().rules.change(rules().tenantId, (before) => ({ ...before, statements }));
  const left = async () =>
    (await rules().rules.find(rules().tenantId)).statements.map(
      ({ author, vulnerability }) => `${author} ${vulnerability}`,
    );

  test('list shows who says what about which product, remove takes it back by ID, and says NOT_FOUND then: 1', async () => {
    expect((await laptop.ok('image-statement', 'list')).out).toBe('There are no statements.\n');
    const products = [{ id: 'pkg:oci/web', subcomponents: [libc, 'pkg:npm/a', 'pkg:npm/b'] }];
    const status = { status: 'not_affected', justification: 'component_not_present' } as const;
    await store(
      said('we', 'CVE-2026-2', { at: 1 }),
      said('Example Corp', 'CVE-2026-1', { products, ...status }),
    );
    const rows = (await laptop.ok('image-statement', 'list')).out
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    const [id = ''] = rows[1] ?? [];
    expect(rows).toEqual([
      ['ID', 'VULNERABILITY', 'STATUS', 'JUSTIFICATION', 'PRODUCT', 'SAID', 'BY'],
      [
        expect.stringMatching(/^[a-z2-7]{26}$/),
        'CVE-2026-1',
        'not_affected',
        'component_not_present',
        `pkg:oci/web: ${libc} and 2 more`,
        '3d ago',
        'Example Corp',
      ],
      [expect.any(String), 'CVE-2026-2', 'affected', '-', libc, expect.stringMatching(/^\d+d ago$/), 'we'],
      [''],
    ]);
    const removed = await laptop.ok('image-statement', 'remove', id);
    expect([removed.out, removed.err]).toEqual(['', `Statement ${id} is taken back.\n`]);
    expect(await left()).toEqual(['we CVE-2026-2']);
    const gone = await laptop.cattery('image-statement', 'remove', id);
    expect([gone.code, gone.err]).toEqual([1, expect.stringContaining('[NOT_FOUND')]);
  });

  test('list filters by vulnerability, author and status, also as JSON', async () => {
    const alias = { aliases: ['GHSA-aaaa-bbbb-cccc'], status: 'fixed' } as const;
    await store(said('Example & Co', 'CVE-2026-1', alias), said('we', 'CVE-2026-2'));
    const found = async (...filter: readonly string[]) =>
      (
        JSON.parse((await laptop.ok('image-statement', 'list', '-o', 'json', ...filter)).out) as {
          items: { vulnerability: string }[];
        }
      ).items.map(({ vulnerability }) => vulnerability);
    expect(await found('--vulnerability', 'ghsa-aaaa-bbbb-cccc')).toEqual(['CVE-2026-1']);
    expect(await found('--author', 'Example & Co')).toEqual(['CVE-2026-1']);
    expect(await found('--status', 'affected')).toEqual(['CVE-2026-2']);
    expect((await laptop.cattery('image-statement', 'list', '--status', 'no')).code).toBe(2);
  });

  test('remove --author takes back all that this author says, and nothing of others', async () => {
    await store(
      said('Example & Co', 'CVE-2026-1'),
      said('Example & Co', 'CVE-2026-2'),
      said('Example', 'CVE-2026-1'),
    );
    const removed = await laptop.ok('image-statement', 'remove', '--author', 'Example & Co');
    expect(removed.err).toBe('All statements of Example & Co are taken back.\n');
    expect(await left()).toEqual(['Example CVE-2026-1']);
  });

  test.each([[[]], [['a', '--author', 'we']]])('remove %j is wrong usage: 2', async (options) => {
    await store(said('we', 'CVE-2026-1'));
    expect((await laptop.cattery('image-statement', 'remove', ...options)).code).toBe(2);
    expect(await left()).toHaveLength(1);
  });
});

describe('cattery image-policy', () => {
  test('show prints it, set replaces it by a file', async () => {
    const initial = JSON.parse((await laptop.ok('image-policy', 'show')).out) as object;
    expect(initial).toMatchObject({ warnAt: 4, failAt: 9 });
    const given = await file('policy.json', JSON.stringify({ ...initial, failAt: 'critical' }));
    expect(JSON.parse((await laptop.ok('image-policy', 'set', given)).out)).toEqual({
      ...initial,
      failAt: 'critical',
    });
    expect(JSON.parse((await laptop.ok('image-policy', 'show')).out)).toMatchObject({ failAt: 'critical' });
  });

  test('set says which member is wrong, and what is no JSON: 1', async () => {
    const wrong = await laptop.cattery('image-policy', 'set', await file('policy.json', '{"failAt":11}'));
    expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining('/failAt: ')]);
    const none = await laptop.cattery('image-policy', 'set', await file('policy.json', 'warnAt: 4'));
    expect([none.code, none.err]).toEqual([1, 'The file is not JSON.\n']);
  });
});
