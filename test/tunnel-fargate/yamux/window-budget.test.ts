import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BoundedBudget } from '../../../tunnel-fargate/yamux/window-budget.ts';

describe('window budget', () => {
  test('takes up to its limit, not a byte beyond, and again after give()', () => {
    const budget = new BoundedBudget({ limit: 100 });
    expect(budget.take(60)).toBe(true);
    expect(budget.take(41)).toBe(false);
    expect(budget.take(40)).toBe(true);
    expect(budget.inUse).toBe(100);
    budget.give(1);
    expect(budget.take(1)).toBe(true);
  });

  test('lets windows grow in one half only, so that new streams find room', () => {
    const budget = new BoundedBudget({ limit: 100 });
    expect(budget.grow(50)).toBe(true);
    expect(budget.grow(1)).toBe(false);
    expect(budget.take(50)).toBe(true);
  });

  test('takes at every level or at none', () => {
    const process = new BoundedBudget({ limit: 100 });
    const tenant = new BoundedBudget({ limit: 80, parent: process });
    const session = new BoundedBudget({ limit: 60, parent: tenant });
    expect(session.take(61)).toBe(false);
    expect(process.take(50)).toBe(true);
    expect(session.take(51)).toBe(false);
    expect(session.grow(1)).toBe(false);
    expect([session.inUse, tenant.inUse, process.inUse]).toEqual([0, 0, 50]);
    expect(session.take(50)).toBe(true);
    expect([session.inUse, tenant.inUse, process.inUse]).toEqual([50, 50, 100]);
    session.give(20);
    expect([session.inUse, tenant.inUse, process.inUse]).toEqual([30, 30, 80]);
  });

  test('wants every grown window back as long as new streams have taken from what windows may grow by', () => {
    const budget = new BoundedBudget({ limit: 100 });
    budget.grow(40);
    expect(budget.wantsBack(40)).toBe(false);
    budget.take(11);
    expect(budget.wantsBack(40)).toBe(true);
    expect(budget.wantsBack(40)).toBe(true);
    budget.give(1);
    expect(budget.wantsBack(40)).toBe(false);
  });

  test('asks one window more than twice as large as the one it refused, once', () => {
    const budget = new BoundedBudget({ limit: 100 });
    budget.grow(45);
    expect(budget.grow(10)).toBe(false);
    expect(budget.wantsBack(20)).toBe(false);
    expect(budget.wantsBack(21)).toBe(true);
    expect(budget.wantsBack(45)).toBe(false);
  });

  test('says when its last byte has come back, at each level', () => {
    const empty: string[] = [];
    const outer = new BoundedBudget({ limit: 100, onEmpty: () => empty.push('outer') });
    const inner = new BoundedBudget({ limit: 100, parent: outer, onEmpty: () => empty.push('inner') });
    outer.take(5);
    inner.take(5);
    inner.give(3);
    expect(empty).toEqual([]);
    inner.give(2);
    expect(empty).toEqual(['inner']);
    outer.give(5);
    expect(empty).toEqual(['inner', 'outer']);
  });

  test('is never above a limit, and a parent always holds the sum of its children', () => {
    const step = fc.record({ child: fc.nat(2), take: fc.boolean(), grow: fc.boolean(), bytes: fc.nat(40) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const parent = new BoundedBudget({ limit: 100 });
        const children = [60, 80, 100].map((limit) => ({
          budget: new BoundedBudget({ limit, parent }),
          limit,
          held: 0,
        }));
        for (const { child, take, grow, bytes } of steps) {
          const one = children[child];
          if (one === undefined) throw new Error('no such child');
          if (take) {
            if (grow ? one.budget.grow(bytes) : one.budget.take(bytes)) one.held += bytes;
          } else {
            const given = Math.min(bytes, one.held);
            one.budget.give(given);
            one.held -= given;
          }
          expect(one.budget.inUse).toBe(one.held);
          expect(one.held).toBeLessThanOrEqual(one.limit);
          expect(parent.inUse).toBe(children.reduce((sum, { held }) => sum + held, 0));
          expect(parent.inUse).toBeLessThanOrEqual(100);
        }
      }),
      { seed: 11, numRuns: 200 },
    );
  });
});
