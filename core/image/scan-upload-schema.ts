import * as z from 'zod';
import { problemCodes } from '../problem/problem.ts';
import { digest, scanResult, scanResults } from './image-schema.ts';
import { statementsTaken } from './statements-schema.ts';

/** Most bytes of an uploaded report, as they are sent and decompressed. */
export const maxUploadBytes = 64 * 1024 * 1024;

/** Most seconds that one request waits for an outcome: the function has 25, the gateway 29. */
export const maxWaitSeconds = 20;

export const uploadIdPattern = /^u-[a-z2-7]{26}$/;
export const uploadId = z.string().regex(uploadIdPattern);

/** Where in the scan bucket a report waits to be taken: before the tenants' prefixes, so that one rule ends them all. */
export const uploadsPrefix = 'uploads/';

export const scanUploadRequest = z
  .strictObject({
    contentLength: z
      .int()
      .min(1)
      .max(maxUploadBytes)
      .meta({ description: 'bytes that will be sent, gzip or not' }),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .meta({ description: 'of those bytes, in hex' }),
    image: z.string().min(1).max(1_024).optional().meta({ description: 'as of POST /v1/scans' }),
    digest: digest.optional(),
    cluster: z.string().min(1).max(64).optional(),
  })
  .meta({ id: 'ScanUploadRequest' });
export type ScanUploadRequest = z.infer<typeof scanUploadRequest>;

const time = z.iso.datetime();

export const scanUploadIssued = z
  .object({
    uploadId,
    method: z.literal('PUT'),
    url: z.string().meta({ description: 'a secret: whoever has it may upload this one report' }),
    headers: z
      .record(z.string(), z.string())
      .meta({ description: 'to be sent as they are; no other credential' }),
    expiresAt: time.meta({ description: 'when the URL ends, in 5 to 15 minutes' }),
  })
  .meta({ id: 'ScanUploadIssued' });
export type ScanUploadIssued = z.infer<typeof scanUploadIssued>;

export const uploadStates = ['waiting', 'processing', 'done', 'failed'] as const;
export type UploadState = (typeof uploadStates)[number];

export const uploadProblem = z
  .object({
    code: z.enum(Object.keys(problemCodes) as [keyof typeof problemCodes]),
    title: z.string(),
    detail: z.string().optional(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'ScanUploadProblem', description: 'what POST /v1/scans would have answered' });
export type UploadProblem = z.infer<typeof uploadProblem>;

/** `result` is last: what comes before it holds no text of a report. */
export const scanUpload = z
  .object({
    uploadId,
    state: z.enum(uploadStates),
    createdAt: time,
    problem: uploadProblem.optional().meta({ description: 'of a failed one' }),
    result: z
      .union([scanResult, scanResults, statementsTaken])
      .optional()
      .meta({ description: 'of one that is done: the answer of POST /v1/scans' }),
  })
  .meta({ id: 'ScanUpload' });
export type ScanUpload = z.infer<typeof scanUpload>;
