import { describe, expect, test } from '@jest/globals';
import type { Caller } from '../../../core/credential/caller.ts';
import { roleScopes } from '../../../core/credential/scope.ts';
import { Problem } from '../../../core/problem/problem.ts';
import {
  defaultRecheckTiming,
  type RecheckTiming,
  type RunningRequest,
  RunningRequests,
} from '../../../tunnel-fargate/access/running-requests.ts';

const caller = (principal: string): Caller => ({
  kind: 'user',
  tenantId: 't-a',
  principal,
  scopes: new Set(roleScopes.editor),
});
const [ann, bob] = [caller('user:ann'), caller('user:bob')];

type Request = RunningRequest & { revoked: number[] };

function start(
  answer: (caller: Caller) => Promise<Caller> = (of) => Promise.resolve(of),
  timing: Partial<RecheckTiming> = {},
  onFailed: () => void = () => undefined,
) {
  const clock = { now: 1_000_000 };
  const asked: string[] = [];
  const errors: unknown[] = [];
  const running = new RunningRequests<Request>({
    refresh: (of) => {
      asked.push(of.principal);
      return answer(of);
    },
    now: () => clock.now,
    onError: (error) => {
      errors.push(error);
      onFailed();
    },
    timing,
  });
  const add = (of: Caller | undefined, reauthorise: RunningRequest['reauthorise'] = () => undefined) => {
    const request: Request = {
      startedAt: clock.now,
      caller: of,
      reauthorise,
      revoked: [],
      revoke: () => request.revoked.push(clock.now),
    };
    running.add(request);
    return request;
  };
  /** As the timer would. */
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += defaultRecheckTiming.lookMs) {
      clock.now += defaultRecheckTiming.lookMs;
      await running.look();
    }
  };
  return { running, clock, asked, errors, add, pass };
}

const gone = () => Promise.reject(new Problem('NOT_A_MEMBER'));

describe('running requests', () => {
  test('are cut within 5 s of a revocation, at whatever moment it comes', async () => {
    for (let after = 0; after < 6_000; after += 250) {
      let revokedAt = Number.POSITIVE_INFINITY;
      const { clock, add, pass } = start((of) => (clock.now > revokedAt ? gone() : Promise.resolve(of)));
      const request = add(ann);
      revokedAt = clock.now + after;
      await pass(after + 5_000);
      expect((request.revoked[0] ?? Number.POSITIVE_INFINITY) - revokedAt).toBeLessThanOrEqual(4_000);
    }
  });

  test('that were let in on an answer of up to 2.5 s ago are looked at soon enough for 5 s in all', async () => {
    const { clock, add, pass } = start(gone);
    const request = add(ann);
    const revokedAt = clock.now - 2_500;
    await pass(3_000);
    expect((request.revoked[0] ?? Number.POSITIVE_INFINITY) - revokedAt).toBeLessThanOrEqual(5_000);
  });

  test('cost one question per credential each 2 s, however many they are', async () => {
    const { add, pass, asked } = start();
    for (let nth = 0; nth < 50; nth += 1) {
      add(ann);
      add(bob);
    }
    await pass(20_000);
    expect(asked.filter((who) => who === ann.principal).length).toBeLessThanOrEqual(11);
    expect(asked.filter((who) => who === bob.principal).length).toBeGreaterThanOrEqual(9);
  });

  test('that are over before the first look cost nothing, nor do those that nobody let in', async () => {
    const { add, pass, asked, running } = start();
    running.delete(add(ann));
    add(undefined);
    add(bob, undefined);
    running.delete(add(bob));
    await pass(5_000);
    expect(asked.filter((who) => who === ann.principal)).toEqual([]);
  });

  test('go on when only another credential is gone', async () => {
    const { add, pass } = start((of) => (of === ann ? gone() : Promise.resolve(of)));
    const [annas, bobs] = [add(ann), add(bob)];
    await pass(5_000);
    expect(annas.revoked.length).toBeGreaterThan(0);
    expect(bobs.revoked).toEqual([]);
  });

  test('are judged one by one for a caller with fewer rights: what the rest allows goes on', async () => {
    const viewer: Caller = { ...ann, scopes: new Set(roleScopes.viewer) };
    const { add, pass } = start(() => Promise.resolve(viewer));
    const needs = (scope: 'clusters:access' | 'clusters:change') => (fresh: Caller) => {
      if (!fresh.scopes.has(scope)) throw new Problem('ACCESS_DENIED');
    };
    const [watch, exec] = [add(ann, needs('clusters:access')), add(ann, needs('clusters:change'))];
    await pass(3_000);
    expect(watch.revoked).toEqual([]);
    expect(exec.revoked.length).toBeGreaterThan(0);
  });

  test('go on for 60 s while the table fails, then are cut; a good answer starts that time anew', async () => {
    let failing = true;
    const { add, pass, errors, clock } = start((of) =>
      failing ? Promise.reject(new Error('the table does not answer')) : Promise.resolve(of),
    );
    const request = add(ann);
    await pass(50_000);
    failing = false;
    await pass(3_000);
    failing = true;
    await pass(58_000);
    expect(request.revoked).toEqual([]);
    expect(errors.length).toBeGreaterThan(10);
    await pass(5_000);
    expect(request.revoked.length).toBeGreaterThan(0);
    expect((request.revoked[0] ?? 0) - 1_000_000).toBeLessThanOrEqual(50_000 + 3_000 + 63_000);
    expect(clock.now).toBeGreaterThan(request.revoked[0] ?? 0);
  });

  test('are cut after 60 s even if the table never answers at all, and it is not asked twice at once', async () => {
    let [asking, most] = [0, 0];
    const never = () => {
      asking += 1;
      most = Math.max(most, asking);
      return new Promise<Caller>(() => undefined);
    };
    const { pass, add, errors } = start(never, { askTimeoutMs: 1, lookMs: 1_000 }, () => (asking -= 1));
    const request = add(ann);
    await pass(58_000);
    expect(request.revoked).toEqual([]);
    await pass(5_000);
    expect(request.revoked.length).toBeGreaterThan(0);
    expect(most).toBe(1);
    expect(errors.length).toBeGreaterThan(20);
  });

  test('have one question under way for a credential, however slow its answer is', async () => {
    let answer: ((of: Caller) => void) | undefined;
    const { running, clock, add, asked } = start(
      () =>
        new Promise<Caller>((resolve) => {
          answer = resolve;
        }),
    );
    add(ann);
    const looks = Array.from({ length: 5 }, () => {
      clock.now += 2_000;
      return running.look();
    });
    expect(asked).toHaveLength(1);
    answer?.(ann);
    await Promise.all(looks);
    clock.now += 2_000;
    const next = running.look();
    expect(asked).toHaveLength(2);
    answer?.(ann);
    await next;
  });

  test('are not cut by a judgement that could not be made', async () => {
    const { add, pass, errors } = start();
    const request = add(ann, () => Promise.reject(new Problem('UNAVAILABLE')));
    await pass(10_000);
    expect(request.revoked).toEqual([]);
    expect(errors.length).toBeGreaterThan(0);
  });

  test('are looked at again though one of them could not be ended', async () => {
    const { running, errors, add } = start(gone, { lookMs: 1, minAgeMs: 0, recheckMs: 0 });
    const broken = {
      ...add(ann),
      revoke: () => {
        throw new Error('this cannot be ended');
      },
    };
    running.add(broken);
    running.start();
    while (errors.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    running.stop();
    expect((errors[0] as Error).message).toBe('this cannot be ended');
  });
});
