import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { type AuditRecord, canonicalJson, genesis, hashOf, seal } from '../../../core/audit/audit-record.ts';

const tenantId = `t-${'a'.repeat(20)}`;
const record: Omit<AuditRecord, 'hash'> = {
  v: 1,
  seq: 1,
  time: '2026-11-23T08:00:00.000Z',
  phase: 'request',
  tenantId,
  taskId: 'task-1',
  name: 'ü"\n',
  prev: genesis(tenantId, 'task-1'),
};

describe('an audit record', () => {
  test('is sealed with SHA-256 over the hash before and its members in the order of their names', () => {
    const text =
      '{"name":"ü\\"\\n","phase":"request","seq":1,"taskId":"task-1",' +
      `"tenantId":"${tenantId}","time":"2026-11-23T08:00:00.000Z","v":1}`;
    const hash = createHash('sha256').update(record.prev).update(text, 'utf8').digest('hex');
    expect(seal(record)).toEqual({ ...record, hash });
  });

  test('has the same hash in whatever order its members stand, and another when any of them changes', () => {
    const { hash } = seal(record);
    const turned = Object.fromEntries(Object.entries(record).reverse()) as typeof record;
    expect(hashOf(turned)).toBe(hash);
    const others: Partial<AuditRecord>[] = [
      { seq: 2 },
      { prev: 'f'.repeat(64) },
      { name: 'u' },
      { status: 200 },
      { tenantId: 't' },
    ];
    for (const other of others) expect(hashOf({ ...record, ...other })).not.toBe(hash);
  });

  test('has a canonical form without what is undefined, that survives JSON', () => {
    const form = canonicalJson({ b: 1, a: 'x', c: undefined, lone: '\ud800' });
    expect(form).toBe('{"a":"x","b":1,"lone":"\\ud800"}');
    expect(canonicalJson(JSON.parse(form) as Record<string, unknown>)).toBe(form);
  });

  test('begins a chain of one tenant and one task only', () => {
    const starts = [genesis(tenantId, 'a'), genesis(tenantId, 'b'), genesis(`t-${'b'.repeat(20)}`, 'a')];
    expect(new Set(starts).size).toBe(3);
  });
});
