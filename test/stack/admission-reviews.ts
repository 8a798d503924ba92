/** Admission reviews and the admission policy, as somebody with an API key uses them. */
import { beforeAll, describe, expect, test } from '@jest/globals';
import { apiKeyIssued } from '../../core/credential/api-key-schema.ts';
import { answerOfReview, podReview } from '../functions/admission/pod-review.ts';
import { digestOf } from '../functions/admission/scanned.ts';
import { scored, trivyReport } from '../functions/image-scan/reports.ts';
import type { Stack } from './stack.ts';

const [name, digest] = ['registry.example/reviews/web:1', digestOf('7')];
/** Of today: a name that was scanned too long ago stands for nothing any more. */
const report = () =>
  trivyReport([scored('CVE-2026-7777', 5)], { CreatedAt: new Date().toISOString(), ArtifactName: name });

export function admissionReviews(stack: () => Stack): void {
  describe('admission reviews', () => {
    let token = '';
    beforeAll(async () => {
      const scanned = await stack().api.post(`/v1/scans?digest=${digest}`, report());
      expect(scanned).toMatchObject({ status: 201, json: { verdict: 'warn' } });
      const asked = { name: 'reviews', scopes: ['admission:review'] };
      token = apiKeyIssued.parse((await stack().api.post('/v1/api-keys', asked)).json).key;
    });
    const review = async (images: readonly string[], more: object = {}) => {
      const answered = await stack().api.post('/v1/admission-reviews?timeout=10s', podReview(images, more), {
        token,
      });
      expect([answered.status, answered.text]).toEqual([200, expect.any(String)]);
      return answerOfReview(answered.json);
    };

    test('a scanned image is admitted with what speaks against it, by tag and by digest; another is refused', async () => {
      for (const image of [name, `anywhere.example/copy@${digest}`]) {
        expect(await review([image])).toMatchObject({
          allowed: true,
          warnings: [expect.stringContaining('passed with warnings its scan')],
        });
      }
      for (const image of ['registry.example/reviews/web:2', `${name}@${digestOf('9')}`]) {
        expect(await review([name, image])).toMatchObject({
          allowed: false,
          status: { code: 403, message: expect.stringContaining('has no scan result under this name') },
        });
      }
    });

    test('a policy is tried, imported and held to at once, and another revision is not overwritten', async () => {
      const { api } = stack();
      const route = '/v1/admission-policy';
      const before = await api.get(route);
      const rules = [
        { action: 'Reject', imagePath: { operator: 'IsOneOf', values: ['^registry\\.example/reviews/'] } },
      ];
      const policy = { exemptNamespaces: ['kube-system'], policies: [{ name: 'no-reviews', rules }] };

      const images = [name];
      expect(await api.post(`${route}/tests`, { images, policy })).toMatchObject({
        status: 200,
        json: {
          allowed: false,
          images: [{ digest, decided: { by: 'rule', policy: 'no-reviews', rule: 1 } }],
        },
      });
      expect(await review(images)).toMatchObject({ allowed: true });

      const resource = {
        apiVersion: 'containersecurity.tigera.io/v1beta1',
        kind: 'ContainerAdmissionPolicy',
        metadata: { name: 'no-reviews' },
        spec: { rules },
      };
      expect(await api.post(`${route}/imports`, resource)).toMatchObject({
        status: 200,
        json: { stored: true, added: ['no-reviews'] },
      });
      expect(await review(images)).toMatchObject({
        allowed: false,
        status: { message: expect.stringContaining('rule 1 of policy no-reviews') },
      });

      const headers = { 'If-Match': String(before.headers.etag) };
      expect(await api.send('PUT', route, { body: before.json, headers })).toMatchObject({
        status: 409,
        json: { code: 'CONFLICT' },
      });
      expect((await api.send('PUT', route, { body: before.json })).status).toBe(200);
      expect(await review(images)).toMatchObject({ allowed: true });
    });

    test('a key without the scope asks nothing', async () => {
      const { json } = await stack().api.post('/v1/api-keys', {
        name: 'scans',
        scopes: ['scans:write', 'images:read'],
      });
      const refused = await stack().api.post('/v1/admission-reviews', podReview(['alpine']), {
        token: apiKeyIssued.parse(json).key,
      });
      expect(refused).toMatchObject({ status: 403, json: { code: 'ACCESS_DENIED' } });
    });
  });
}
