/** The signed bundle of verdicts, as a webhook in a cluster keeps it. */
import { describe, expect, test } from '@jest/globals';
import { compactVerify, createLocalJWKSet } from 'jose';
import { type AdmissionBundle, admissionBundle } from '../../core/admission/admission-bundle.ts';
import { bundleKeySet } from '../../core/admission/bundle-key.ts';
import { BundledImages } from '../../core/admission/bundled-images.ts';
import { apiKeyIssued } from '../../core/credential/api-key-schema.ts';
import { digestOf } from '../functions/admission/scanned.ts';
import { trivyReport } from '../functions/image-scan/reports.ts';
import type { Answer } from './https-client.ts';
import { alpineDigest, pushAlpine } from './scan.ts';
import type { Stack } from './stack.ts';

/** What a bundle says that the control plane has signed. */
export async function bundleIn({ api }: Stack, { status, text }: Answer): Promise<AdmissionBundle> {
  expect(status).toBe(200);
  const { json } = await api.get('/v1/admission-bundle/keys', { token: null });
  const { payload } = await compactVerify(text, createLocalJWKSet(bundleKeySet.parse(json)));
  return admissionBundle.parse(JSON.parse(Buffer.from(payload).toString('utf8')));
}

export function admissionBundles(stack: () => Stack): void {
  describe('the bundle of verdicts', () => {
    const path = '/v1/admission-bundle';
    const keyWith = async (...scopes: string[]) => {
      const { json } = await stack().api.post('/v1/api-keys', { name: 'bundle', scopes });
      return apiKeyIssued.parse(json).key;
    };

    test('is signed by KMS, has what was scanned, and brings what is scanned later', async () => {
      const { api, state } = stack();
      await pushAlpine(stack());
      const token = await keyWith('admission:review');
      const answer = await api.get(path, { token });
      expect(answer.headers['content-type']).toBe('application/jose');
      const full = await bundleIn(stack(), answer);
      expect(full).toMatchObject({ kind: 'full', sub: state.tenantId, iss: state.apiUrl });
      const images = new BundledImages();
      images.apply(full);
      expect(images.named(alpineDigest, Date.now())).toMatchObject([{ verdict: 'warn' }]);
      expect(images.named('ghcr.io/aquasecurity/trivy-test-images:alpine-310', Date.now())).toMatchObject([
        { digest: alpineDigest },
      ]);

      const digest = digestOf('c');
      expect((await api.post(`/v1/scans?digest=${digest}`, trivyReport([]))).status).toBe(201);
      const since = `${path}?since=${full.asOf}`;
      const etag = String(answer.headers.etag);
      const later = await api.get(since, { token, headers: { 'If-None-Match': etag } });
      const delta = await bundleIn(stack(), later);
      expect(delta).toMatchObject({ kind: 'delta', since: full.asOf });
      images.apply(delta);
      expect(images.named(digest, Date.now())).toMatchObject([{ verdict: 'pass' }]);

      const headers = { 'If-None-Match': String(later.headers.etag) };
      const again = await api.get(`${path}?since=${delta.asOf}`, { token, headers });
      expect([again.status, again.text, again.headers.etag]).toEqual([304, '', later.headers.etag]);
    });

    test('is not for a key without the scope', async () => {
      const token = await keyWith('scans:write', 'images:read');
      expect(await stack().api.get(path, { token })).toMatchObject({
        status: 403,
        json: { code: 'ACCESS_DENIED' },
      });
    });
  });
}
