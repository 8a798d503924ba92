/** A report that is too large for a request: from its sender into the storage, from there to the function, and the verdict back. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { scanUpload, scanUploadIssued } from '../../core/image/scan-upload-schema.ts';
import { scored, trivyReport } from '../functions/image-scan/reports.ts';
import { eventually } from './poll.ts';
import { alpineDigest, alpineReport } from './scan.ts';
import { root, run, type Stack } from './stack.ts';

const tools = ['curl', 'gzip', 'jq', 'openssl'];
const missing = tools.filter((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0);
if (missing.length > 0) console.log(`${missing.join(', ')} missing: an upload by hand is not tried`);

/** The commands of docs/image-scans.md for an upload by hand. */
async function byHand(): Promise<string> {
  const page = await readFile(path.join(root, 'docs/image-scans.md'), 'utf8');
  const section = page.split(/^## /m).find((each) => each.startsWith('Large reports\n')) ?? '';
  const [, block = ''] = /^```sh\n([^]*?)^```$/m.exec(section) ?? [];
  return block;
}

export function scanUploads(stack: () => Stack): void {
  describe('a large report', () => {
    const digest = `sha256:${'5'.repeat(64)}`;
    const report = gzipSync(
      trivyReport([scored('CVE-2026-5', 9.8)], { Filler: 'x'.repeat(8 * 1024 * 1024) }),
    );
    const issued = async (body: Uint8Array) => {
      const sha256 = createHash('sha256').update(body).digest('hex');
      const asked = { contentLength: body.length, sha256, digest };
      const answer = await stack().api.post('/v1/scan-uploads', asked);
      expect(answer.status).toBe(201);
      const upload = scanUploadIssued.parse(answer.json);
      expect(answer.headers.location).toBe(`scan-uploads/${upload.uploadId}`);
      return upload;
    };
    const put = async (
      { url, headers }: { url: string; headers: Record<string, string> },
      body: Uint8Array,
    ) => {
      // `fetch` says the length itself.
      const { 'Content-Length': _length, ...others } = headers;
      return (await fetch(url, { method: 'PUT', headers: others, body })).status;
    };
    const look = async (uploadId: string) =>
      scanUpload.parse((await stack().api.get(`/v1/scan-uploads/${uploadId}?wait=20`)).json);

    test('put to the URL is taken by itself, and its verdict is waited for', async () => {
      const upload = await issued(report);
      expect(await put(upload, report)).toBe(200);
      const ended = await eventually('an outcome', 60_000, async () => {
        const view = await look(upload.uploadId);
        return (view.state === 'done' || view.state === 'failed') && view;
      });
      expect(ended).toMatchObject({ state: 'done', result: { digest, verdict: 'fail' } });
      expect(await stack().api.get(`/v1/images/${digest}`)).toMatchObject({
        status: 200,
        json: { verdict: 'fail' },
      });
    });

    (missing.length > 0 ? test.skip : test)('by hand, as the page has it, is taken as well', async () => {
      const cwd = path.join(stack().process.data, 'scan-uploads');
      await mkdir(cwd);
      await writeFile(path.join(cwd, 'trivy.json'), await alpineReport());
      const { code, stdout, stderr } = await run('sh', ['-euc', await byHand()], {
        cwd,
        environment: {
          PATH: process.env.PATH ?? '',
          CURL_CA_BUNDLE: stack().state.caFile,
          CATTERY: stack().state.apiUrl,
          CATTERY_API_KEY: stack().state.adminToken,
          DIGEST: alpineDigest,
        },
      });
      expect([code, stderr]).toEqual([0, '']);
      expect(scanUpload.parse(JSON.parse(stdout))).toMatchObject({
        state: 'done',
        result: { digest: alpineDigest, verdict: 'warn' },
      });
    });

    test('of other bytes than announced is not taken', async () => {
      const other = Buffer.alloc(report.length, ' ');
      const upload = await issued(report);
      expect(await put(upload, other)).toBe(400);
      expect(await put(upload, other.subarray(1))).toBe(403);
      expect(
        scanUpload.parse((await stack().api.get(`/v1/scan-uploads/${upload.uploadId}`)).json),
      ).toMatchObject({ state: 'waiting' });
    });
  });
}
