import type { Caller } from '../../core/credential/caller.ts';
import type { ScanUpload, ScanUploadIssued, ScanUploadRequest } from '../../core/image/scan-upload-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import { base32 } from '../../core/tenant/identifier.ts';
import type { Dependencies } from './deps.ts';
import type { UploadRecord } from './scan-upload-repository.ts';
import { maxAttempts } from './take-upload.ts';
import { decodeResult, uploadProblem } from './upload-outcome.ts';

/** How long a URL is good at most, s; S3 looks at it when an upload begins. */
const urlSeconds = 15 * 60;
/** How long after its URL's end an upload may still be on its way, ms; then nobody waits for it any more. */
const arrivalMs = 15 * 60_000;
/** How long after a lapsed claim another attempt may begin (Lambda's come after 1 and 3 minutes), ms. */
const nextAttemptMs = 10 * 60_000;
/** How often one who waits looks, ms. */
const lookEveryMs = 1_000;
/** A place is kept longer than anyone waits, ms: until the function's own end. */
const placeMs = 25_000;

const table = 'The table of uploads';

/**
 * Gives a URL to put one large report to, bound to its length and SHA-256; what comes of it, `uploadView` tells. Units:
 * 1 write. The upload's item, and so its answer, stays for two days, the object for one.
 */
export async function issueUpload(
  { uploads, uploaded, random, now }: Pick<Dependencies, 'uploads' | 'uploaded' | 'random' | 'now'>,
  { tenantId, scopes }: Caller,
  { contentLength, sha256, image, digest, cluster }: ScanUploadRequest,
): Promise<ScanUploadIssued> {
  const uploadId = `u-${base32(random(17)).slice(0, 26)}`;
  const createdAt = now();
  const { url, headers, until } = await reached(
    'The store of reports',
    uploaded.presign(tenantId, uploadId, { contentLength, sha256, seconds: urlSeconds, now: createdAt }),
  );
  await reached(
    table,
    uploads.create(tenantId, {
      uploadId,
      createdAt,
      urlUntil: until,
      contentLength,
      sha256,
      ...(image === undefined ? {} : { image }),
      ...(digest === undefined ? {} : { digest }),
      ...(cluster === undefined ? {} : { cluster }),
      may: { report: scopes.has('scans:write'), state: scopes.has('image-policy:write') },
    }),
  );
  return { uploadId, method: 'PUT', url, headers: { ...headers }, expiresAt: new Date(until).toISOString() };
}

type Needs = Pick<Dependencies, 'uploads' | 'uploadFollowers' | 'now' | 'wait' | 'random'>;

/**
 * How an upload stands; with `wait` it waits so many seconds for the outcome, unless five of the tenant wait already.
 * NOT_FOUND for an absent, past or other tenant's one. Units: 1 read, more with a large result; while it waits, half a read
 * a second, 2 more, and 2 writes: 13 and 2 for 20 s.
 */
export async function uploadView(
  deps: Needs,
  tenantId: string,
  uploadId: string,
  wait = 0,
): Promise<ScanUpload> {
  let record = await reached(table, deps.uploads.find(tenantId, uploadId));
  if (!record) throw new Problem('NOT_FOUND');
  if (wait > 0 && !ended(record, deps.now())) {
    const follower = Buffer.from(deps.random(12)).toString('hex');
    const now = deps.now();
    const place = { until: now + placeMs, now };
    if (await reached(table, deps.uploadFollowers.enter(tenantId, follower, place))) {
      try {
        record = await reached(table, outcome(deps, tenantId, record, now + wait * 1_000));
      } finally {
        // It lapses by itself, too: an answer that is there is not lost for it.
        await deps.uploadFollowers.leave(tenantId, follower, deps.now()).catch(() => undefined);
      }
    }
  }
  return view(record, deps.now());
}

/** Looks again until there is an outcome or the time is over. */
async function outcome(
  { uploads, now, wait }: Needs,
  tenantId: string,
  known: UploadRecord,
  until: number,
): Promise<UploadRecord> {
  let record = known;
  while (now() < until && !ended(record, now())) {
    await wait(Math.min(lookEveryMs, until - now()));
    record = (await uploads.find(tenantId, record.uploadId, { consistent: false })) ?? record;
  }
  return record;
}

const ended = (record: UploadRecord, now: number): boolean =>
  ['done', 'failed'].includes(view(record, now).state);

/** The state follows the time, too: whoever died in the middle tells nobody. */
function view(record: UploadRecord, now: number): ScanUpload {
  const { uploadId, createdAt, result, problem } = record;
  const given = problem ?? lapse(record, now);
  return {
    uploadId,
    state: given ? 'failed' : record.state,
    createdAt: new Date(createdAt).toISOString(),
    ...(given ? { problem: given } : {}),
    ...(result ? { result: decodeResult(result) } : {}),
  };
}

function lapse({ state, urlUntil, leaseUntil, attempts }: UploadRecord, now: number) {
  if (state === 'waiting' && now > urlUntil + arrivalMs) {
    return uploadProblem(
      new Problem('REQUEST_TIMEOUT', 'No report came before the URL ended: ask for another.'),
    );
  }
  if (state === 'processing' && now > leaseUntil + (attempts < maxAttempts ? nextAttemptMs : 0)) {
    return uploadProblem(new Problem('UNAVAILABLE', 'The report could not be taken: upload it again.'));
  }
  return undefined;
}
