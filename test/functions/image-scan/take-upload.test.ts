import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { ScanUpload, ScanUploadIssued } from '../../../core/image/scan-upload-schema.ts';
import { uploadKey } from '../../../core/image/upload-key.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import type { Dependencies } from '../../../functions/image-scan/deps.ts';
import { handlers } from '../../../functions/image-scan/routes.ts';
import { type ObjectCreated, takeUpload } from '../../../functions/image-scan/take-upload.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { caller, member } from '../api-call.ts';
import { engineDependencies } from './engine-dependencies.ts';
import { digestOf, scored, trivyReport } from './reports.ts';

const digest = digestOf('1');
const created = (key: string): ObjectCreated => ({
  source: 'aws.s3',
  'detail-type': 'Object Created',
  detail: { object: { key } },
});

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
});
afterEach(() => {
  engine.faults.mend();
});
afterAll(() => engine.close());

type Asked = { image?: string; digest?: string; cluster?: string };

/** The whole way: a URL, a PUT to it, the event, a look. */
function uploading() {
  const clock = { now: Date.now() };
  const logged: { level: string; message: unknown; about: unknown }[] = [];
  const log =
    (level: string): Dependencies['logger']['info'] =>
    (message, ...about) =>
      void logged.push({ level, message, about });
  const deps: Dependencies = {
    ...engineDependencies(engine),
    now: () => clock.now,
    logger: { info: log('info'), warn: log('warn'), error: log('error') },
  };
  const call = caller('image-scan', handlers(deps));
  const tenantId = newTenantId();
  const as = member(tenantId);
  const post = async (body: Uint8Array, asked: Asked = {}, scopes = as.scopes) => {
    const sha256 = createHash('sha256').update(body).digest('hex');
    const answer = await call({
      method: 'POST',
      path: '/v1/scan-uploads',
      body: JSON.stringify({ contentLength: body.length, sha256, ...asked }),
      caller: { ...as, scopes },
    });
    const { url, uploadId, headers } = answer.json() as ScanUploadIssued;
    const { 'Content-Length': _length, ...others } = headers;
    const put = await fetch(url, { method: 'PUT', body, headers: others });
    expect([answer.status, put.status]).toEqual([201, 200]);
    return uploadId;
  };
  const take = (uploadId: string) => takeUpload(deps, created(uploadKey(tenantId, uploadId)));
  const look = async (uploadId: string) => {
    const answer = await call({
      path: `/v1/scan-uploads/${uploadId}`,
      resource: '/v1/scan-uploads/{uploadId}',
      params: { uploadId },
      caller: as,
    });
    return answer.json() as unknown as ScanUpload;
  };
  const inline = async (report: string, query: Record<string, string> = {}) =>
    (await call({ method: 'POST', path: '/v1/scans', query, body: report, caller: as })).json();
  const images = async () =>
    (await call({ path: '/v1/images', caller: as })).json().items as { digest: string; verdict: string }[];
  return { deps, clock, logged, tenantId, post, take, look, inline, images, call, as };
}
const text = (report: string) => Buffer.from(report);

/** Above what a request's body may have. */
const many = (count: number) =>
  trivyReport(Array.from({ length: count }, (_, index) => scored(`CVE-2026-${index}`, 9.1, 'CRITICAL')));
const large = trivyReport([scored('CVE-2026-1', 9.1, 'CRITICAL')], { Filler: 'x'.repeat(4 * 1024 * 1024) });

describe('a report that is too large for a request', () => {
  test('is taken from the bucket, and the answer is that of POST /v1/scans', async () => {
    const { post, take, look, images } = uploading();
    expect(large.length).toBeGreaterThan(4 * 1024 * 1024);
    const uploadId = await post(text(large), { digest, image: 'registry.example/shop/web:1' });
    expect(await look(uploadId)).toMatchObject({ state: 'waiting' });
    await take(uploadId);
    expect(await look(uploadId)).toMatchObject({
      state: 'done',
      result: {
        digest,
        verdict: 'fail',
        counts: { critical: 1 },
        reasons: [{ rule: 'cvss-fail', total: 1 }],
      },
    });
    expect(await images()).toMatchObject([{ digest, verdict: 'fail' }]);
  });

  test('and the same inline are the same scan, gzip or not', async () => {
    const { post, take, look, inline } = uploading();
    const report = many(3);
    const { scanId } = await inline(report, { digest });
    for (const body of [text(report), gzipSync(report)]) {
      const uploadId = await post(body, { digest });
      await take(uploadId);
      expect(await look(uploadId)).toMatchObject({ state: 'done', result: { scanId, digest } });
    }
  });

  test('twice told of is taken once', async () => {
    const { deps, post, take, look, logged } = uploading();
    const uploadId = await post(text(many(3)), { digest });
    const kept: unknown[] = [];
    const { reports } = deps;
    Object.assign(deps, {
      reports: {
        keep: (...given: Parameters<typeof reports.keep>) => {
          kept.push(given);
          return reports.keep(...given);
        },
      },
    });
    await Promise.all([take(uploadId), take(uploadId)]);
    await take(uploadId);
    expect([kept.length, (await look(uploadId)).state]).toEqual([1, 'done']);
    expect(logged.map(({ message }) => message)).toEqual([
      'an upload that needs nothing',
      'an upload that needs nothing',
    ]);
  });

  test('of a key that may not send reports is ACCESS_DENIED, as inline', async () => {
    const { post, take, look, images } = uploading();
    const uploadId = await post(text(many(1)), { digest }, new Set(['image-policy:write'] as const));
    await take(uploadId);
    expect(await look(uploadId)).toMatchObject({ state: 'failed', problem: { code: 'ACCESS_DENIED' } });
    expect(await images()).toEqual([]);
  });

  test('for a cluster that is not the tenant’s is NOT_FOUND', async () => {
    const { post, take, look, images } = uploading();
    const uploadId = await post(text(many(1)), { digest, cluster: `c-${'a'.repeat(20)}` });
    await take(uploadId);
    expect(await look(uploadId)).toMatchObject({ state: 'failed', problem: { code: 'NOT_FOUND' } });
    expect(await images()).toEqual([]);
  });
});

describe('a hostile upload', () => {
  const bomb = gzipSync(Buffer.alloc(65 * 1024 * 1024, ' '));
  test.each([
    ['that is empty JSON', text('{}'), 'REPORT_UNSUPPORTED'],
    ['that is cut off', text(many(20).slice(0, -9)), 'REPORT_MALFORMED'],
    ['that is not UTF-8', Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d]), 'REPORT_MALFORMED'],
    ['of half a gzip file', gzipSync(many(20)).subarray(0, 200), 'REPORT_MALFORMED'],
    ['of 65 MiB behind 65 KB of gzip', bomb, 'PAYLOAD_TOO_LARGE'],
    ['of a gzip file in a gzip file', gzipSync(gzipSync(many(20))), 'REPORT_MALFORMED'],
    [
      'of a million findings',
      gzipSync(many(0).replace('"Vulnerabilities":[]', `"Vulnerabilities":[${'{},'.repeat(1_000_000)}{}]`)),
      'PAYLOAD_TOO_LARGE',
    ],
    [
      'of another image',
      text(trivyReport([], { Metadata: { RepoDigests: [`web@${digestOf('2')}`] } })),
      'REPORT_DIGEST_MISMATCH',
    ],
  ])('%s ends as it would inline, and nothing is stored', async (_what, body, code) => {
    const { post, take, look, images, logged } = uploading();
    const uploadId = await post(body, { digest });
    await take(uploadId);
    const view = await look(uploadId);
    expect(view).toMatchObject({ state: 'failed', problem: { code, title: expect.any(String) } });
    expect([view.result, await images(), logged]).toEqual([undefined, [], []]);
  });

  test('that is not what was announced is refused, should S3 ever have taken it', async () => {
    const { post, take, look, tenantId } = uploading();
    const uploadId = await post(text(many(1)), { digest });
    const Key = uploadKey(tenantId, uploadId);
    await engine.s3.send(new PutObjectCommand({ Bucket: engine.buckets.scan, Key, Body: '{}' }));
    await take(uploadId);
    expect(await look(uploadId)).toMatchObject({ state: 'failed', problem: { code: 'REPORT_MALFORMED' } });
  });

  test.each([
    ['that nobody asked for', `uploads/tenant/${newTenantId()}/u-${'a'.repeat(26)}`],
    ['under no upload’s key', `uploads/tenant/${newTenantId()}/FOLLOWERS`],
    ['of no tenant', 'uploads/x'],
  ])('an object %s changes nothing', async (_what, key) => {
    const { deps } = uploading();
    const { write } = await engine.units(() => takeUpload(deps, created(key)));
    // A condition that does not hold.
    expect(write).toBeLessThanOrEqual(1);
  });

  test('under another tenant’s prefix does not reach this tenant’s upload', async () => {
    const { deps, post, look } = uploading();
    const uploadId = await post(text(many(1)), { digest });
    await takeUpload(deps, created(uploadKey(newTenantId(), uploadId)));
    expect(await look(uploadId)).toMatchObject({ state: 'waiting' });
  });
});

describe('when something breaks', () => {
  test('at the store of reports, it is tried three times, and then UNAVAILABLE', async () => {
    const broken = uploading();
    const uploadId = await broken.post(text(many(1)), { digest });
    Object.assign(broken.deps, { uploaded: { read: () => Promise.reject(new Error('no S3')) } });
    for (let attempt = 1; attempt < 3; attempt += 1) {
      await expect(broken.take(uploadId)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(await broken.look(uploadId)).toMatchObject({ state: 'processing' });
    }
    await broken.take(uploadId);
    expect(await broken.look(uploadId)).toMatchObject({ state: 'failed', problem: { code: 'UNAVAILABLE' } });
    expect(broken.logged.map(({ level, message }) => `${level} ${String(message)}`)).toEqual(
      Array.from({ length: 3 }, () => 'error UNAVAILABLE'),
    );
    expect(JSON.stringify(await broken.look(uploadId))).not.toContain('no S3');
  });

  test('after each write, the event again completes what an undisturbed one would have done', async () => {
    const report = text(many(300));
    const undisturbed = uploading();
    const first = await undisturbed.post(report, { digest });
    await undisturbed.take(first);
    const wanted = await undisturbed.look(first);
    for (let nth = 1; ; nth += 1) {
      const { post, take, look, clock, images } = uploading();
      const uploadId = await post(report, { digest });
      engine.faults.dieAfterWrite(nth);
      const died = await take(uploadId).then(
        () => false,
        () => true,
      );
      engine.faults.mend();
      if (!died) {
        // Each write of an attempt has been the last once: claim, those of the image, and the outcome.
        expect(nth).toBeGreaterThan(4);
        break;
      }
      const state = (await look(uploadId)).state;
      // The outcome is written last; only its answer was lost, then.
      expect(['processing', 'done']).toContain(state);
      clock.now += 40_000;
      await take(uploadId);
      const { state: now, result } = await look(uploadId);
      expect({ state: now, result }).toEqual({ state: 'done', result: { ...wanted.result } });
      expect(await images()).toMatchObject([{ digest, verdict: 'fail' }]);
    }
  });

  test('in a way that nobody expects, it is logged and INTERNAL after three attempts, without its text', async () => {
    const { deps, post, take, look, logged } = uploading();
    const uploadId = await post(text(many(1)), { digest });
    Object.assign(deps, {
      rules: {
        ready: () => {
          throw new TypeError('secret of the house');
        },
      },
    });
    for (let attempt = 1; attempt < 3; attempt += 1) await expect(take(uploadId)).rejects.toThrow('secret');
    await take(uploadId);
    expect(await look(uploadId)).toMatchObject({ state: 'failed', problem: { code: 'INTERNAL' } });
    expect(JSON.stringify(await look(uploadId))).not.toContain('secret');
    expect(logged).toHaveLength(3);
  });

  (unitsAreExact ? test : test.skip)(
    'or nothing does, an upload costs 2 writes beside the report’s',
    async () => {
      const { post, take } = uploading();
      const report = many(3);
      const other = uploading();
      const plain = await engine.units(() => other.inline(report, { digest }));
      const uploadId = await post(text(report), { digest });
      const taken = await engine.units(() => take(uploadId));
      expect(taken).toEqual({ read: plain.read, write: plain.write + 2 });
    },
  );
});
