import { describe, expect, test } from '@jest/globals';
import { RecentFlows } from '../../../tunnel-fargate/ingest/recent-flows.ts';

const names = (count: number, prefix = '') => Array.from({ length: count }, (_, at) => `${prefix}${at}`);

describe('flows that were stored lately', () => {
  test('are known for their cluster alone', () => {
    const recent = new RecentFlows();
    recent.add({ clusterId: 'a', sha256: 'one', identities: ['x'] });
    expect(recent.has('a', 'x')).toBe(true);
    expect(recent.has('b', 'x')).toBe(false);
    expect(recent.hasBody('a', 'one')).toBe(true);
    expect(recent.hasBody('b', 'one')).toBe(false);
  });

  test('are forgotten with the oldest upload of a cluster that has too many', () => {
    const recent = new RecentFlows({ maxFlows: 1_000, maxFlowsPerCluster: 20 });
    recent.add({ clusterId: 'b', sha256: 'other', identities: ['y'] });
    for (const [at, body] of ['one', 'two', 'three'].entries()) {
      recent.add({ clusterId: 'a', sha256: body, identities: names(8, `${at}-`) });
    }
    expect(recent.has('a', '0-0')).toBe(false);
    expect(recent.hasBody('a', 'one')).toBe(false);
    expect(recent.has('a', '1-7')).toBe(true);
    expect(recent.has('a', '2-7')).toBe(true);
    expect(recent.has('b', 'y')).toBe(true);
  });

  test('are forgotten with the oldest upload of all when there are too many, empty clusters too', () => {
    const recent = new RecentFlows({ maxFlows: 100, maxFlowsPerCluster: 50 });
    for (let cluster = 0; cluster < 500; cluster += 1) {
      recent.add({ clusterId: `c${cluster}`, sha256: 'body', identities: names(9) });
      expect(recent.size).toBeLessThanOrEqual(100);
    }
    expect(recent.has('c499', '0')).toBe(true);
    expect(recent.has('c489', '0')).toBe(false);
  });

  test('do not grow by bodies that add nothing', () => {
    const recent = new RecentFlows({ maxFlows: 100, maxFlowsPerCluster: 50 });
    for (let body = 0; body < 1_000; body += 1) {
      recent.add({ clusterId: 'a', sha256: `${body}`, identities: [] });
    }
    expect(recent.size).toBeLessThanOrEqual(50);
    expect(recent.hasBody('a', '999')).toBe(true);
  });

  test('of one upload that is beyond the bound are known by its body alone', () => {
    const recent = new RecentFlows({ maxFlows: 100, maxFlowsPerCluster: 50 });
    recent.add({ clusterId: 'a', sha256: 'big', identities: names(50) });
    expect(recent.has('a', '0')).toBe(false);
    expect(recent.hasBody('a', 'big')).toBe(true);
    expect(recent.size).toBe(1);
  });
});
