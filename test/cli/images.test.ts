import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { ExportRow } from '../../core/image/image-search-schema.ts';
import { csvRows } from '../../functions/image-scan/csv.ts';
import { type Engine, startEngine } from '../engine.ts';
import { digestOf, scored, trivyReport } from '../functions/image-scan/reports.ts';
import { scanSetting } from '../functions/image-scan/scan-setting.ts';
import { apiKey, closedPort, clusterNamed, Laptop } from './fixture.ts';

/** The API's own handlers of images behind a port, three images in them. */
let [engine, server, setting]: [Engine?, Server?, ReturnType<typeof scanSetting>?] = [];
let laptop: Laptop;
const shop = clusterNamed('shop', 'a');
/** Paths and queries of all requests. */
const asked: string[] = [];
/** What the next page of an export is answered with instead. */
let failing: { readonly after: number; readonly status: number } | undefined;
/** Where links to next pages point instead. */
let elsewhere: string | undefined;

beforeAll(async () => {
  engine = await startEngine();
  setting = scanSetting(engine);
  setting.clock.now = Date.now();
  Object.assign(setting.deps, { clusters: { find: () => Promise.resolve(shop as never) } });
  const CreatedAt = new Date(Date.now() - 3_700_000).toISOString();
  const image = (name: string, findings: Parameters<typeof trivyReport>[0]) =>
    trivyReport(findings, { CreatedAt, ArtifactName: `registry.example/shop/${name}:1` });
  const fixed = { FixedVersion: '2.37', Status: 'fixed' };
  await setting.post(
    image('web', [{ ...scored('CVE-2026-1', 9.5, 'CRITICAL'), ...fixed }, scored('CVE-2026-2', 5)]),
    {
      digest: digestOf('a'),
      cluster: shop.clusterId,
    },
  );
  await setting.post(image('job', [scored('CVE-2026-2', 5)]), { digest: digestOf('b') });
  await setting.post(image('idle', []), { digest: digestOf('c') });

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
  laptop = await Laptop.of();
  const { port } = server?.address() as AddressInfo;
  Object.assign(laptop.env, { CATTERY_API_URL: `http://127.0.0.1:${port}`, CATTERY_API_KEY: apiKey });
});
afterEach(async () => {
  asked.length = 0;
  [failing, elsewhere] = [undefined, undefined];
  await laptop.remove();
});

async function answer({ url: target = '/' }: IncomingMessage) {
  const url = new URL(target, 'http://api');
  asked.push(`${url.pathname}${url.search}`);
  const json = (status: number, body: unknown) => ({
    status,
    text: JSON.stringify(body),
    headers: { 'content-type': 'application/json' },
  });
  if (url.pathname === '/v1/clusters') return json(200, { items: [shop, clusterNamed('stock', 'b')] });
  if (failing && asked.length > failing.after)
    return json(failing.status, { code: 'UNAVAILABLE', title: 'Away' });
  if (!setting) throw new Error('not started');
  const [, digest, part = ''] = /^\/v1\/images\/([^/]+)(\/findings)?$/.exec(url.pathname) ?? [];
  const isOne = digest !== undefined && digest !== 'export';
  // One image a page, so that whoever stops at the first page is caught.
  if (!isOne) url.searchParams.set('limit', '1');
  const answered = await setting.call({
    path: url.pathname,
    resource: isOne ? `/v1/images/{digest}${part}` : url.pathname,
    ...(isOne ? { params: { digest: decodeURIComponent(digest) } } : {}),
    query: Object.fromEntries(url.searchParams),
    caller: setting.as,
  });
  const { Link } = answered.headers;
  return elsewhere && Link
    ? { ...answered, headers: { ...answered.headers, Link: Link.replace('<', `<${elsewhere}`) } }
    : answered;
}

const lines = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/));

describe('cattery images list', () => {
  test('prints all images with verdict and counts', async () => {
    expect(lines((await laptop.ok('images', 'list')).out)).toEqual([
      ['VERDICT', 'IMAGE', 'CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'SCANNED', 'DIGEST'],
      ['fail', 'registry.example/shop/web:1', '1', '1', '0', '0', '1h', digestOf('a')],
      ['warn', 'registry.example/shop/job:1', '0', '1', '0', '0', '1h', digestOf('b')],
      ['pass', 'registry.example/shop/idle:1', '0', '0', '0', '0', '1h', digestOf('c')],
    ]);
  });

  test('prints of a search the finding that is meant', async () => {
    const { out } = await laptop.ok('images', 'list', '--vulnerability', 'cve-2026-2');
    expect(lines(out).map((line) => [line[0], line[2]])).toEqual([
      ['VERDICT', 'FINDING'],
      ['fail', 'CVE-2026-2 libc6 2.36'],
      ['warn', 'CVE-2026-2 libc6 2.36'],
    ]);
  });

  test.each([
    [['--verdict', 'warn'], 'b'],
    [['--severity', 'critical,low'], 'a'],
    [['--fixable'], 'a'],
    [['--not-fixable'], 'ab'],
    [['--repository', 'registry.example/shop/i*'], 'c'],
    [['--cluster', 'shop'], 'a'],
    [['--cluster', shop.clusterId], 'a'],
    [['--cluster', 'stock'], ''],
  ])('%j asks for them', async (options, letters) => {
    const { out } = await laptop.ok('images', 'list', '-o', 'json', ...options);
    const { items } = JSON.parse(out) as { items: { digest: string }[] };
    expect(items.map(({ digest }) => digest.at(-1)).join('')).toBe(letters);
  });

  test('says that there is none, and which clusters there are: 0 and 1', async () => {
    expect(await laptop.ok('images', 'list', '--vulnerability', 'CVE-1')).toMatchObject({
      out: 'There are no such images.\n',
    });
    const unknown = await laptop.cattery('images', 'list', '--cluster', 'shed');
    expect([unknown.code, unknown.err]).toEqual([1, 'There is no cluster shed. There are: shop, stock.\n']);
  });

  test('ends with 2 for what excludes itself or is no verdict, with 1 for what the API refuses', async () => {
    expect((await laptop.cattery('images', 'list', '--fixable', '--not-fixable')).code).toBe(2);
    expect((await laptop.cattery('images', 'list', '--verdict', 'bad')).code).toBe(2);
    expect(asked).toEqual([]);
    const refused = await laptop.cattery('images', 'list', '--severity', 'urgent');
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringContaining('/severity: must be one of critical'),
    ]);
  });
});

describe('cattery images show', () => {
  test('prints the verdict, and the findings that decide', async () => {
    const { out } = await laptop.ok('images', 'show', digestOf('a'));
    expect(out).toMatch(/^image: +registry\.example\/shop\/web:1\n/);
    expect(out).toMatch(/\nverdict: +fail\nscan: +trivy 0\.72\.0, 1h ago: fail\n/);
    expect(out).toContain(`\ncluster:    ${shop.clusterId}, `);
    expect(out).toMatch(
      /\ncvss-fail \(9\): 1\nVULNERABILITY .*\nCVE-2026-1 +critical +9\.5 +libc6 +2\.36 +2\.37\n$/,
    );
  });

  test('prints all findings with --findings', async () => {
    const { out } = await laptop.ok('images', 'show', digestOf('a'), '--findings');
    expect(out.match(/CVE-2026-\d/g)).toEqual(['CVE-2026-1', 'CVE-2026-2']);
    const whole = JSON.parse(
      (await laptop.ok('images', 'show', digestOf('a'), '--findings', '-o', 'json')).out,
    ) as object;
    expect(whole).toMatchObject({
      verdict: 'fail',
      findings: [{ vulnerability: 'CVE-2026-1', cvss: [{ score: 9.5 }] }, { vulnerability: 'CVE-2026-2' }],
    });
  });

  test('of an image that nobody has scanned ends with 1', async () => {
    const missing = await laptop.cattery('images', 'show', digestOf('d'));
    expect([missing.code, missing.err]).toEqual([1, expect.stringContaining('[NOT_FOUND')]);
  });
});

describe('cattery images export', () => {
  const within = (name: string) => path.join(laptop.home, name);

  test('prints one CSV with one header', async () => {
    const { out } = await laptop.ok('images', 'export');
    const [header, ...rows] = [...csvRows(out)].map(({ fields }) => fields);
    expect(header?.slice(0, 3)).toEqual(['image', 'digest', 'verdict']);
    expect(rows.map((row) => [row[1]?.at(-1), row[6]])).toEqual([
      ['a', 'CVE-2026-1'],
      ['a', 'CVE-2026-2'],
      ['b', 'CVE-2026-2'],
      ['c', ''],
    ]);
    expect(asked.length).toBeGreaterThan(2);
  });

  test('writes one JSON array to a file, of none an empty one', async () => {
    const file = within('images.json');
    await laptop.ok(
      'images',
      'export',
      '--format',
      'json',
      '--vulnerability',
      'CVE-2026-2',
      '--output',
      file,
    );
    const rows = JSON.parse(await readFile(file, 'utf8')) as ExportRow[];
    expect(rows.map((row) => [row.digest.at(-1), row.finding?.vulnerability])).toEqual([
      ['a', 'CVE-2026-2'],
      ['b', 'CVE-2026-2'],
    ]);
    const none = await laptop.ok('images', 'export', '--format', 'json', '--vulnerability', 'CVE-0');
    expect(JSON.parse(none.out)).toEqual([]);
  });

  test('prints a VEX document a line, or writes a file for each image', async () => {
    const { out } = await laptop.ok(
      'images',
      'export',
      '--format',
      'cyclonedx-vex',
      '--severity',
      'high,critical',
    );
    const ids = out
      .trimEnd()
      .split('\n')
      .map((line) =>
        (JSON.parse(line) as { vulnerabilities: { id: string }[] }).vulnerabilities.map(({ id }) => id),
      );
    expect(ids).toEqual([['CVE-2026-1', 'CVE-2026-2'], ['CVE-2026-2']]);
    const written = await laptop.ok(
      'images',
      'export',
      '--format',
      'cyclonedx-vex',
      '--output',
      within('vex'),
    );
    expect(written.err).toBe('3 documents are written.\n');
    expect((await readdir(within('vex'))).sort()).toEqual(
      ['a', 'b', 'c'].map((letter) => `sha256-${letter.repeat(64)}.vex.json`),
    );
    const none = await laptop.cattery(
      ...[
        'images',
        'export',
        '--format',
        'cyclonedx-vex',
        '--vulnerability',
        'CVE-0',
        '--output',
        within('none'),
      ],
    );
    expect([none.code, none.err]).toEqual([1, 'There are no such images: nothing is written.\n']);
  });

  test('leaves the file as it was when a later page fails: 5', async () => {
    const file = within('images.csv');
    await writeFile(file, 'before');
    failing = { after: 1, status: 503 };
    const failed = await laptop.cattery('images', 'export', '--output', file);
    expect([failed.code, asked.length]).toEqual([5, 2]);
    expect(await readFile(file, 'utf8')).toBe('before');
    await expect(stat(`${file}.part`)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('follows a link to nobody else: of its address the cursor alone is taken', async () => {
    const expected = (await laptop.ok('images', 'export')).out;
    const count = asked.length;
    elsewhere = `${await closedPort()}/v1/images/`;
    expect((await laptop.ok('images', 'export')).out).toBe(expected);
    expect(asked).toHaveLength(2 * count);
  });

  test('says that a file cannot be written: 1', async () => {
    const failed = await laptop.cattery('images', 'export', '--output', within('nowhere/images.csv'));
    expect([failed.code, failed.err]).toEqual([1, expect.stringContaining('cannot be written (ENOENT).')]);
  });
});
