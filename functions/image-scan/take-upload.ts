import * as z from 'zod';
import { uploadOf } from '../../core/image/upload-key.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import { plainReport } from './report-body.ts';
import { storedLimits } from './report/report-limits.ts';
import type { UploadOutcome, UploadRecord } from './scan-upload-repository.ts';
import { takeReport } from './take-report.ts';
import { encodeResult, uploadProblem } from './upload-outcome.ts';

/** What EventBridge says when an object is in S3. */
export const objectCreated = z.object({
  source: z.literal('aws.s3'),
  'detail-type': z.literal('Object Created'),
  detail: z.object({ object: z.object({ key: z.string() }) }),
});
export type ObjectCreated = z.infer<typeof objectCreated>;

/** How often Lambda gives an event to the function: once, and again a minute and three minutes later. */
export const maxAttempts = 3;
/** How long an attempt has it for itself, ms: longer than the function runs, shorter than the time to the next one. */
export const leaseMs = 40_000;

/**
 * Takes the report that an upload has put into the bucket, as POST /v1/scans takes one, and keeps the answer for whoever
 * asks. The same event again, or later, changes nothing. What is wrong with the report is the outcome; when a part of
 * ours does not answer, it throws, so that the event comes again, and after three attempts UNAVAILABLE is the outcome.
 * Units: 2 writes and 1 per KB of the result, beside those of the report itself; one GET.
 */
export async function takeUpload(deps: Dependencies, { detail }: ObjectCreated): Promise<void> {
  const which = uploadOf(detail.object.key);
  if (!which) {
    deps.logger.warn('an object that is no upload', { key: detail.object.key });
    return;
  }
  const { tenantId, uploadId } = which;
  const now = deps.now();
  const upload = await deps.uploads.claim(tenantId, uploadId, { now, leaseUntil: now + leaseMs });
  if (!upload) {
    deps.logger.info('an upload that needs nothing', { tenantId, uploadId });
    return;
  }
  await deps.uploads.finish(tenantId, uploadId, await outcomeOf(deps, tenantId, upload));
}

/** Throws while another attempt may help. */
async function outcomeOf(deps: Dependencies, tenantId: string, upload: UploadRecord): Promise<UploadOutcome> {
  try {
    return { state: 'done', result: encodeResult(await taken(deps, tenantId, upload)) };
  } catch (error) {
    const problem = error instanceof Problem ? error : new Problem('INTERNAL', undefined, { cause: error });
    if (problem.status < 500) return { state: 'failed', problem: uploadProblem(problem) };
    const { uploadId, attempts } = upload;
    deps.logger.error(problem.code, { tenantId, uploadId, attempts, error: problem.cause ?? problem });
    if (attempts >= maxAttempts) return { state: 'failed', problem: uploadProblem(problem) };
    // When this fails too, the claim lapses by itself.
    await deps.uploads.release(tenantId, upload, deps.now()).catch(() => undefined);
    throw error;
  }
}

async function taken(deps: Dependencies, tenantId: string, upload: UploadRecord) {
  const { uploadId, image, digest, cluster, may } = upload;
  const sent = await reached('The store of reports', deps.uploaded.read(tenantId, uploadId, upload));
  if (!sent) {
    throw new Problem('REPORT_MALFORMED', 'What was uploaded is not what was announced: length or SHA-256.');
  }
  const report = plainReport(sent, storedLimits);
  return takeReport(deps, { tenantId, report, image, digest, cluster, may, limits: storedLimits });
}
