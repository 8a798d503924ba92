import { setImmediate as turn } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Problem } from '../../../core/problem/problem.ts';
import { slowingRefusals } from '../../../tunnel-fargate/access/refused-credentials.ts';
import { type Access, open, startFixture } from './access-fixture.ts';

describe('refused credentials on the access side', () => {
  let access: Access;
  let held: { address: string; answer: () => void }[];
  let counted: string[];
  let holding: boolean;
  beforeAll(async () => {
    access = await startFixture(undefined, {
      onRefused: (kind) => void counted.push(kind),
      refusalPace: {
        refused: (address) =>
          new Promise<void>((resolve) => {
            held.push({ address, answer: resolve });
            if (!holding) resolve();
          }),
      },
    });
  });
  beforeEach(() => {
    [held, counted, holding] = [[], [], false];
  });
  afterAll(() => access.close());

  const path = '/clusters/c-aaaaaaaaaaaaaaaaaaaa/version';

  test('are counted by kind and held back by address, in both versions of HTTP', async () => {
    for (const [token, kind] of [
      ['cak_x', 'api-key'],
      ['a.b.c', 'user'],
      ['no-credential', 'other'],
    ] as const) {
      for (const version of ['h1', 'h2'] as const) {
        [held, counted] = [[], []];
        expect((await access[version](path, { token })).status).toBe(401);
        expect([counted, held.map(({ address }) => address)]).toEqual([[kind], ['127.0.0.1']]);
        const line = access.logged.at(-1);
        expect(line).toMatchObject({ status: 401, code: 'UNAUTHENTICATED', remoteAddress: '127.0.0.1' });
        expect(JSON.stringify(line)).not.toContain(token);
      }
    }
  });

  test('wait while an accepted one of the same connection is answered, and are answered 401 then', async () => {
    holding = true;
    const session = access.session();
    const refused = open(session, path, { authorization: 'Bearer cak_x' });
    const status = new Promise((resolve) => refused.once('response', (head) => resolve(head[':status'])));
    while (held.length === 0) await turn();
    const accepted = open(session, path);
    const [head] = await new Promise<[Record<string, unknown>]>((resolve) =>
      accepted.once('response', (headers) => resolve([headers])),
    );
    expect(head[':status']).toBe(200);
    expect(counted).toEqual(['api-key']);
    held[0]?.answer();
    expect(await status).toBe(401);
  });

  test('neither no credential at all nor an accepted one is counted or waits', async () => {
    expect((await access.h1(path, { token: null })).status).toBe(401);
    expect((await access.h1(path)).status).toBe(200);
    expect([counted, held]).toEqual([[], []]);
  });

  test('are no more waited for when the client has gone, and one that could not be verified is no refusal', async () => {
    const gone = new AbortController();
    const exchange = { valuesOf: () => ['Bearer cak_x'], remoteAddress: '192.0.2.1', gone: gone.signal };
    const never = { pace: { refused: () => new Promise<void>(() => undefined) } };
    const unauthenticated = () => Promise.reject(new Problem('UNAUTHENTICATED'));
    const left = slowingRefusals(unauthenticated, never)(exchange);
    gone.abort(new Error('the client has gone'));
    await expect(left).rejects.toThrow('the client has gone');
    const unavailable = () => Promise.reject(new Problem('UNAVAILABLE'));
    await expect(slowingRefusals(unavailable, never)(exchange)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });
});
