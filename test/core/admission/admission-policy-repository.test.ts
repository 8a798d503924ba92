import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { BatchGetCommand } from '@aws-sdk/lib-dynamodb';
import { type AdmissionPolicy, admissionPolicy } from '../../../core/admission/admission-policy.ts';
import {
  admissionPolicyKey,
  AdmissionPolicyRepository,
} from '../../../core/admission/admission-policy-repository.ts';
import { newTenantId } from '../../../core/tenant/identifier.ts';
import { type Engine, startEngine, unitsAreExact } from '../../engine.ts';

const policyOf = (exemptNamespaces: string[], more: object = {}): AdmissionPolicy =>
  admissionPolicy.parse({ exemptNamespaces, ...more });
const rule = (values: string[]) => ({ action: 'Reject', imagePath: { operator: 'IsOneOf', values } });

describe('The admission policy of a tenant', () => {
  let engine: Engine;
  let policies: AdmissionPolicyRepository;
  beforeAll(async () => {
    engine = await startEngine();
    policies = new AdmissionPolicyRepository(engine.access, engine.tables.tenant);
  });
  afterEach(() => {
    engine.faults.mend();
  });
  afterAll(() => engine.close());

  /** As a review's batch reads it. */
  const item = async (tenantId: string) => {
    const { Responses } = await engine.dynamo.send(
      new BatchGetCommand({
        RequestItems: { [engine.tables.tenant]: { Keys: [admissionPolicyKey(tenantId)] } },
      }),
    );
    return Responses?.[engine.tables.tenant]?.[0];
  };

  test('is the default, of revision 0, until one is set', async () => {
    expect(await policies.read(newTenantId())).toEqual({ revision: 0, policy: admissionPolicy.parse({}) });
  });

  test('is read as it was written, with revisions that count the changes', async () => {
    const tenantId = newTenantId();
    const policy = policyOf(['kube-*'], { policies: [{ name: 'ours', rules: [rule(['^docker\\.io/'])] }] });

    expect(await policies.write(tenantId, policyOf([]))).toBe(1);
    expect(await policies.write(tenantId, policy)).toBe(2);
    expect(await policies.read(tenantId)).toEqual({ revision: 2, policy });
    expect(await policies.read(newTenantId())).toMatchObject({ revision: 0 });
  });

  test('is replaced only where the expected revision is the one that is there', async () => {
    const tenantId = newTenantId();

    expect(await policies.write(tenantId, policyOf(['a']), 1)).toBeUndefined();
    expect(await policies.write(tenantId, policyOf(['b']), 0)).toBe(1);
    expect(await policies.write(tenantId, policyOf(['c']), 0)).toBeUndefined();
    expect(await policies.write(tenantId, policyOf(['d']), 1)).toBe(2);
    expect(await policies.read(tenantId)).toEqual({ revision: 2, policy: policyOf(['d']) });
  });

  test('of changes at the same time that expect the same revision, one is made', async () => {
    const tenantId = newTenantId();
    const written = await Promise.all(
      ['a', 'b', 'c', 'd'].map((name) => policies.write(tenantId, policyOf([name]), 0)),
    );

    expect(written.filter((revision) => revision !== undefined)).toEqual([1]);
  });

  test('a change whose answer was lost is there, and the same again is told from somebody else’s', async () => {
    const tenantId = newTenantId();
    engine.faults.dieAfterWrite(1);
    await expect(policies.write(tenantId, policyOf(['a']), 0)).rejects.toThrow('was lost');
    engine.faults.mend();

    // As the SDK repeats it.
    expect(await policies.write(tenantId, policyOf(['a']), 0)).toBe(1);
    expect(await policies.write(tenantId, policyOf(['b']), 0)).toBeUndefined();
  });

  test('is compiled once for each revision, and anew for the next', async () => {
    const tenantId = newTenantId();
    await policies.write(tenantId, policyOf(['kube-*']));
    const first = policies.ready(tenantId, await item(tenantId));

    expect([first.isExemptNamespace('kube-system'), first.isExemptNamespace('shop')]).toEqual([true, false]);
    expect(policies.ready(tenantId, await item(tenantId))).toBe(first);
    await policies.write(tenantId, policyOf(['shop']));
    expect(policies.ready(tenantId, await item(tenantId)).isExemptNamespace('shop')).toBe(true);
    expect(policies.ready(newTenantId(), undefined).isExemptNamespace('shop')).toBe(false);
  });

  test('is refused with LIMIT_REACHED when it is too large to be read with every review', async () => {
    const tenantId = newTenantId();
    // One step each, but 500 characters.
    const values = Array.from({ length: 50 }, (_, index) => `[${'abcdefghij'.repeat(49)}${index}]`);
    const large = policyOf([], {
      policies: Array.from({ length: 12 }, (_, index) => ({ name: `p${index}`, rules: [rule(values)] })),
    });

    await expect(policies.write(tenantId, large)).rejects.toMatchObject({ code: 'LIMIT_REACHED' });
    expect(await policies.read(tenantId)).toMatchObject({ revision: 0 });
  });

  (unitsAreExact ? test : test.skip)('costs 1 read, and 1 write for each change', async () => {
    const tenantId = newTenantId();
    const rules = Array.from({ length: 30 }, (_, index) => rule([`^registry\\.example/team-${index}/`]));
    const policy = policyOf(['kube-system'], { policies: [{ name: 'ours', rules }] });

    expect(await engine.units(() => policies.write(tenantId, policy))).toEqual({ read: 0, write: 1 });
    expect(await engine.units(() => policies.write(tenantId, policy, 1))).toEqual({ read: 0, write: 1 });
    expect(await engine.units(() => policies.read(tenantId))).toEqual({ read: 1, write: 0 });
  });
});
