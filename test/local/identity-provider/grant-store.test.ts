import { beforeEach, describe, expect, test } from '@jest/globals';
import type { AdapterFactory } from 'oidc-provider';
import { grantStore } from '../../../local/identity-provider/grant-store.ts';

describe('the store of sessions and grants', () => {
  let time: number;
  let store: AdapterFactory;
  beforeEach(() => {
    time = 1_700_000_000_000;
    store = grantStore(() => time);
  });

  test('an entry is there until its time is over', async () => {
    const sessions = store('Session');
    await sessions.upsert('one', { accountId: 'a', uid: 'u' }, 10);
    time += 9_999;
    expect(await sessions.find('one')).toMatchObject({ accountId: 'a' });
    expect(await sessions.findByUid('u')).toMatchObject({ accountId: 'a' });
    time += 1;
    expect(await sessions.find('one')).toBeUndefined();
    expect(await sessions.findByUid('u')).toBeUndefined();
  });

  test('models do not meet, and what is destroyed is gone', async () => {
    await store('Session').upsert('one', { uid: 'u' }, 10);
    expect(await store('Grant').find('one')).toBeUndefined();
    expect(await store('Grant').findByUid('u')).toBeUndefined();
    await store('Session').destroy('one');
    expect(await store('Session').find('one')).toBeUndefined();
  });

  test('a consumed code says since when', async () => {
    const codes = store('AuthorizationCode');
    await codes.upsert('code', { grantId: 'g' }, 60);
    await codes.consume('code');
    expect(await codes.find('code')).toMatchObject({ consumed: 1_700_000_000 });
  });

  test("revoking a grant takes the model's own tokens of that grant", async () => {
    const tokens = store('AccessToken');
    await tokens.upsert('a', { grantId: 'g' }, 60);
    await tokens.upsert('b', { grantId: 'other' }, 60);
    await store('RefreshToken').upsert('c', { grantId: 'g' }, 60);
    await tokens.revokeByGrantId('g');
    expect(await tokens.find('a')).toBeUndefined();
    expect(await tokens.find('b')).toBeDefined();
    expect(await store('RefreshToken').find('c')).toBeDefined();
  });
});
