/** A Trivy report in, a verdict out. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
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
  });
}
