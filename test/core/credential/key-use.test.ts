import { beforeEach, describe, expect, test } from '@jest/globals';
import type { CredentialRecord } from '../../../core/credential/identity-repository.ts';
import { KeyUse } from '../../../core/credential/key-use.ts';
import { newToken } from '../../../core/credential/token.ts';

const minute = 60_000;
const morning = Date.UTC(2026, 10, 23, 8);

describe('the day of use of an API key', () => {
  let now: number;
  let noted: string[];
  let failures: unknown[];
  let answer: () => Promise<boolean>;
  let use: KeyUse;
  beforeEach(() => {
    now = morning;
    noted = [];
    failures = [];
    answer = () => Promise.resolve(true);
    use = new KeyUse({
      identities: {
        noteUse: (hash, day) => {
          noted.push(`${hash.slice(0, 4)} ${day}`);
          return answer();
        },
      },
      now: () => now,
      failed: (error) => void failures.push(error),
      patienceMs: 5,
    });
  });

  const key = (more: Partial<CredentialRecord> = {}): CredentialRecord => {
    const { hash, id } = newToken('api-key');
    return { hash, kind: 'api-key', tokenId: id, tenantId: 't-a', scopes: '', ...more };
  };
  const on = (day: string, { hash }: CredentialRecord) => `${hash.slice(0, 4)} ${day}`;

  test('is noted at the first use, and not while that day or a later one stands there', async () => {
    const record = key();
    await use.note(record);
    await use.note({ ...record, lastUsedDay: '2026-11-23' });
    await use.note(key({ lastUsedDay: '2026-11-24' }));
    expect(noted).toEqual([on('2026-11-23', record)]);
    now += 24 * 60 * minute;
    await use.note({ ...record, lastUsedDay: '2026-11-23' });
    expect(noted.slice(1)).toEqual([on('2026-11-24', record)]);
  });

  test('is the day in UTC, to the last millisecond', async () => {
    const record = key();
    now = Date.UTC(2026, 10, 23, 23, 59, 59, 999);
    await use.note(record);
    now += 1;
    await use.note(record);
    expect(noted).toEqual([on('2026-11-23', record), on('2026-11-24', record)]);
  });

  test('is noted once when many requests come at the same time', async () => {
    const record = key();
    await Promise.all(Array.from({ length: 50 }, () => use.note(record)));
    expect(noted).toEqual([on('2026-11-23', record)]);
  });

  test('that could not be noted is said, refuses nobody, and is tried again after a minute', async () => {
    const record = key();
    answer = () => Promise.reject(new Error('throttled'));
    await use.note(record);
    now += minute - 1;
    await use.note(record);
    expect([noted.length, failures.length]).toEqual([1, 1]);
    answer = () => Promise.resolve(true);
    now += 1;
    await use.note(record);
    expect([noted.length, failures.length]).toEqual([2, 1]);
  });

  test('is given up after its time, whatever the table does', async () => {
    answer = () => new Promise(() => undefined);
    // Node does not stay for a timer of a signal.
    const alive = setTimeout(() => undefined, 5_000);
    await use.note(key());
    clearTimeout(alive);
    expect(failures).toMatchObject([{ name: 'TimeoutError' }]);
  });

  test('is noted of API keys only', async () => {
    for (const kind of ['registration-token', 'cluster'] as const) await use.note(key({ kind }));
    expect(noted).toEqual([]);
  });
});
