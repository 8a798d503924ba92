import { describe, expect, test } from '@jest/globals';
import {
  base32,
  clusterIdPattern,
  newClusterId,
  newTenantId,
  tenantIdPattern,
} from '../../../core/tenant/identifier.ts';
import { tenantPartition, tenantPrefix } from '../../../core/tenant/tenant-partition.ts';

describe('identifiers', () => {
  test('are 22 characters, told apart by their beginning, and do not repeat', () => {
    const made = new Set<string>();
    for (let count = 0; count < 1_000; count += 1) {
      expect(newTenantId()).toMatch(tenantIdPattern);
      const clusterId = newClusterId();
      expect(clusterId).toMatch(clusterIdPattern);
      expect(clusterId).toHaveLength(22);
      made.add(clusterId);
    }
    expect(made.size).toBe(1_000);
  });

  // RFC 4648 §10.
  test.each([
    ['', ''],
    ['f', 'my'],
    ['fo', 'mzxq'],
    ['foo', 'mzxw6'],
    ['foob', 'mzxw6yq'],
    ['fooba', 'mzxw6ytb'],
    ['foobar', 'mzxw6ytboi'],
  ])('base32 of %j is %j', (text, encoded) => {
    expect(base32(Buffer.from(text))).toBe(encoded);
  });

  test('every bit of the random bytes that are used counts', () => {
    const zero = newTenantId((size) => new Uint8Array(size));
    for (let bit = 0; bit < 100; bit += 1) {
      const other = newTenantId((size) => {
        const bytes = new Uint8Array(size);
        bytes[bit >> 3] = 0x80 >> (bit & 7);
        return bytes;
      });
      expect(other).not.toBe(zero);
    }
  });
});

describe('keys of tenant data', () => {
  const tenantId = 't-aaaaaaaaaaaaaaaaaaaa';

  test('begin with the tenant and a delimiter', () => {
    expect(tenantPartition(tenantId, 'CLUSTERS')).toBe('TENANT#t-aaaaaaaaaaaaaaaaaaaa#CLUSTERS');
    expect(tenantPrefix(tenantId)).toBe('tenant/t-aaaaaaaaaaaaaaaaaaaa/');
  });

  test.each([
    '',
    't-',
    't-a',
    't-aaaaaaaaaaaaaaaaaaaa#',
    't-*aaaaaaaaaaaaaaaaaaa',
    'c-aaaaaaaaaaaaaaaaaaaa',
    '../x',
  ])('are not made of %j', (id) => {
    expect(() => tenantPartition(id, 'CLUSTERS')).toThrow(TypeError);
    expect(() => tenantPrefix(id)).toThrow(TypeError);
  });
});
