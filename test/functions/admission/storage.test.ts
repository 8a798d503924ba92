/** The function before real tables: what a review reads, and that what is changed holds at once. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { AdmissionPolicyRepository } from '../../../core/admission/admission-policy-repository.ts';
import { AdmissionLookupRepository } from '../../../core/image/admission-lookup-repository.ts';
import { imagePolicy } from '../../../core/image/image-policy-schema.ts';
import { ImageRulesRepository } from '../../../core/image/image-rules-repository.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { handlers } from '../../../functions/admission/routes.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';
import { caller, member } from '../api-call.ts';
import { answerOfReview, podReview } from './pod-review.ts';
import { digestOf, scored } from './scanned.ts';
import { site } from './site.ts';
import { store } from './stored-images.ts';

const findings = Array.from({ length: 100 }, (_, index) =>
  scored(`CVE-2026-${1000 + index}`, 3, {
    package: `package-${index}`,
    purl: `pkg:apk/alpine/package-${index}@1`,
  }),
);
const hex = (index: number) => digestOf(index.toString(16).padStart(2, '0'));

describe('admission', () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine();
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());

  /** A function that has just started. */
  const started = (now: () => number = Date.now) => {
    const { access, tables } = engine;
    const rules = new ImageRulesRepository(access, tables.tenant);
    const policies = new AdmissionPolicyRepository(access, tables.tenant);
    const lookups = new AdmissionLookupRepository(access, tables.tenant, now);
    const call = caller('admission', handlers(site({ over: { rules, policies, lookups } }).deps));
    const send = (tenantId: string, method: string, path: string, body: unknown) =>
      call({
        method,
        path,
        body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json' },
        caller: member(tenantId),
      });
    return {
      rules,
      put: (tenantId: string, policy: object) => send(tenantId, 'PUT', '/v1/admission-policy', policy),
      review: async (tenantId: string, images: readonly string[]) =>
        answerOfReview((await send(tenantId, 'POST', '/v1/admission-reviews', podReview(images))).json()),
      status: async (tenantId: string, images: readonly string[]) =>
        (await send(tenantId, 'POST', '/v1/admission-reviews', podReview(images))).status,
    };
  };
  const stored = async (tenantId: string, count: number) => {
    const table = { access: engine.access, table: engine.tables.tenant };
    const names = Array.from({ length: count }, (_, index) => `registry.example/shop/app-${index}:1`);
    for (const [index, name] of names.entries())
      await store(table, tenantId, { digest: hex(index), references: [name], findings });
    return names;
  };

  test('what is changed holds with the next review: image policy, exceptions and admission policy', async () => {
    const tenantId = newTenantId();
    const [name = ''] = await stored(tenantId, 1);
    const { review, put } = started();
    // Somebody else's process changes it.
    const { rules } = started();
    const allowed = async () => (await review(tenantId, [name])).allowed;

    expect(await allowed()).toBe(true);
    await rules.change(tenantId, (before) => ({
      ...before,
      policy: imagePolicy.parse({ warnAt: 1, failAt: 3 }),
    }));
    expect(await allowed()).toBe(false);
    const exception = {
      exceptionId: 'x'.repeat(16),
      scope: 'any' as const,
      justification: 'known',
      expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
      author: 'user:test',
      createdAt: new Date(0).toISOString(),
    };
    await rules.change(tenantId, (before) => ({
      ...before,
      exceptions: findings.map(({ vulnerability }, index) => ({
        ...exception,
        exceptionId: index.toString().padStart(16, 'x'),
        vulnerability,
      })),
    }));
    expect(await allowed()).toBe(true);
    expect((await put(tenantId, { unmatched: 'Reject' })).status).toBe(200);
    expect(await allowed()).toBe(false);
  });

  test('one tenant’s images, rules and policy are nothing to another’s', async () => {
    const [ours, theirs] = [newTenantId(), newTenantId()];
    const [name = ''] = await stored(ours, 1);
    const { review, put } = started();
    await put(theirs, { exemptNamespaces: ['*'], unmatched: 'Allow' });

    expect(await review(ours, [name])).toMatchObject({ allowed: true });
    expect(await review(ours, ['new'])).toMatchObject({ allowed: false });
    expect(await review(theirs, ['new'])).toMatchObject({ allowed: true });
    await put(theirs, {});
    expect(await review(theirs, [name])).toMatchObject({ allowed: false });
  });

  test('an image whose result has expired is unscanned, though it is in the table still', async () => {
    const tenantId = newTenantId();
    const [name = ''] = await stored(tenantId, 1);
    const digest = `registry.example/shop/app-0@${hex(0)}`;
    const later = started(() => Date.now() + 91 * 86_400_000);

    for (const each of [name, digest]) {
      expect((await started().review(tenantId, [each])).allowed).toBe(true);
      expect(await later.review(tenantId, [each])).toMatchObject({
        allowed: false,
        status: { message: expect.stringContaining('has no scan result under this name') },
      });
    }
  });

  test('a lookup that fails gives no verdict: 503', async () => {
    const tenantId = newTenantId();
    const [name = ''] = await stored(tenantId, 1);
    const { review, status } = started();
    engine.faults.failWhen((operation) => operation === 'BatchGetItem');

    expect(await status(tenantId, [name])).toBe(503);
    engine.faults.mend();
    expect((await review(tenantId, [name])).allowed).toBe(true);
  });

  (unitsAreExact ? describe : describe.skip)('reads, of 10 images with 100 findings each,', () => {
    const calls = async (work: () => Promise<unknown>) => {
      const operations: string[] = [];
      engine.faults.failWhen((operation) => {
        operations.push(operation);
        return false;
      });
      const units = await engine.units(work);
      engine.faults.mend();
      return { operations, ...units };
    };

    test('one batch of 10 units and 1 for each policy; cold, with rules of its own, one read more', async () => {
      const tenantId = newTenantId();
      const names = await stored(tenantId, 10);
      const setting = started();
      await setting.rules.change(tenantId, (before) => ({
        ...before,
        policy: imagePolicy.parse({ warnAt: 3 }),
        exceptions: [
          {
            exceptionId: 'x'.repeat(16),
            vulnerability: 'CVE-2026-1000',
            scope: 'any',
            justification: 'known',
            expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
            author: 'user:test',
            createdAt: new Date(0).toISOString(),
          },
        ],
      }));
      await setting.put(tenantId, { exemptNamespaces: ['kube-system'] });
      const { review } = started();

      const cold = await calls(() => review(tenantId, names));
      expect(cold).toEqual({ operations: ['BatchGetItem', 'GetItem'], read: 12.5, write: 0 });
      const warm = await calls(() => review(tenantId, names));
      expect(warm).toEqual({ operations: ['BatchGetItem'], read: 12, write: 0 });
    });

    test('the same by tag for all containers of 50, and twice that by digest', async () => {
      const tenantId = newTenantId();
      const names = await stored(tenantId, 10);
      const { review } = started();
      await review(tenantId, []);

      const many = Array.from({ length: 50 }, (_, index) => names[index % 10] ?? '');
      expect(await calls(() => review(tenantId, many))).toEqual({
        operations: ['BatchGetItem'],
        read: 12,
        write: 0,
      });
      const digests = names.map((_, index) => `registry.example/shop/app-${index}@${hex(index)}`);
      expect(await calls(() => review(tenantId, digests))).toEqual({
        operations: ['BatchGetItem'],
        read: 22,
        write: 0,
      });
    });
  });
});
