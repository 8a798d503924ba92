import { expect, test } from '@jest/globals';
import { onlyItsOwn } from '../../../core/cluster/own-cluster.ts';
import type { Caller } from '../../../core/credential/caller.ts';

const [own, other] = ['c-aaaaaaaaaaaaaaaaaaaa', 'c-bbbbbbbbbbbbbbbbbbbb'];
const caller = (kind: Caller['kind'], clusterId?: string): Caller => ({
  kind,
  tenantId: 't-aaaaaaaaaaaaaaaaaaaa',
  principal: 'somebody',
  scopes: new Set(),
  ...(clusterId === undefined ? {} : { clusterId }),
});

test('a cluster reaches itself; every other one, or all if it is bound to none, is NOT_FOUND to it', () => {
  expect(() => onlyItsOwn(caller('cluster', own), own)).not.toThrow();
  for (const who of [caller('cluster', own), caller('cluster')]) {
    expect(() => onlyItsOwn(who, other)).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
  }
});

test('users and API keys are not bound to one', () => {
  for (const kind of ['user', 'api-key'] as const)
    expect(() => onlyItsOwn(caller(kind), other)).not.toThrow();
});
