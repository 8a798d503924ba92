/** Issuers that are not the laptop's: what theirs do differently. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Issuer } from '../../cli/sign-in/issuer.ts';
import { clientId, type FakeIssuer, fakeIssuer, sendJson, subject } from './fake-issuer.ts';
import { Laptop } from './fixture.ts';

const apiUrl = 'https://api.example';
const bearer = { access_token: 'a', token_type: 'bearer' };

let fake: FakeIssuer;
let laptop: Laptop;
beforeEach(async () => {
  fake = await fakeIssuer();
  laptop = await Laptop.of();
  const { issuer } = fake;
  const tokens = { idToken: 'expired', refreshToken: 'first', refreshAt: 0, expiresAt: 0 };
  await laptop.putSession({ apiUrl, issuer, clientId, subject, ...tokens });
});
afterEach(async () => {
  fake.close();
  await laptop.remove();
});
const token = () => laptop.cattery('token', '--api-url', apiUrl);
const discover = () => Issuer.discover({ issuer: fake.issuer, clientId });

describe('an issuer', () => {
  test('that does not rotate, as Cognito, keeps its refresh token for the next time', async () => {
    const idToken = await fake.idToken();
    const asked: string[] = [];
    fake.onToken = (response, form) => {
      asked.push(`${form.get('grant_type') ?? ''} ${form.get('refresh_token') ?? ''}`);
      sendJson(response, { ...bearer, id_token: idToken });
    };
    for (const _ of [1, 2]) {
      expect((await token()).code).toBe(0);
      expect(await laptop.session()).toMatchObject({
        idToken,
        refreshToken: 'first',
        email: 'me@demo.example',
      });
      await laptop.ageSession();
    }
    expect(asked).toEqual(['refresh_token first', 'refresh_token first']);
  });

  test.each([
    ['no ID token', () => Promise.resolve({}), 3, 'gave no ID token'],
    ['the ID token of another subject', () => claims({ sub: 'other' }), 3, 'somebody else'],
    ['the ID token of another client', () => claims({ aud: 'other' }), 1, 'cannot be taken'],
  ])('that answers a refresh with %s is not believed, and nothing is stored', async (_, more, code, says) => {
    const answer = { ...bearer, refresh_token: 'second', ...(await more()) };
    fake.onToken = (response) => sendJson(response, answer);
    expect(await token()).toMatchObject({ code, out: '', err: expect.stringContaining(says) });
    expect(await laptop.session()).toMatchObject({ idToken: 'expired', refreshToken: 'first' });
  });

  test('that fails is not taken for one that has ended the sign-in: 5', async () => {
    fake.onToken = (response) => sendJson(response, { error: 'server_error' }, 500);
    expect((await token()).code).toBe(5);
    fake.onToken = (response) => response.writeHead(502).end('<html>');
    expect(await token()).toMatchObject({ code: 5, err: expect.stringContaining('fails (HTTP 502)') });
    fake.onToken = (response) => sendJson(response, { error: 'invalid_grant' }, 400);
    expect((await token()).code).toBe(3);
  });

  test('is asked for offline_access only where it knows it', async () => {
    const scope = async () => {
      const { url } = await (
        await discover()
      ).authorization('http://localhost:1/callback', ['openid', 'email']);
      return url.searchParams.get('scope');
    };
    expect(await scope()).toBe('openid email');
    fake.metadata = { scopes_supported: ['openid', 'email', 'offline_access'] };
    expect(await scope()).toBe('openid email offline_access');
  });

  test('that revokes nothing is said to at logout, and the sign-in is forgotten', async () => {
    expect(await laptop.cattery('logout')).toMatchObject({
      code: 0,
      err: expect.stringContaining('offers no way'),
    });
    expect((await token()).code).toBe(3);
  });

  test('that claims to be another is refused', async () => {
    fake.metadata = { issuer: 'https://other.example' };
    await expect(discover()).rejects.toMatchObject({
      kind: 'failed',
      message: expect.stringMatching(/cannot be taken \(.*issuer.*\)/),
    });
    expect(await token()).toMatchObject({ code: 1, out: '' });
  });

  const claims = async (more: Record<string, unknown>) => ({ id_token: await fake.idToken(more) });
});
