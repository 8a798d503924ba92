/** scan-report.sh with reports that are too large for a request, in the shells that are here, against image-scan's own handlers. */
import { readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Problem } from '../../../core/problem/problem.ts';
import { digestOf, scored, trivyReport } from '../image-scan/reports.ts';
import { ScanBench } from './script/scan-bench.ts';
import { onPath, shellsHere } from './script/shells.ts';

const shells = onPath('curl') === undefined ? [] : shellsHere();
if (shells.length === 0) console.log('curl is missing: scan-report.sh is not tried with large reports');

const one = digestOf('1');
const vulnerabilities = (count: number, score: number) =>
  Array.from({ length: count }, (_, at) => scored(`CVE-2026-${at}`, score, 'HIGH'));
const few = (score: number) => vulnerabilities(3, score);
/** Larger than a request's body may be, by what nobody reads. */
const large = (score: number) => trivyReport(few(score), { Filler: 'x'.repeat(4 * 1024 * 1024) });
const options = ['--image', 'registry.example/shop/web:1', '--digest', one];

describe.each(shells)('scan-report.sh with a large report, in $name', (shell) => {
  let bench: ScanBench;
  beforeEach(async () => {
    bench = await ScanBench.open(shell, { record: shell.busybox === undefined });
  });
  afterEach(async () => {
    try {
      expect(readdirSync(bench.tmp)).toEqual([]);
    } finally {
      await bench.close();
    }
  });
  const targets = () => bench.front.uploads.map(({ target }) => target.replace(/u-[a-z2-7]{26}/, 'ID'));

  test('puts it into the storage, waits, and ends with the verdict, as with a small one', async () => {
    const small = await bench.run(options, { report: trivyReport(few(9.8)) });
    bench.front.uploads.splice(0);
    const outcome = await bench.run(options, { report: large(9.8) });
    expect(outcome).toEqual({ code: 1, stdout: small.stdout, stderr: '' });
    expect(targets().slice(0, 2)).toEqual(['/prod/v1/scan-uploads', '/prod/v1/scan-uploads/ID?wait=20']);
    expect(bench.front.puts.map(({ body }) => body.toString() === large(9.8))).toEqual([true]);
    expect(bench.front.stored).toEqual([one, one]);
  });

  test('prints with --format json what a small one is answered with', async () => {
    const { code, stdout } = await bench.run([...options, '--format=json'], { report: large(5) });
    expect([code, Object.keys(JSON.parse(stdout) as object)]).toEqual([
      0,
      Object.keys(JSON.parse((await inline()).stdout) as object),
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ digest: one, verdict: 'warn', counts: { high: 3 } });
  });
  const inline = () => bench.run([...options, '--format=json'], { report: trivyReport(few(5)) });

  test('sends what is small, but more than a request may have when it is decompressed, once more', async () => {
    const report = gzipSync(large(1));
    expect(await bench.run(options, { report })).toMatchObject({ code: 0, stderr: '' });
    expect(targets().slice(0, 2)).toEqual([
      `/prod/v1/scans?image=registry.example/shop/web:1&digest=${one}`,
      '/prod/v1/scan-uploads',
    ]);
    expect(bench.front.puts.map(({ body }) => body.equals(report))).toEqual([true]);
  });

  test('a report that is refused ends with 4, its code and the upload', async () => {
    const { code, stdout, stderr } = await bench.run(options, { report: `{"x":"${'y'.repeat(5_000_000)}"}` });
    expect([code, stdout]).toEqual([4, '']);
    expect(stderr).toMatch(
      /^scan-report\.sh: The report was refused: The scan report is .*\(REPORT_UNSUPPORTED, upload u-[a-z2-7]{26}\)\n$/,
    );
  });

  test('a key without the right is refused before anything is put', async () => {
    bench.front.instead = () => new Problem('ACCESS_DENIED');
    const { code, stderr } = await bench.run(options, { report: large(1) });
    expect([code, stderr]).toEqual([4, expect.stringContaining('(ACCESS_DENIED, request request-7)')]);
    expect([targets(), bench.front.puts]).toEqual([['/prod/v1/scan-uploads'], []]);
  });

  test('storage that does not take it ends with 4 and what it says', async () => {
    bench.front.instead = ({ target }) =>
      target.startsWith('/prod/storage/')
        ? {
            status: 400,
            type: 'application/xml',
            body: '<?xml version="1.0"?>\n<Error><Code>BadDigest</Code></Error>',
          }
        : undefined;
    const { code, stderr } = await bench.run(options, { report: large(1) });
    expect([code, stderr]).toEqual([
      4,
      expect.stringContaining('has not taken the report: HTTP 400 BadDigest\n'),
    ]);
  });

  test.each([
    ['a URL that would be another option of curl', { url: 'https://x/"\noutput = "/tmp/x' }],
    ['a URL of another kind', { url: 'file:///etc/passwd' }],
    ['a header that would be two', { headers: { 'x-amz-checksum-sha256': 'a\r\nAuthorization: x' } }],
    ['no upload', { uploadId: '' }],
  ])('%s in the answer ends with 4, and nothing is sent there', async (_what, members) => {
    const answer = {
      uploadId: `u-${'a'.repeat(26)}`,
      url: `${bench.front.url}/storage/x`,
      headers: {},
      ...members,
    };
    bench.front.instead = () => ({ status: 201, body: JSON.stringify(answer) });
    const { code, stderr } = await bench.run(options, { report: large(1) });
    expect([code, stderr]).toEqual([
      4,
      `scan-report.sh: ${bench.front.url} has answered something else than where to put the report\n`,
    ]);
    expect(bench.front.puts).toEqual([]);
  });

  (shell.busybox === undefined ? test : test.skip)(
    'neither key nor URL is an argument of a program, and the storage does not get the key',
    async () => {
      bench.watchFor(bench.front.key);
      expect(await bench.run(options, { report: large(1) })).toMatchObject({ code: 0 });
      expect(bench.programs).toContain('/v1/scan-uploads');
      for (const secret of [bench.front.key, 'X-Amz-Signature']) expect(bench.programs).not.toContain(secret);
      expect(bench.leaks).toBe('');
      const [put] = bench.front.puts;
      expect([put?.headers.authorization, JSON.stringify(put?.headers).includes(bench.front.key)]).toEqual([
        undefined,
        false,
      ]);
    },
  );
});
