import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { installerOf, readScript } from '../../../functions/install-assets/installer.ts';
import type { PublishedScript } from '../../../functions/install-assets/published-script.ts';
import { handlers } from '../../../functions/install-assets/routes.ts';
import { readScanReporter, scanReporterOf } from '../../../functions/install-assets/scan-reporter.ts';
import { caller } from '../api-call.ts';
import { addresses, assets, identity, trust } from './deployment.ts';

const template = `#!/bin/sh
api='@CATTERY_API_URL@'
tunnel='@CATTERY_TUNNEL_ADDRESS@'
case $api in @*) exit 2 ;; esac
printf '%s %s\\n' "$api" "$tunnel"
`;
const served = (API_URL: string, TUNNEL_ADDRESS = 'tunnel.example:9000'): PublishedScript =>
  installerOf(template, { API_URL, TUNNEL_ADDRESS });
const run = ({ script }: PublishedScript) =>
  spawnSync('sh', ['-s'], { input: script.text, encoding: 'utf8' }).stdout;

const routes = (using: Partial<typeof assets> = {}) => {
  let reads = 0;
  const { script, scanReporter, ...others } = { ...assets, ...using };
  const call = caller(
    'install-assets',
    handlers({
      ...others,
      script: () => {
        reads++;
        return script();
      },
      scanReporter: () => {
        reads++;
        return scanReporter();
      },
      trust: { read: () => Promise.resolve(trust) },
      clusters: { find: () => Promise.resolve(undefined) },
      tunnels: { locateAll: () => Promise.resolve(new Map()) },
      now: Date.now,
      addresses,
      identity,
    }),
  );
  return { call, reads: () => reads };
};

describe('the installer', () => {
  test.each([
    ['https://api.example/prod', 'https://api.example/prod tunnel.example:9000\n'],
    ['https://api.example/', 'https://api.example tunnel.example:9000\n'],
    ['http://127.0.0.1:8443', 'http://127.0.0.1:8443 tunnel.example:9000\n'],
    ['https://[::1]:8443/cattery', 'https://[::1]:8443/cattery tunnel.example:9000\n'],
  ])('at %s knows its control plane as a shell reads it', (url, printed) => {
    expect(run(served(url))).toBe(printed);
  });

  test.each([
    "https://api.example/'; rm -rf ~; '",
    'https://api.example/$(id)',
    'https://api.example/\n',
    'https://api.example/`id`',
    'https://api.example/\\',
    'https://api.example/a b',
    'https://api.example/"',
    '',
  ])('refuses to be served with the address %j', (url) => {
    expect(() => served(url)).toThrow('CATTERY_API_URL cannot be written into install.sh');
    expect(() => served('https://api.example', url)).toThrow('CATTERY_TUNNEL_ADDRESS cannot be written');
  });

  test.each([
    [template.replace('@CATTERY_API_URL@', ''), '@CATTERY_API_URL@ 0 times'],
    [`${template}# @CATTERY_TUNNEL_ADDRESS@`, '@CATTERY_TUNNEL_ADDRESS@ 2 times'],
  ])('refuses a script in which a placeholder is not there once', (script, why) => {
    expect(() => installerOf(script, addresses)).toThrow(why);
  });

  test("is the product's own install.sh, complete and as a shell can read it", async () => {
    const { script } = installerOf(await readScript(), addresses);
    expect(script.text).toContain(`='${addresses.API_URL}'\n`);
    expect(script.text).toContain(`='${addresses.TUNNEL_ADDRESS}'\n`);
    expect(script.text).not.toMatch(/@CATTERY_(?:API_URL|TUNNEL_ADDRESS)@/);
    expect(spawnSync('sh', ['-n'], { input: script.text })).toMatchObject({ status: 0 });
  });

  test('publishes a checksum that sha256sum agrees with', () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'cattery-installer-'));
    try {
      const { script, checksum } = served('https://api.example');
      writeFileSync(path.join(directory, 'install.sh'), script.text);
      const checked = (input: string) =>
        spawnSync('sha256sum', ['--check', '-'], { cwd: directory, input, encoding: 'utf8' });
      expect(checked(checksum.text)).toMatchObject({ status: 0, stdout: 'install.sh: OK\n' });
      expect(checked(served('https://other.example').checksum.text).status).toBe(1);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

describe.each([
  ['/install.sh', 'text/x-shellscript; charset=utf-8'],
  ['/install.sh.sha256', 'text/plain; charset=utf-8'],
  ['/scan-report.sh', 'text/x-shellscript; charset=utf-8'],
  ['/scan-report.sh.sha256', 'text/plain; charset=utf-8'],
])('GET %s', (route, type) => {
  test('is read once, may be cached, and is 304 for whoever has it', async () => {
    const { call, reads } = routes();
    const first = await call({ path: route });
    expect([first.status, first.headers]).toEqual([
      200,
      expect.objectContaining({ 'Content-Type': type, 'Cache-Control': 'public, max-age=300' }),
    ]);
    const again = await call({ path: route, headers: { 'If-None-Match': first.headers.ETag ?? '' } });
    expect([again.status, again.text, reads()]).toEqual([304, '', 1]);
  });
});

describe('scan-report.sh', () => {
  test("is the product's own, knows its control plane, and is complete as a shell can read it", async () => {
    const { script, checksum } = scanReporterOf(await readScanReporter(), addresses);
    expect(script.text).toContain(`='${addresses.API_URL}'\n`);
    expect(script.text).not.toContain('@CATTERY_API_URL@');
    expect(spawnSync('sh', ['-n'], { input: script.text })).toMatchObject({ status: 0 });
    expect(checksum.text).toMatch(/^[0-9a-f]{64} {2}scan-report\.sh\n$/);
    const sum = spawnSync('sha256sum', { input: script.text, encoding: 'utf8' }).stdout;
    expect(checksum.text.slice(0, 64)).toBe(sum.slice(0, 64));
  });

  test("refuses to be served with an address that would end a shell's quotes", async () => {
    const script = await readScanReporter();
    expect(() => scanReporterOf(script, { API_URL: "https://api.example/';id'" })).toThrow(
      'CATTERY_API_URL cannot be written into scan-report.sh',
    );
  });
});

test('GET /install.sh answers 500 INTERNAL, and nothing of a script, when it may not be served', async () => {
  const { call } = routes({ script: () => Promise.resolve('#!/bin/sh\n') });
  const answer = await call({ path: '/install.sh' });
  expect([answer.status, answer.json().code]).toEqual([500, 'INTERNAL']);
  expect(answer.text).not.toContain('#!/bin/sh');
});

test('the two routes are about the same text', async () => {
  const { call } = routes();
  const { checksum } = installerOf(await assets.script(), addresses);
  expect((await call({ path: '/install.sh.sha256' })).text).toBe(checksum.text);
});
