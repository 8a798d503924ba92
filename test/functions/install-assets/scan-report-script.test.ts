/** scan-report.sh in the shells that are here, against image-scan's own handlers. */
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Problem } from '../../../core/problem/problem.ts';
import { digestOf, scored, trivyFixture, trivyReport } from '../image-scan/reports.ts';
import { ScanBench } from './script/scan-bench.ts';
import { onPath, shellsHere } from './script/shells.ts';

const possible = onPath('curl') !== undefined;
if (!possible) console.log('curl is missing: scan-report.sh is not tried');
const shells = possible ? shellsHere() : [];
const shell = shells.find(({ name }) => name === 'dash') ?? shells[0];

const fixture = (name: string) =>
  readFileSync(new URL(`../../fixtures/scan-reports/${name}`, import.meta.url));
const [one, two] = [digestOf('1'), digestOf('2')];
const resource = (name: string, digest: string | undefined, score: number) => ({
  Kind: 'Deployment',
  Name: name,
  Metadata: [
    {
      RepoTags: [`registry.example/${name}:1`],
      RepoDigests: digest === undefined ? [] : [`registry.example/${name}@${digest}`],
    },
  ],
  Results: [
    {
      Target: `${name} (debian 12)`,
      Class: 'os-pkgs',
      Type: 'debian',
      Vulnerabilities: [scored('CVE-2026-1', score)],
    },
  ],
});
const ofACluster = (...Resources: unknown[]) => JSON.stringify({ ClusterName: 'kind', Resources });
const withScore = (score: number) => trivyReport([scored('CVE-2026-1', score)]);

describe.each(shells)('scan-report.sh in $name', (shell) => {
  let bench: ScanBench;
  beforeEach(async () => {
    bench = await ScanBench.open(shell);
  });
  afterEach(async () => {
    try {
      expect(readdirSync(bench.tmp)).toEqual([]);
    } finally {
      await bench.close();
    }
  });

  test.each([
    ['pass', [], 3.9, 0],
    ['pass', ['--warn-as-fail'], 3.9, 0],
    ['warn', [], 4, 0],
    ['warn', ['--warn-as-fail'], 4, 2],
    ['fail', ['--warn-as-fail'], 9, 1],
    ['fail', [], 9, 1],
  ])('ends a report judged %s, with %j, as that verdict', async (verdict, more, score, code) => {
    const outcome = await bench.run([`--digest=${one}`, ...more], { report: withScore(score) });
    expect(outcome).toEqual({ code, stdout: expect.stringContaining(`Verdict: ${verdict}\n`), stderr: '' });
    expect(outcome.stdout.startsWith(`${verdict}  ${one}\n`)).toBe(true);
  });

  test("shows Trivy's own report of Alpine as a table, from a file", async () => {
    const file = bench.file('a report.json', trivyFixture('alpine-310'));
    const { code, stdout, stderr } = await bench.run(['--image', 'alpine:3.10', '--digest', one, file]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const lines = stdout.split('\n');
    expect(lines.slice(0, 2)).toEqual([
      `warn  ${one}`,
      '  0 critical, 0 high, 4 medium, 0 low, 0 negligible, 0 unknown, 0 suppressed',
    ]);
    expect(lines[2]).toMatch(/^ {2}cvss-warn: \d+ with a score of 4 or more$/);
    expect(lines[3]).toMatch(/^ {2}SEVERITY +SCORE +VULNERABILITY +PACKAGE +FIX$/);
    expect(lines.slice(4)).toContainEqual(
      expect.stringMatching(/^ {2}medium +5\.3 +CVE-2019-1549 +libcrypto1\.1 1\.1\.1c-r0 +1\.1\.1d-r0$/),
    );
    expect(bench.front.uploads.map(({ target }) => target)).toEqual([
      `/prod/v1/scans?image=alpine:3.10&digest=${one}`,
    ]);
  });

  test('of several images the worst verdict counts, and one that is left out makes it unknown at best', async () => {
    const [good, bad] = [resource('good', one, 1), resource('bad', two, 9.8)];
    const nameless = resource('nameless', undefined, 1);
    const run = (...images: unknown[]) => bench.run([], { report: ofACluster(...images) });
    expect(await run(good, bad)).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('Verdict: fail\n'),
    });
    const unknown = await run(good, nameless);
    expect(unknown).toMatchObject({ code: 3, stdout: expect.stringContaining('Verdict: unknown\n') });
    expect(unknown.stdout).toContain(
      'unknown  registry.example/nameless:1  REPORT_DIGEST_MISSING, 1 findings\n',
    );
    expect(await run(good, bad, nameless)).toMatchObject({ code: 1 });
    expect(new Set(bench.front.stored)).toEqual(new Set([one, two]));
  });

  test('a refusal ends with 4, its code, what is wrong where, and the request', async () => {
    const { code, stdout, stderr } = await bench.run([], {
      report: JSON.stringify({ SchemaVersion: 2, ArtifactType: 'container_image', Results: [{ Target: 7 }] }),
    });
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
    expect(stderr).toMatch(
      /^scan-report\.sh: The report was refused: .*\(REPORT_MALFORMED, request request-1\)\n {2}\S*Target: \S/,
    );
  });

  test('an answer is read whatever its strings hold, and commands neither terminal nor CI system', async () => {
    const hostile = String.raw`{"verdict" : "fail" ,
      "digest":"sha256:\"verdict\":\"pass\"\\","counts":{"critical":2,"high":0},"nested":[[],{},[{"verdict":"pass"}]],
      "reasons":[{"rule":"r\u001b]0;x\u0007\n::error::x\nVerdict: pass","threshold":9.0,"total":3,"findings":[
      {"vulnerability":"##vso[task.complete]\\","severity":"high","package":"é€😀","version":"1","fix":{"state":"fixed","versions":["2","3","4","5"]}}]}],
      "suppressed":{"total":1e0}}`;
    bench.front.instead = () => ({ status: 201, body: hostile });
    const { code, stdout, stderr } = await bench.run([], { report: '{}' });
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout.split('\n')).toEqual([
      'fail  sha256:"verdict":"pass"',
      '  2 critical, 0 high, 0 medium, 0 low, 0 negligible, 0 unknown, 1 suppressed',
      expect.stringMatching(/^ {2}r\?\]0;x\? ::error::x Verdict: pass: 3 with a score of 9\.0 or more$/),
      expect.stringMatching(/^ {2}SEVERITY/),
      expect.stringMatching(/^ {2}high +#vso\[task\.complete\] +é€😀 1 +2, 3, 4$/),
      '  and 2 more',
      'Verdict: fail',
      '',
    ]);
  });

  test.each([
    ['HTML', '<html><p class="verdict">pass</p></html>'],
    ['nothing', ''],
    ['JSON without a verdict', '{"items":[],"skipped":[]}'],
    ['JSON that was cut off before it', '{"scanId":"s-1","digest":"sha256:'],
  ])('an answer of %s is no verdict: 4', async (_, body) => {
    bench.front.instead = () => ({ status: 201, type: 'text/html', body });
    expect(await bench.run([], { report: '{}' })).toEqual({
      code: 4,
      stdout: '',
      stderr: `scan-report.sh: ${bench.front.url} has answered something else than a verdict\n`,
    });
  });

  test('Ctrl-C while it waits for the answer ends it with 130, without a word', async () => {
    const outcome = await bench.run(['--digest', one], { report: withScore(5), interrupted: true });
    expect(outcome).toEqual({ code: 130, stdout: '', stderr: '' });
  });

  test('a script that was cut off anywhere uploads nothing and is no verdict: 4', async () => {
    const { script, front } = bench;
    const begun = script.indexOf('EXIT\n') + 5;
    for (let part = 1; part <= 12; part++) {
      const cut = Math.floor(begun + ((script.length - 2 - begun) * part) / 12);
      const { code } = await bench.run([], { script: script.slice(0, cut), piped: true });
      expect([cut, code]).toEqual([cut, 4]);
    }
    expect(front.uploads).toEqual([]);
  }, 30_000);
});

(shell ? describe : describe.skip)('scan-report.sh', () => {
  let bench: ScanBench;
  beforeEach(async () => {
    if (!shell) throw new Error('There is no shell.');
    bench = await ScanBench.open(shell);
  });
  afterEach(async () => {
    try {
      expect(readdirSync(bench.tmp)).toEqual([]);
    } finally {
      await bench.close();
    }
  });
  const query = ['--digest', one];

  test.each(['grype-ghsa.json', 'trivy-operator-extended.json', 'cyclonedx-grype-image.json'])(
    'takes %s, which names its image itself',
    async (name) => {
      const { code, stdout, stderr } = await bench.run(['--format', 'json'], { report: fixture(name) });
      expect([code === 0 || code === 1, stderr]).toEqual([true, '']);
      expect(stdout).toBe(`${bench.front.answers[0] ?? ''}\n`);
      expect(bench.front.stored).toEqual([(JSON.parse(stdout) as { digest: string }).digest]);
    },
  );

  test('sends every byte of a report as it is, and says of a compressed one that it is', async () => {
    const report = `${withScore(1)}\r\n\n`;
    await bench.run(query, { report });
    await bench.run([...query, '-'], { report: gzipSync(report) });
    const [plain, compressed] = bench.front.uploads;
    expect(plain?.body.toString()).toBe(report);
    expect(plain?.headers).not.toHaveProperty('content-encoding');
    expect(compressed).toMatchObject({ body: gzipSync(report), headers: { 'content-encoding': 'gzip' } });
    expect(bench.front.stored).toEqual([one, one]);
  });

  test('reads the key from a file, and prefers that to the environment', async () => {
    const file = bench.file('key', `  ${bench.front.key}\r\n`);
    const environment = { CATTERY_API_KEY: 'cak_another', key: 'x' };
    const outcome = await bench.run([...query, '--api-key-file', file], {
      report: withScore(1),
      environment,
    });
    expect(outcome).toMatchObject({ code: 0, stderr: '' });
  });

  test.each([
    ['an unknown option', ['--imge', 'x'], 'unknown option: --imge'],
    ['an option without its value', ['--image'], '--image needs a value'],
    ['an option with an empty value', ['--digest', '', 'a'], '--digest needs a value'],
    ['an option with nothing behind its sign', ['--digest='], '--digest needs a value'],
    ['an option in the place of a value', ['--image', '--warn-as-fail'], '--image needs a value'],
    ['a value for what takes none', ['--warn-as-fail=no'], 'unknown option: --warn-as-fail=no'],
    ['two reports', ['a', 'b'], 'one report at a time'],
    ['another format', ['--format', 'yaml'], '--format is table or json'],
    ['a reference that is none', ['--image', 'a&digest=b'], '--image is a reference'],
    ['a digest that is none', ['--digest', 'sha256:A'], '--digest is sha256:'],
    ['a report that is not there', ['gone.json'], 'gone.json cannot be read'],
    ['a directory', ['bin'], 'bin cannot be read'],
    ['a key file that is not there', ['--api-key-file', 'gone'], '--api-key-file: gone cannot be read'],
    ['a CA file that is not there', ['--ca-file', 'gone'], '--ca-file: gone cannot be read'],
    ['no report', [], 'the report is empty'],
  ])('%s ends with 4 before anything is sent', async (_, given, words) => {
    const { code, stdout, stderr } = await bench.run(given);
    expect({ code, stdout, stderr }).toEqual({
      code: 4,
      stdout: '',
      stderr: expect.stringContaining(`scan-report.sh: ${words}`),
    });
    expect(bench.front.uploads).toEqual([]);
  });

  test.each([
    ['no key', {}, 'there is no API key'],
    [
      'a key that would be an option of curl',
      { CATTERY_API_KEY: 'cak_"\nurl = "x' },
      'has characters that none has',
    ],
  ])('%s ends with 4 before anything is sent', async (_, environment, words) => {
    const outcome = await bench.run([], { report: '{}', environment });
    expect(outcome).toEqual({ code: 4, stdout: '', stderr: expect.stringContaining(words) });
    expect(bench.front.uploads).toEqual([]);
  });

  test('without the placeholder filled in it says where it comes from, and ends with 4', async () => {
    const script = bench.script.replace(bench.front.url, '@CATTERY_API_URL@');
    expect(await bench.run([], { report: '{}', script })).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('as its control plane serves it'),
    });
  });

  test('--help tells its options and exit codes, and ends with 0', async () => {
    const { code, stdout } = await bench.run(['--help'], { environment: {} });
    expect(code).toBe(0);
    expect(stdout).toContain(bench.front.url);
    const known = [...bench.script.matchAll(/^ {4}(--[a-z-]+)\)/gm)].map(([, option = '']) => option);
    expect(known.length).toBeGreaterThan(5);
    for (const option of known) expect(stdout).toContain(`  ${option}`);
  });

  test.each([
    [new Problem('UNAUTHENTICATED'), /\(UNAUTHENTICATED, request request-7\)\n$/],
    [
      new Problem('ACCESS_DENIED', 'It lacks scans:write.'),
      /scans:write \(ACCESS_DENIED, request request-7\)\n$/,
    ],
    [
      { status: 413, body: '{"message":"Request Entity Too Large"}' },
      /Too Large \(HTTP 413, request unknown\)\n$/,
    ],
    [{ status: 302, body: '' }, /none of its own \(HTTP 302, request unknown\)\n$/],
    [{ status: 200, body: '{"verdict":"pass"}' }, /none of its own \(HTTP 200, request unknown\)\n$/],
  ])('%j ends with 4 and says so', async (fault, words) => {
    bench.front.instead = () => fault;
    const { code, stdout, stderr } = await bench.run(query, { report: withScore(1) });
    expect({ code, stdout, stderr }).toEqual({ code: 4, stdout: '', stderr: expect.stringMatching(words) });
  });

  test('is sent again when the control plane was not well', async () => {
    let asked = 0;
    bench.front.instead = () => ((asked += 1) === 1 ? new Problem('UNAVAILABLE') : undefined);
    const { code, stdout } = await bench.run(query, { report: withScore(9.8) });
    expect([code, asked]).toEqual([1, 2]);
    expect(stdout.startsWith(`fail  ${one}\n`)).toBe(true);
  });

  test('a control plane that is away ends with 4 and what curl says', async () => {
    await bench.front.close();
    const { code, stderr } = await bench.run(query, { report: withScore(1) });
    expect(code).toBe(4);
    expect(stderr).toMatch(/does not answer: curl: \(7\) .*\n {2}remedy: .*HTTPS_PROXY/);
  });

  test('a machine without curl is no verdict: 4', async () => {
    if (!shell) throw new Error('There is no shell.');
    const bare = await ScanBench.open(shell, { without: ['curl'] });
    try {
      expect(await bare.run(query, { report: withScore(1) })).toMatchObject({
        code: 4,
        stderr: expect.stringMatching(/does not answer: .*curl: .*not found/),
      });
    } finally {
      await bare.close();
    }
  });

  test('500 images with their reasons are read and counted', async () => {
    const images = Array.from({ length: 500 }, (_, at) =>
      resource(`web-${at}`, `sha256:${at.toString(16).padStart(64, '0')}`, at === 250 ? 9.8 : 5),
    );
    const { code, stdout } = await bench.run([], { report: ofACluster(...images) });
    expect(code).toBe(1);
    expect([stdout.match(/^warn {2}sha256/gm)?.length, stdout.match(/^fail {2}sha256/gm)?.length]).toEqual([
      499, 1,
    ]);
  }, 30_000);
});

// busybox runs its own tools in the shell's process: they have no arguments that others could see.
describe.each(shells.filter(({ name }) => name !== 'bash --posix'))('the API key, in $name', (shell) => {
  test('is in no argument of a program, no temporary file, and nothing that is printed', async () => {
    const bench = await ScanBench.open(shell, { record: true });
    try {
      const { key } = bench.front;
      bench.watchFor(key);
      const good = await bench.run(['--digest', one], { report: withScore(5) });
      bench.front.instead = () => new Problem('UNAUTHENTICATED');
      const refused = await bench.run(['--digest', one], { report: withScore(5) });
      expect([good.code, refused.code]).toEqual([0, 4]);
      // The recorder works: it has seen what is no secret.
      expect(bench.programs).toContain('curl\0');
      expect(bench.programs).toContain('/v1/scans');
      for (const text of [bench.programs, bench.leaks, ...Object.values(good), ...Object.values(refused)])
        expect(String(text)).not.toContain(key);
      expect(bench.leaks).toBe('');
    } finally {
      await bench.close();
    }
  });
});
