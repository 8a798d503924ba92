import 'reflect-metadata';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import * as x509 from '@peculiar/x509';
import type { EnrolOptions } from '../../../local/demo-cluster/enrol.ts';
import { enrol } from '../../../local/demo-cluster/enrol.ts';
import type { RegistrationApi } from './registration-api.ts';
import { startRegistrationApi } from './registration-api.ts';
import { TestCa } from './tunnel-server.ts';

const cluster = {
  kubernetesVersion: 'v1.33.5',
  calicoVersion: 'v3.32.1',
  distribution: 'cattery-demo',
  nodeCount: 3,
};

describe('enrolment of the demo cluster', () => {
  let api: RegistrationApi;
  let directory: string;
  beforeEach(async () => {
    api = await startRegistrationApi();
    directory = join(await mkdtemp(join(tmpdir(), 'cattery-demo-')), 'cluster');
  });
  afterEach(async () => {
    await api.close();
    await rm(join(directory, '..'), { recursive: true });
  });

  const run = (options: Partial<EnrolOptions> = {}) =>
    enrol({
      apiUrl: api.url,
      registrationToken: 'crt_token',
      clusterName: 'demo',
      cluster,
      directory,
      ca: api.ca.pem,
      retryMs: 1,
      attempts: 3,
      ...options,
    });
  const publicKeyOf = (csr: unknown) =>
    Buffer.from(new x509.Pkcs10CertificateRequest(String(csr)).publicKey.rawData).toString('hex');

  test('posts name, CSR and versions under the base URL with the token, and never the key', async () => {
    const enrolment = await run();
    const [sent] = api.received;
    expect(sent?.path).toBe('/stage/v1/registrations');
    expect(sent?.headers.authorization).toBe('Bearer crt_token');
    expect(Object.keys(sent?.body ?? {}).sort()).toEqual(['cluster', 'clusterName', 'csr']);
    expect(sent?.body).toMatchObject({ clusterName: 'demo', cluster });
    const csr = new x509.Pkcs10CertificateRequest(String(sent?.body.csr));
    expect(csr.publicKey.algorithm).toMatchObject({ name: 'ECDSA', namedCurve: 'P-256' });
    expect(JSON.stringify(sent?.body)).not.toContain('PRIVATE');
    expect(enrolment).toMatchObject({
      clusterName: 'demo',
      tunnelAddress: 'tunnel.test:9000',
      clusterToken: 'ccr_secret',
      fresh: true,
    });
  });

  test('keeps key and answer where only their owner can read them', async () => {
    await run();
    expect((await readdir(directory)).sort()).toEqual(['key.pem', 'registration.json']);
    for (const file of ['key.pem', 'registration.json'])
      expect((await stat(join(directory, file))).mode & 0o777).toBe(0o600);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  });

  test('asks nothing after a restart, and needs no token then', async () => {
    const first = await run();
    const again = await run({ registrationToken: undefined });
    expect(api.received).toHaveLength(1);
    expect(again).toEqual({ ...first, fresh: false });
  });

  test('asks for a lost answer again with the same token and the same key', async () => {
    api.behaviours.push('cut', { status: 503, body: {} }, 'register');
    const enrolment = await run();
    expect(api.received).toHaveLength(3);
    const keys = api.received.map(({ body }) => publicKeyOf(body.csr));
    expect(new Set(keys).size).toBe(1);
    const own = createPublicKey(enrolment.key).export({ type: 'spki', format: 'der' }).toString('hex');
    expect(keys[0]).toBe(own);
    expect(
      new X509Certificate(enrolment.certificate).publicKey
        .export({ type: 'spki', format: 'der' })
        .toString('hex'),
    ).toBe(own);
  });

  test('uses the same key again when the process itself was lost before the answer', async () => {
    api.behaviours.push('cut');
    await expect(run({ attempts: 1 })).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await run();
    expect(new Set(api.received.map(({ body }) => publicKeyOf(body.csr))).size).toBe(1);
  });

  test('stops at a refusal with REFUSED and the code of the problem, and asks only once', async () => {
    api.behaviours.push({ status: 409, body: { code: 'TOKEN_SPENT', title: 'The token is spent' } });
    await expect(run()).rejects.toMatchObject({ code: 'REFUSED', problem: 'TOKEN_SPENT' });
    expect(api.received).toHaveLength(1);
    expect(await readdir(directory)).toEqual(['key.pem']);
  });

  test('gives up with UNREACHABLE after its attempts, and never tells the token', async () => {
    api.behaviours.push({ status: 503, body: {} }, { status: 502, body: {} }, { status: 429, body: {} });
    const error: unknown = await run().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'UNREACHABLE', message: expect.stringContaining('HTTP 429') });
    expect(String(error)).not.toContain('crt_token');
    expect(api.received).toHaveLength(3);
  });

  test('does not talk to an API that its CA does not verify', async () => {
    const other = await TestCa.make('other');
    await expect(run({ ca: other.pem, attempts: 1 })).rejects.toMatchObject({ code: 'UNREACHABLE' });
    expect(api.received).toHaveLength(0);
  });

  test('refuses an answer that is no registration with ANSWER_INVALID and keeps none of it', async () => {
    api.behaviours.push({ status: 201, body: { clusterId: 'c-x' } });
    await expect(run()).rejects.toMatchObject({ code: 'ANSWER_INVALID' });
    expect(await readdir(directory)).toEqual(['key.pem']);
  });

  test('refuses a certificate for another key with KEY_MISMATCH', async () => {
    const { certificate } = await api.ca.issue([]);
    const body = {
      clusterId: 'c-x',
      clusterName: 'demo',
      certificate,
      trustBundle: certificate,
      logTrust: certificate,
      tunnelAddress: 'a:1',
      clusterToken: 't',
    };
    api.behaviours.push({ status: 201, body });
    await expect(run()).rejects.toMatchObject({ code: 'KEY_MISMATCH' });
    expect(await readdir(directory)).toEqual(['key.pem']);
  });

  test('says TOKEN_MISSING when it is not registered and has no token', async () => {
    await expect(run({ registrationToken: undefined })).rejects.toMatchObject({ code: 'TOKEN_MISSING' });
  });

  test('registers anew with the kept key when the kept answer is damaged', async () => {
    await run();
    await writeFile(join(directory, 'registration.json'), '{"clusterId"');
    expect((await run()).fresh).toBe(true);
    expect(new Set(api.received.map(({ body }) => publicKeyOf(body.csr))).size).toBe(1);
    expect(JSON.parse(await readFile(join(directory, 'registration.json'), 'utf8'))).toMatchObject({
      clusterName: 'demo',
    });
  });
});
