import { describe, expect, test } from '@jest/globals';
import { defaultWindowMemory, WindowMemory } from '../../../tunnel-fargate/agent/window-memory.ts';

const options = { total: 100, tenant: 60, tunnel: 40 };

describe('window memory', () => {
  test('bounds a tunnel, a tenant and the process, each by its own share', () => {
    const memory = new WindowMemory(options);
    const [first, second, other] = [
      memory.open('a').budget,
      memory.open('a').budget,
      memory.open('b').budget,
    ];
    expect(first.take(41)).toBe(false);
    expect(first.take(40)).toBe(true);
    expect(second.take(21)).toBe(false);
    expect(second.take(20)).toBe(true);
    expect(other.take(40)).toBe(true);
    expect(memory.inUse).toBe(100);
    expect(memory.open('c').budget.take(1)).toBe(false);
  });

  test('gives a tenant one share for all its tunnels, however they come and go', () => {
    const memory = new WindowMemory(options);
    const first = memory.open('a');
    const second = memory.open('a');
    first.close();
    first.close();
    expect(second.budget.take(40)).toBe(true);
    expect(memory.open('a').budget.take(21)).toBe(false);
  });

  test('remembers a tenant only while it has a tunnel, or bytes that are left of one', () => {
    const memory = new WindowMemory(options);
    const quiet = memory.open('a');
    const busy = memory.open('b');
    busy.budget.take(10);
    busy.budget.give(10);
    expect(memory.tenants).toBe(2);
    busy.budget.take(10);
    quiet.close();
    busy.close();
    expect(memory.tenants).toBe(1);
    expect(memory.open('b').budget.take(40)).toBe(true);
    expect(memory.inUse).toBe(50);
    busy.budget.give(10);
    expect(memory.tenants).toBe(1);
  });

  test('forgets a tenant whose last bytes come back after its last tunnel', () => {
    const memory = new WindowMemory(options);
    const tunnel = memory.open('a');
    tunnel.budget.take(10);
    tunnel.close();
    expect(memory.tenants).toBe(1);
    tunnel.budget.give(10);
    expect(memory.tenants).toBe(0);
    expect(memory.inUse).toBe(0);
  });

  test('lets one stream grow to 16 MiB by default, and no tenant take more than half of the process', () => {
    const memory = new WindowMemory();
    expect(memory.open('a').budget.grow(16_777_216)).toBe(true);
    expect(defaultWindowMemory.tenant * 2).toBeLessThanOrEqual(defaultWindowMemory.total);
    expect(defaultWindowMemory.tunnel * 2).toBeLessThanOrEqual(defaultWindowMemory.tenant);
  });
});
