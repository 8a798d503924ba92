/** A Trivy report in, a verdict out. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { apiKeyIssued } from '../../core/credential/api-key-schema.ts';
import { root, type Stack } from './stack.ts';

export const alpineReport = () =>
  readFile(path.join(root, 'test/fixtures/scan-reports/trivy-alpine-310.json'));
export const alpineDigest = 'sha256:451eee8bedcb2f029756dc3e9d73bab0e7943c1ac55cff3a4861c52a0fdd3e98';

/** The report as `curl --data-binary` sends it. */
export async function pushAlpine(stack: Stack, token?: string) {
  const headers = { 'content-type': 'application/json' };
  const body = await alpineReport();
  const credential = token === undefined ? {} : { token };
  return stack.api.send('POST', `/v1/scans?digest=${alpineDigest}`, { body, headers, ...credential });
}

export function scan(stack: () => Stack): void {
  describe('a Trivy report', () => {
    test('is judged, and the image shows the verdict with the findings that decided', async () => {
      const posted = await pushAlpine(stack());
      expect(posted).toMatchObject({ status: 201, json: { digest: alpineDigest, verdict: 'warn' } });
      expect(posted.headers.location).toBe(`images/${alpineDigest}`);
      const image = await stack().api.get(`/v1/images/${alpineDigest}`);
      expect(image).toMatchObject({
        status: 200,
        json: {
          verdict: 'warn',
          scanner: expect.stringContaining('trivy'),
          reasons: [{ rule: 'cvss-warn' }],
        },
      });
      const [reason] = (image.json as { reasons: { findings: { score: number }[]; threshold: number }[] })
        .reasons;
      expect(reason?.findings.length).toBeGreaterThan(0);
      expect(reason?.findings.every(({ score }) => score >= reason.threshold)).toBe(true);
      expect((await stack().api.get('/v1/images?verdict=warn')).text).toContain(alpineDigest);
    });

    test('from a cluster is shown with it, with all findings, and with the history of its verdict', async () => {
      const { api, demoClusterId } = stack();
      const headers = { 'content-type': 'application/json' };
      const path = `/v1/scans?digest=${alpineDigest}&cluster=${demoClusterId}`;
      expect((await api.send('POST', path, { body: await alpineReport(), headers })).status).toBe(201);
      const image = `/v1/images/${alpineDigest}`;
      expect((await api.get(image)).json).toMatchObject({ clusters: [{ clusterId: demoClusterId }] });
      const findings = await api.get(`${image}/findings?scanner=trivy&severity=medium`);
      expect(findings).toMatchObject({
        status: 200,
        json: { items: [{ scanner: 'trivy', cvss: [{ source: 'nvd' }, {}, {}] }, {}, {}, {}] },
      });
      expect(await api.get(`${image}/history`)).toMatchObject({
        status: 200,
        json: { items: expect.arrayContaining([expect.objectContaining({ to: 'warn', cause: 'scan' })]) },
      });
    });

    test('is followed by a VEX document, which an API key for reports alone may not send', async () => {
      const { api } = stack();
      const document = {
        '@context': 'https://openvex.dev/ns/v0.2.0',
        '@id': 'https://openvex.example/stack',
        author: 'stack',
        timestamp: '2026-10-01T08:00:00Z',
        version: 1,
        statements: [
          {
            vulnerability: { name: 'CVE-2000-0002' },
            products: [{ '@id': 'pkg:apk/alpine/none@1' }],
            status: 'not_affected',
            justification: 'component_not_present',
          },
        ],
      };
      const headers = { 'content-type': 'application/json' };
      const asked = { name: 'reports', scopes: ['scans:write'] };
      const { key } = apiKeyIssued.parse((await api.post('/v1/api-keys', asked)).json);
      const body = Buffer.from(JSON.stringify(document));
      expect(await api.send('POST', '/v1/scans', { body, headers, token: key })).toMatchObject({
        status: 403,
        json: { code: 'ACCESS_DENIED' },
      });
      const taken = { author: 'stack', statements: { stored: 1 } };
      expect(await api.send('POST', '/v1/scans', { body, headers })).toMatchObject({
        status: 201,
        json: taken,
      });
      expect((await api.send('POST', '/v1/scans', { body, headers })).json).toMatchObject({
        statements: { stored: 0, unchanged: 1 },
      });
    });
  });
}
