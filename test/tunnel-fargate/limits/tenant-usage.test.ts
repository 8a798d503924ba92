import { describe, expect, test } from '@jest/globals';
import {
  defaultTenantLimits,
  maxDebtSeconds,
  type TenantLimits,
  tenantLimitsText,
} from '../../../tunnel-fargate/limits/tenant-limits.ts';
import { TenantUsage } from '../../../tunnel-fargate/limits/tenant-usage.ts';

const [a, b] = ['t-a', 't-b'] as const;

function start(changed: Partial<TenantLimits> = {}, sweepAt?: number) {
  const clock = { now: 0 };
  const usage = new TenantUsage({
    limits: { ...defaultTenantLimits, ...changed },
    now: () => clock.now,
    ...(sweepAt === undefined ? {} : { sweepAt }),
  });
  return { usage, clock };
}

const tooMany = (retryAfter: string) =>
  expect.objectContaining({
    code: 'TOO_MANY_REQUESTS',
    status: 429,
    headers: { 'Retry-After': retryAfter },
  });

describe('the limits of a tenant', () => {
  test('refuse requests over the number under way with 429 TOO_MANY_REQUESTS, until one ends', () => {
    const { usage } = start({ concurrentRequests: 2 });
    const first = usage.admitRequest(a);
    usage.admitRequest(a);
    expect(() => usage.admitRequest(a)).toThrow(tooMany('1'));
    // Another tenant does not feel it.
    usage.admitRequest(b);
    first.release();
    first.release();
    usage.admitRequest(a);
    expect(() => usage.admitRequest(a)).toThrow(tooMany('1'));
    expect(usage.refused).toMatchObject({ requests: 2, requestRate: 0 });
  });

  test('refuse new requests over the rate, and say truly when the next is let in', () => {
    const { usage, clock } = start({ requestsPerSecond: 1, requestBurst: 2 });
    usage.admitRequest(a);
    usage.admitRequest(a);
    expect(() => usage.admitRequest(a)).toThrow(tooMany('1'));
    clock.now = 1_000;
    usage.admitRequest(a);
    expect(usage.refused.requestRate).toBe(1);
  });

  test('refuse new requests while too many bytes have moved, and leave those that run alone', () => {
    const { usage, clock } = start({ bytesPerSecond: 1_000, byteBurst: 5_000 });
    const running = usage.admitRequest(a);
    running.moved(5_000);
    running.moved(3_000);
    expect(() => usage.admitRequest(a)).toThrow(tooMany('4'));
    clock.now = 4_000;
    usage.admitRequest(a);
    expect(usage.refused.bytes).toBe(1);
  });

  test('lock nobody out for longer than the longest debt, however much has moved', () => {
    const { usage, clock } = start({ bytesPerSecond: 1_000, byteBurst: 5_000 });
    usage.admitRequest(a).moved(10 ** 12);
    expect(() => usage.admitRequest(a)).toThrow(tooMany(String(maxDebtSeconds + 1)));
    clock.now = (maxDebtSeconds + 1) * 1000;
    usage.admitRequest(a);
  });

  test('refuse streams of clusters over their number and rate, and count them', () => {
    const { usage, clock } = start({ clusterStreams: 2, clusterStreamsPerSecond: 1, clusterStreamBurst: 3 });
    const first = usage.admitClusterStream(a);
    expect(usage.admitClusterStream(a)).toBeDefined();
    expect(usage.admitClusterStream(a)).toBeUndefined();
    first?.();
    first?.();
    expect(usage.admitClusterStream(a)).toBeDefined();
    expect(usage.admitClusterStream(a)).toBeUndefined();
    clock.now = 60_000;
    expect(usage.admitClusterStream(a)).toBeUndefined();
    expect(usage.admitClusterStream(b)).toBeDefined();
    expect(usage.refused.clusterStreams).toBe(3);
  });

  test('refuse tunnels over their number', () => {
    const { usage } = start({ tunnels: 2 });
    expect([0, 1, 2, 3].map((open) => usage.admitsTunnel(open))).toEqual([true, true, false, false]);
    expect(usage.refused.tunnels).toBe(2);
  });

  test('forget tenants at rest, and no tenant with something running or owed', () => {
    const { usage, clock } = start({ bytesPerSecond: 1 }, 8);
    const held = usage.admitRequest('t-held');
    const owing = usage.admitRequest('t-owing');
    owing.moved(defaultTenantLimits.byteBurst);
    owing.release();
    for (let nth = 0; nth < 1_000; nth += 1) {
      clock.now += 3_000;
      usage.admitRequest(`t-${nth}`).release();
    }
    expect(usage.size).toBeLessThanOrEqual(9);
    expect(() => usage.admitRequest('t-owing').release()).not.toThrow();
    held.release();
  });

  test('are changed by a JSON object of some of them', () => {
    expect(tenantLimitsText.parse('{"tunnels":7}')).toEqual({ ...defaultTenantLimits, tunnels: 7 });
    expect(tenantLimitsText.parse('{}')).toEqual(defaultTenantLimits);
  });

  test.each(['', 'x', '[]', '{"tunnels":0}', '{"tunnels":"7"}', '{"tunnel":7}', '{"requestsPerSecond":-1}'])(
    'are not changed by %j',
    (text) => expect(tenantLimitsText.safeParse(text).success).toBe(false),
  );
});
