import { readdir, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { eventually } from '../stack/poll.ts';
import { apiKey, closedPort, type FakeDeployment, fakeDeployment, Laptop } from './fixture.ts';

const { warn, info } = console;
beforeAll(() => void Object.assign(console, { warn: () => undefined, info: () => undefined }));
afterAll(() => void Object.assign(console, { warn, info }));

/** What the API says to a bearer token. */
const statusOf = async ({ apiUrl }: FakeDeployment, token: string): Promise<number> =>
  (await fetch(`${apiUrl}/v1/me`, { headers: { authorization: `Bearer ${token}` } })).status;

describe('an ID token that has really expired', () => {
  test('is refused by the API, and the next `cattery token` has another without a new sign-in', async () => {
    const deployment = await fakeDeployment({ idTokenSeconds: 2 });
    const laptop = await Laptop.of();
    try {
      await laptop.ok('login', '--api-url', deployment.apiUrl);
      laptop.opens = () => Promise.reject(new Error('signed in again'));
      const first = await laptop.token();
      expect(await statusOf(deployment, first)).toBe(200);
      await eventually(
        'the token has expired',
        10_000,
        async () => (await statusOf(deployment, first)) === 401,
      );
      const second = await laptop.token();
      expect(second).not.toBe(first);
      expect(await statusOf(deployment, second)).toBe(200);
      expect(decodeJwt(second)).toMatchObject({ sub: 'owner@demo.example', aud: decodeJwt(first).aud });
      expect((await laptop.ok('clusters')).out).toContain('shop');
    } finally {
      await laptop.remove();
      await deployment.close();
    }
  });
});

describe('cattery token', () => {
  let deployment: FakeDeployment;
  let laptop: Laptop;
  beforeAll(async () => {
    deployment = await fakeDeployment();
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    laptop = await Laptop.of();
    await laptop.ok('login', '--api-url', deployment.apiUrl);
  });
  afterEach(() => laptop.remove());

  test('prints an ExecCredential v1 that kubectl asks again for a minute before the token ends', async () => {
    const { out, err } = await laptop.ok('token');
    const { idToken, expiresAt } = await laptop.session();
    expect(err).toBe('');
    expect(JSON.parse(out)).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: {
        token: idToken,
        expirationTimestamp: new Date(expiresAt - 60_000).toISOString().replace('.000Z', 'Z'),
      },
    });
    expect(expiresAt).toBe(Number(decodeJwt(idToken).exp) * 1000);
  });

  test('asks nobody while its token lasts', async () => {
    deployment.requests.length = 0;
    await laptop.changeSession({ issuer: `${await closedPort()}/oidc` });
    await laptop.ok('token');
    expect(deployment.requests).toEqual([]);
  });

  test('called by many at once when the token is over refreshes once: all get the same, and the sign-in lives on', async () => {
    for (let hour = 0; hour < 3; hour += 1) {
      const before = await laptop.session();
      await laptop.ageSession();
      const tokens = await Promise.all(Array.from({ length: 8 }, () => laptop.token()));
      expect(new Set(tokens).size).toBe(1);
      const after = await laptop.session();
      expect(tokens[0]).toBe(after.idToken);
      // The issuer rotates: a refresh token that came twice would have ended all of it.
      expect(after.refreshToken).not.toBe(before.refreshToken);
      expect(await statusOf(deployment, after.idToken)).toBe(200);
    }
    expect((await readdir(laptop.within())).sort()).toEqual(['deployment.json', 'session.json']);
  });

  test('ends with 3 and says to sign in when the issuer has ended the session', async () => {
    await laptop.changeSession({ refreshToken: 'no-longer-known' });
    await laptop.ageSession();
    const { code, out, err } = await laptop.cattery('token');
    expect([code, out]).toEqual([3, '']);
    expect(err).toContain('Your sign-in is over.');
    expect(err).toContain('Sign in with: cattery login');
    expect(err).not.toContain('no-longer-known');
  });

  test('ends with 3 when there is nothing to refresh with, and with 5 when the issuer does not answer', async () => {
    await laptop.ageSession();
    const { refreshToken: _, ...without } = await laptop.session();
    await writeFile(laptop.within('session.json'), JSON.stringify(without));
    expect((await laptop.cattery('token')).code).toBe(3);
    await laptop.changeSession({ refreshToken: 'x', issuer: `${await closedPort()}/oidc` });
    expect(await laptop.cattery('token')).toMatchObject({
      code: 5,
      err: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('gives what is still good when the issuer does not answer in the last minute', async () => {
    await laptop.changeSession({ issuer: `${await closedPort()}/oidc`, refreshAt: Date.now() - 1_000 });
    expect(await statusOf(deployment, await laptop.token())).toBe(200);
  });

  test('does not show its token to another deployment: 3', async () => {
    const other = await laptop.cattery('token', '--api-url', 'https://other.example');
    expect([other.code, other.out]).toEqual([3, '']);
    expect(other.err).toContain(`signed in at ${deployment.apiUrl}, not at https://other.example`);
  });

  test('gives the API key of CATTERY_API_KEY instead, without an end that it does not know', async () => {
    laptop.env.CATTERY_API_KEY = apiKey;
    const { out } = await laptop.ok('token');
    expect(JSON.parse(out)).toMatchObject({ status: { token: apiKey } });
    expect(out).not.toContain('expirationTimestamp');
    const fresh = await Laptop.of();
    Object.assign(fresh.env, { CATTERY_API_KEY: apiKey, CATTERY_API_URL: deployment.apiUrl });
    expect((await fresh.ok('whoami')).out).toContain('api-key:fake');
    expect(await readdir(fresh.home)).toEqual([]);
    await fresh.remove();
  });

  test.each([
    ['a process that is gone', () => `${2 ** 22 + 1} ${hostname()}\n`, new Date()],
    ['another machine, long ago', () => '1 elsewhere\n', new Date(Date.now() - 120_000)],
  ])('puts aside the lock of %s', async (_, content, time) => {
    const lock = laptop.within('session.json.lock');
    await writeFile(lock, content());
    await utimes(lock, time, time);
    await laptop.ageSession();
    const tokens = await Promise.all(Array.from({ length: 4 }, () => laptop.token()));
    expect(new Set(tokens).size).toBe(1);
    expect(await statusOf(deployment, tokens[0] ?? '')).toBe(200);
    expect((await readdir(laptop.within())).sort()).toEqual(['deployment.json', 'session.json']);
  });
});
