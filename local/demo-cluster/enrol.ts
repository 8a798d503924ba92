import 'reflect-metadata';
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import * as x509 from '@peculiar/x509';
import { z } from 'zod';
import { makeKeyPair, privateKeyPem } from './kube-api-certificate.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/** What `POST /v1/registrations` answers; PEM where the name says certificate or trust. */
const registrationSchema = z.object({
  clusterId: z.string().min(1),
  clusterName: z.string().min(1),
  certificate: z.string().includes('-----BEGIN CERTIFICATE-----'),
  trustBundle: z.string().includes('-----BEGIN CERTIFICATE-----'),
  logTrust: z.string().includes('-----BEGIN CERTIFICATE-----'),
  tunnelAddress: z.string().min(1),
  clusterToken: z.string().min(1),
});
export type Registration = z.infer<typeof registrationSchema>;

export type EnrolErrorCode =
  | 'REFUSED' // the API said no; `problem` is its code, and asking again would not help
  | 'UNREACHABLE' // no answer, or only 429 and 5xx, until the attempts were used up
  | 'ANSWER_INVALID' // 201 with a body that is no registration
  | 'KEY_MISMATCH' // the certificate is not for the key of the directory
  | 'TOKEN_MISSING'; // not registered yet and no registration token given

export class EnrolError extends Error {
  override readonly name = 'EnrolError';
  readonly code: EnrolErrorCode;
  /** The `code` of the API's problem document. */
  readonly problem: string | undefined;

  constructor(code: EnrolErrorCode, message: string, problem?: string) {
    super(message);
    this.code = code;
    this.problem = problem;
  }
}

export type EnrolOptions = {
  /** The API's base URL; may contain a stage's path. */
  apiUrl: string;
  /** `crt_…`; needed until the cluster is registered. */
  registrationToken?: string | undefined;
  clusterName: string;
  cluster: { kubernetesVersion: string; calicoVersion: string; distribution: string; nodeCount: number };
  /** Keeps the key and the answer (mode 0600), so that a restart is the same cluster. */
  directory: string;
  /** PEM that verifies the API, instead of the system's roots. */
  ca?: string | undefined;
  /** First wait before another attempt, ms; doubles up to 30 s. Default 1,000. */
  retryMs?: number;
  /** Attempts in all. Default 8. */
  attempts?: number;
  /** For one attempt, ms. Default 30,000. */
  timeoutMs?: number;
  signal?: AbortSignal;
};

export type Enrolment = Registration & {
  /** PEM, PKCS #8; made here, never sent. */
  key: string;
  /** False when the directory already held the answer and nothing was asked. */
  fresh: boolean;
};

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (typeof error === 'object' && error !== null && 'code' in error && error.code === 'ENOENT')
      return undefined;
    throw error;
  }
}

/** Written under another name first: a reader sees all of it or nothing. */
async function writePrivate(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function certificateRequest(key: string, clusterName: string): Promise<string> {
  const privateKey = await webcrypto.subtle.importKey(
    'pkcs8',
    createPrivateKey(key).export({ type: 'pkcs8', format: 'der' }),
    algorithm,
    true,
    ['sign'],
  );
  const { d: _, key_ops: _ops, ...publicPart } = await webcrypto.subtle.exportKey('jwk', privateKey);
  const publicKey = await webcrypto.subtle.importKey('jwk', publicPart, algorithm, true, ['verify']);
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [clusterName] }],
    keys: { privateKey, publicKey },
    signingAlgorithm: algorithm,
  });
  return request.toString('pem');
}

type Reply = { status: number; body: string; retryAfterMs: number };
const replyLimit = 1024 * 1024;

function post(url: URL, body: string, options: EnrolOptions): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const signals = [
      AbortSignal.timeout(options.timeoutMs ?? 30_000),
      ...(options.signal ? [options.signal] : []),
    ];
    const send = url.protocol === 'http:' ? httpRequest : httpsRequest;
    const request = send(url, {
      method: 'POST',
      agent: false,
      signal: AbortSignal.any(signals),
      ...(options.ca ? { ca: options.ca } : {}),
      headers: {
        authorization: `Bearer ${options.registrationToken ?? ''}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      },
    });
    request.on('error', reject);
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('error', reject);
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > replyLimit) response.destroy(new Error('the answer is too long'));
      });
      response.on('end', () => {
        const seconds = Number(response.headers['retry-after'] ?? 0);
        resolve({
          status: response.statusCode ?? 0,
          body: text,
          retryAfterMs: seconds > 0 ? seconds * 1000 : 0,
        });
      });
      // A connection cut in the middle of a body ends without 'end': the answer counts as lost.
      response.on('close', () => reject(new Error('the answer was cut off')));
    });
    request.end(body);
  });
}

const problemSchema = z.object({
  code: z.string(),
  title: z.string().optional(),
  detail: z.string().optional(),
});

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function register(key: string, options: EnrolOptions): Promise<Registration> {
  const url = new URL(`${options.apiUrl.replace(/\/+$/, '')}/v1/registrations`);
  const csr = await certificateRequest(key, options.clusterName);
  const body = JSON.stringify({ clusterName: options.clusterName, csr, cluster: options.cluster });
  const attempts = options.attempts ?? 8;
  let wait = options.retryMs ?? 1000;
  let last = '';
  for (let attempt = 1; attempt <= attempts; attempt++) {
    let pause = wait;
    try {
      const reply = await post(url, body, options);
      if (reply.status === 200 || reply.status === 201) {
        const parsed = registrationSchema.safeParse(jsonOf(reply.body));
        if (!parsed.success)
          throw new EnrolError(
            'ANSWER_INVALID',
            `the answer is no registration: ${z.prettifyError(parsed.error)}`,
          );
        return parsed.data;
      }
      const problem = problemSchema.safeParse(jsonOf(reply.body)).data;
      last = `HTTP ${reply.status}${problem ? ` ${problem.code}` : ''}`;
      if (reply.status !== 429 && reply.status < 500) {
        throw new EnrolError(
          'REFUSED',
          `the API refused the registration: ${last} ${problem?.detail ?? problem?.title ?? ''}`.trim(),
          problem?.code,
        );
      }
      pause = Math.max(wait, reply.retryAfterMs);
    } catch (error) {
      if (error instanceof EnrolError || options.signal?.aborted) throw error;
      last = error instanceof Error ? error.message : String(error);
    }
    if (attempt < attempts) await delay(pause, undefined, options.signal ? { signal: options.signal } : {});
    wait = Math.min(wait * 2, 30_000);
  }
  throw new EnrolError('UNREACHABLE', `no registration after ${attempts} attempts; the last: ${last}`);
}

/**
 * Makes the cluster known to the control plane, once: the key is on disk before it is used, so that an answer that got
 * lost is asked for again with the same key, and a restart finds key and answer and asks nothing.
 * @throws EnrolError
 */
export async function enrol(options: EnrolOptions): Promise<Enrolment> {
  await mkdir(options.directory, { recursive: true, mode: 0o700 });
  const keyPath = join(options.directory, 'key.pem');
  const answerPath = join(options.directory, 'registration.json');
  const keptKey = await readIfThere(keyPath);
  const keptAnswer = await readIfThere(answerPath);
  const kept =
    keptKey === undefined || keptAnswer === undefined
      ? undefined
      : registrationSchema.safeParse(jsonOf(keptAnswer)).data;
  if (!kept && !options.registrationToken) {
    throw new EnrolError('TOKEN_MISSING', 'a registration token is needed to register');
  }
  const key = keptKey ?? (await privateKeyPem((await makeKeyPair()).privateKey));
  if (keptKey === undefined) await writePrivate(keyPath, key);
  const registration = kept ?? (await register(key, options));
  if (!new X509Certificate(registration.certificate).checkPrivateKey(createPrivateKey(key))) {
    throw new EnrolError('KEY_MISMATCH', `the certificate is not for the key in ${options.directory}`);
  }
  if (!kept) await writePrivate(answerPath, `${JSON.stringify(registration, undefined, 2)}\n`);
  return { ...registration, key, fresh: kept === undefined };
}
