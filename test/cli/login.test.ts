import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { decodeJwt } from 'jose';
import { Loopback } from '../../cli/sign-in/loopback.ts';
import { redeem } from '../local/identity-provider/running-issuer.ts';
import { closedPort, type FakeDeployment, fakeDeployment, Laptop, stranger } from './fixture.ts';

let deployment: FakeDeployment;
let laptop: Laptop;
const { warn, info } = console;
beforeAll(async () => {
  Object.assign(console, { warn: () => undefined, info: () => undefined });
  deployment = await fakeDeployment();
});
afterAll(async () => {
  Object.assign(console, { warn, info });
  await deployment.close();
});
beforeEach(async () => {
  laptop = await Laptop.of();
});
afterEach(() => laptop.remove());

const login = (...more: string[]) => laptop.cattery('login', '--api-url', deployment.apiUrl, ...more);

describe('cattery login', () => {
  test('signs in by the browser with PKCE, state and nonce, and says as whom', async () => {
    const opened: URL[] = [];
    laptop.opens = (url) => {
      opened.push(new URL(url));
      return laptop.signIn(url);
    };
    const { code, out, err } = await login();
    expect([code, out]).toEqual([0, '']);
    expect(err).toContain('Signed in as owner@demo.example, tenant t-aaaaaaaaaaaaaaaaaaaa.');
    expect(laptop.shown).toEqual([{ status: 200, text: expect.stringContaining('You may close this page') }]);
    const asked = Object.fromEntries(opened[0]?.searchParams ?? []);
    expect(asked).toMatchObject({
      response_type: 'code',
      code_challenge_method: 'S256',
      scope: 'openid email',
    });
    expect(asked.state?.length).toBeGreaterThan(20);
    expect(asked.nonce?.length).toBeGreaterThan(20);
    expect(asked.redirect_uri).toMatch(/^http:\/\/localhost:\d+\/callback$/);
    const { idToken } = await laptop.session();
    expect(decodeJwt(idToken)).toMatchObject({ sub: 'owner@demo.example', nonce: asked.nonce });
  });

  test('keeps what it learnt in files of 0600 in a directory of 0700, and no token is printed', async () => {
    const { out, err } = await login();
    expect((await stat(laptop.within())).mode & 0o777).toBe(0o700);
    expect((await readdir(laptop.within())).sort()).toEqual(['deployment.json', 'session.json']);
    for (const name of ['deployment.json', 'session.json'])
      expect((await stat(laptop.within(name))).mode & 0o777).toBe(0o600);
    const { idToken, refreshToken } = await laptop.session();
    expect(refreshToken?.length).toBeGreaterThan(20);
    for (const secret of [idToken, refreshToken ?? '']) expect(out + err).not.toContain(secret);
  });

  test.each([
    ['CATTERY_CONFIG_DIR', 'here', 'here'],
    ['XDG_CONFIG_HOME', 'xdg', path.join('xdg', 'cattery')],
  ])('keeps it where %s says', async (name, value, within) => {
    laptop.env[name] = path.join(laptop.home, value);
    expect((await login()).code).toBe(0);
    expect(await readdir(path.join(laptop.home, within))).toContain('session.json');
  });

  test('--no-browser opens nothing and prints the address', async () => {
    laptop.opens = () => Promise.reject(new Error('a browser was opened'));
    const { promise: printed, resolve } = Promise.withResolvers<string>();
    const finished = laptop.cattery('login', '--no-browser', '--api-url', deployment.apiUrl);
    laptop.reads = (text) => {
      const [address] = /https:\/\/\S+/.exec(text) ?? [];
      if (address) resolve(address);
    };
    await laptop.signIn(await printed);
    const { code, err } = await finished;
    expect(code).toBe(0);
    expect(err).toContain('/oidc/auth?');
    expect(err).not.toContain('No browser could be opened');
  });

  test('goes on by hand when no browser can be opened', async () => {
    laptop.opens = async (url) => {
      await laptop.signIn(url);
      throw new Error('there is no browser');
    };
    expect((await login()).code).toBe(0);
  });

  test('of somebody who belongs to no tenant ends with 4, says whom to ask, and stores nothing', async () => {
    const other = await Laptop.of(stranger);
    try {
      const { code, err } = await other.cattery('login', '--api-url', deployment.apiUrl);
      expect(code).toBe(4);
      expect(err).toContain('[NOT_A_MEMBER, request request-7] Ask an owner of the tenant to invite');
      expect(err).toContain(stranger);
      await expect(stat(other.within('session.json'))).rejects.toMatchObject({ code: 'ENOENT' });
    } finally {
      await other.remove();
    }
  });

  test('ignores a return with another state, another path or another host, and takes the right one after it', async () => {
    const statuses: number[] = [];
    laptop.opens = async (url) => {
      const { page, back } = await laptop.upToReturn(url);
      const forged = new URL(back);
      forged.searchParams.set('state', 'x'.repeat(43));
      const elsewhere = new URL(back);
      elsewhere.pathname = '/other';
      const named = back.replace('localhost', '127.0.0.1');
      for (const each of [forged.href, elsewhere.href, named]) statuses.push((await page.get(each)).status);
      statuses.push((await page.post(back, {})).status, (await page.get(back)).status);
    };
    expect((await login()).code).toBe(0);
    expect(statuses).toEqual([400, 404, 404, 404, 200]);
  });

  test('ends with 4 and the issuer’s reason when the user refuses there', async () => {
    laptop.opens = async (url) => {
      const { searchParams } = new URL(url);
      const back = new URL(searchParams.get('redirect_uri') ?? '');
      back.search = new URLSearchParams({
        state: searchParams.get('state') ?? '',
        iss: deployment.issuer.issuer,
        error: 'access_denied',
        error_description: 'not today',
      }).toString();
      const answer = await fetch(back);
      laptop.shown.push({ status: answer.status, text: await answer.text() });
    };
    const { code, err } = await login();
    expect([code, err]).toEqual([4, expect.stringContaining('refused (access_denied: not today).')]);
    expect(laptop.shown).toEqual([{ status: 400, text: expect.stringContaining('did not work') }]);
  });

  test('takes no code that another sign-in began: the nonce and the verifier are its own', async () => {
    const second = await Laptop.of('mallory@demo.example');
    let stolen = '';
    second.opens = async (url) => {
      const { back } = await second.upToReturn(url);
      stolen = new URL(back).searchParams.get('code') ?? '';
      // It gives up.
      const end = new URL(back);
      end.searchParams.delete('code');
      end.searchParams.set('error', 'access_denied');
      await fetch(end);
    };
    await second.cattery('login', '--api-url', deployment.apiUrl);
    await second.remove();
    laptop.opens = async (url) => {
      const { back } = await laptop.upToReturn(url);
      const injected = new URL(back);
      injected.searchParams.set('code', stolen);
      await fetch(injected);
    };
    const { code, err } = await login();
    expect([code, err]).toEqual([4, expect.stringContaining('invalid_grant')]);
    await expect(stat(laptop.within('session.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test.each([
    ['http://api.example.com', 'over TLS'],
    ['api.example.com', 'no URL'],
    ['https://user@api.example.com', 'no URL'],
    ['ftp://127.0.0.1', 'over TLS'],
  ])('at %s is refused with 2: credentials go over TLS only', async (url, says) => {
    const { code, err } = await laptop.cattery('login', '--api-url', url);
    expect([code, err]).toEqual([2, expect.stringContaining(says)]);
  });

  test('does not follow an API to an issuer that is not over TLS', async () => {
    deployment.facts = { issuer: 'http://issuer.example' };
    try {
      const { code, err } = await login();
      expect([code, err]).toEqual([2, expect.stringContaining('the issuer must begin with https://')]);
    } finally {
      deployment.facts = {};
    }
  });

  test('at an API that does not answer ends with 5 and says so', async () => {
    const gone = await laptop.cattery('login', '--api-url', await closedPort());
    expect([gone.code, gone.err]).toEqual([5, expect.stringContaining('cannot be reached (ECONNREFUSED)')]);
  });

  test('remembers the API and its CA for later commands; a file without a certificate is refused with 2', async () => {
    const ca = path.join(laptop.home, 'ca.pem');
    await writeFile(ca, deployment.issuer.ca);
    expect((await login('--ca-file', ca)).code).toBe(0);
    expect(laptop.trusted).toEqual([deployment.issuer.ca]);
    await rm(ca);
    expect((await laptop.cattery('clusters')).code).toBe(0);
    expect(laptop.trusted).toEqual([deployment.issuer.ca, deployment.issuer.ca]);
    // It is not for others.
    await laptop.cattery('clusters', '--api-url', 'https://other.example');
    expect(laptop.trusted).toHaveLength(2);
    await writeFile(ca, 'nothing');
    const wrong = await login('--ca-file', ca);
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('holds no CA certificates')]);
  });
});

describe('the loopback listener', () => {
  test('takes the next port when one is taken, and says so when all are', async () => {
    const first = await Loopback.listen([0]);
    const taken = Number(new URL(first.redirectUri).port);
    const second = await Loopback.listen([taken, 0]);
    expect(second.redirectUri).not.toBe(first.redirectUri);
    await expect(Loopback.listen([taken])).rejects.toMatchObject({
      kind: 'failed',
      message: expect.stringContaining(String(taken)),
    });
    first.close();
    second.close();
  });

  test('gives up in time with `not signed in`', async () => {
    const loopback = await Loopback.listen([0]);
    await expect(loopback.returned('state', 1)).rejects.toMatchObject({ kind: 'not signed in' });
    loopback.close();
  });
});

describe('cattery logout', () => {
  test('revokes the refresh token at the issuer, and forgets it here', async () => {
    await login();
    const { refreshToken = '' } = await laptop.session();
    const { code, err } = await laptop.cattery('logout');
    expect([code, err]).toEqual([0, expect.stringContaining('Signed out.')]);
    expect(await readdir(laptop.within())).toEqual(['deployment.json']);
    const again = await redeem(deployment.issuer, {
      grant_type: 'refresh_token',
      refresh_token: refreshToken,
    });
    expect(again).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
    expect(await laptop.cattery('clusters')).toMatchObject({
      code: 3,
      err: expect.stringContaining('cattery login'),
    });
    expect(await laptop.cattery('logout')).toMatchObject({ code: 0, err: 'You were not signed in.\n' });
    // The deployment is remembered.
    expect((await laptop.cattery('login')).code).toBe(0);
  });

  test('forgets it, and ends with 5, when the issuer cannot be told', async () => {
    await login();
    await laptop.changeSession({ issuer: `${await closedPort()}/oidc` });
    expect(await laptop.cattery('logout')).toMatchObject({
      code: 5,
      err: expect.stringContaining('not revoked'),
    });
    expect(await readdir(laptop.within())).toEqual(['deployment.json']);
  });

  test('forgets also what cannot be read', async () => {
    await login();
    await writeFile(laptop.within('session.json'), '{"idToken":"secret');
    const broken = await laptop.cattery('clusters');
    expect(broken).toMatchObject({ code: 1, err: expect.stringContaining('cannot be read') });
    expect(broken.err).not.toContain('secret');
    expect((await laptop.cattery('logout')).code).toBe(0);
    expect(await readdir(laptop.within())).toEqual(['deployment.json']);
  });
});
