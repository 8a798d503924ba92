import { describe, expect, test } from '@jest/globals';
import { auditKey, auditPrefix, parseAuditKey } from '../../../core/audit/audit-key.ts';

const place = { tenantId: `t-${'a'.repeat(20)}`, date: '2026-11-23', taskId: 'abc234', firstSeq: 1001 };

describe('the key of an audit object', () => {
  test('stands under its tenant, day and task, and is read back', () => {
    const key = auditKey(place);
    expect(key).toBe(`tenant/${place.tenantId}/audit/date=2026-11-23/abc234/000000001001.ndjson.gz`);
    expect(parseAuditKey(key)).toEqual(place);
    expect(key.startsWith(auditPrefix(place.tenantId, place.date))).toBe(true);
  });

  test('is read back without a tenant from a file that was downloaded', () => {
    const { tenantId: _, ...rest } = place;
    expect(parseAuditKey('date=2026-11-23/abc234/000000001001.ndjson.gz')).toEqual(rest);
  });

  test('sorts by name as the chain runs', () => {
    const keys = [999_999, 2, 10, 1].map((firstSeq) => auditKey({ ...place, firstSeq }));
    expect(keys.sort().map((key) => parseAuditKey(key)?.firstSeq)).toEqual([1, 2, 10, 999_999]);
  });

  test.each(['date=2026-11-23/abc/1.ndjson.gz', 'date=x/abc/000000001001.ndjson.gz', 'notes.txt', ''])(
    'is not read from %j',
    (text) => expect(parseAuditKey(text)).toBeUndefined(),
  );

  test('is not made of a task or a tenant that would lead elsewhere', () => {
    expect(() => auditKey({ ...place, taskId: '../x' })).toThrow('not a task ID');
    expect(() => auditKey({ ...place, tenantId: 't-x/..' })).toThrow('not a tenant ID');
  });
});
