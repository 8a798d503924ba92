import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose';
import { bearerVerifier } from '../../../core/credential/bearer-verifier.ts';
import { IdentityRepository } from '../../../core/credential/identity-repository.ts';
import { audience, idToken } from '../../../local/identity-provider/id-token.ts';
import { type Engine, startEngine } from '../../engine.ts';
import { browser } from './browser.ts';
import {
  authorizationUrl,
  newVerifier,
  openSignIn,
  redeem,
  redirectUri,
  type RunningIssuer,
  signInAs,
  startIssuer,
} from './running-issuer.ts';

describe("the laptop's identity provider", () => {
  let running: RunningIssuer;
  const printed: string[] = [];
  const { warn, info } = console;

  beforeAll(async () => {
    const keep = (...line: unknown[]) => void printed.push(line.join(' '));
    Object.assign(console, { warn: keep, info: keep });
    running = await startIssuer();
  });
  afterAll(async () => {
    Object.assign(console, { warn, info });
    await running.close();
  });

  /** The whole flow; gives what the token endpoint answered. */
  async function tokensOf(email: string, page = browser(), more: Readonly<Record<string, string>> = {}) {
    const verifier = newVerifier();
    const back = await signInAs(page, running, await authorizationUrl(running, verifier, more), email);
    expect(back.origin + back.pathname).toBe(more.redirect_uri ?? redirectUri);
    expect(back.searchParams.get('state')).toBe('the-state');
    const { status, body } = await redeem(running, {
      grant_type: 'authorization_code',
      code: back.searchParams.get('code') ?? '',
      redirect_uri: more.redirect_uri ?? redirectUri,
      code_verifier: verifier,
    });
    expect(status).toBe(200);
    return body as { id_token: string; access_token: string; refresh_token: string };
  }

  test('discovery names the issuer and endpoints under its own path, and they answer', async () => {
    const document = await running.discovery();
    expect(document.issuer).toBe(`${running.apiUrl}/oidc`);
    expect(document).toMatchObject({
      response_types_supported: ['code'],
      code_challenge_methods_supported: ['S256'],
      scopes_supported: ['openid', 'email'],
    });
    const endpoints = Object.entries(document).filter(([name]) => /_endpoint$|_uri$/.test(name));
    expect(endpoints.map(([name]) => name).sort()).toEqual([
      'authorization_endpoint',
      'jwks_uri',
      'revocation_endpoint',
      'token_endpoint',
      'userinfo_endpoint',
    ]);
    for (const [, url] of endpoints) {
      expect(url.startsWith(`${running.issuer}/`)).toBe(true);
      expect((await fetch(url, { method: /token$|revocation$/.test(url) ? 'POST' : 'GET' })).status).not.toBe(
        404,
      );
    }
    expect((await fetch(`${running.issuer}/nothing`)).status).toBe(404);
  });

  test('only the public half of the key is published', async () => {
    const { jwks_uri: url = '' } = await running.discovery();
    const { keys } = (await (await fetch(url)).json()) as { keys: Record<string, string>[] };
    expect(keys).toHaveLength(1);
    expect(Object.keys(keys[0] ?? {}).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use']);
  });

  test('a code with PKCE yields an ID token with subject, audience and verified address, signed by a published key', async () => {
    const { id_token: token, access_token: access } = await tokensOf('Someone@Example.COM ');
    const { jwks_uri: jwks = '', userinfo_endpoint: userinfo = '' } = await running.discovery();
    const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(jwks)), {
      issuer: running.issuer,
      audience,
    });
    expect(payload).toMatchObject({
      sub: 'someone@example.com',
      aud: audience,
      email: 'someone@example.com',
      email_verified: true,
      nonce: 'the-nonce',
    });
    expect(Number(payload.exp) - Number(payload.iat)).toBe(3_600);
    const info = await fetch(userinfo, { headers: { authorization: `Bearer ${access}` } });
    expect(await info.json()).toEqual({
      sub: 'someone@example.com',
      email: 'someone@example.com',
      email_verified: true,
    });
  });

  test('a refresh token yields a further ID token of the same address, once', async () => {
    const { refresh_token: refresh } = await tokensOf('owner@demo.example');
    const request = { grant_type: 'refresh_token', refresh_token: refresh };
    const { status, body } = await redeem(running, request);
    expect(status).toBe(200);
    expect(decodeJwt(body.id_token ?? '')).toMatchObject({ sub: 'owner@demo.example', email_verified: true });
    expect(await redeem(running, request)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } });
  });

  test.each([
    'http://127.0.0.1:1/callback',
    'http://127.0.0.1:65535/callback',
    'http://localhost:8000/callback',
  ])('an application on loopback may listen on any port (RFC 8252): %s', async (uri) => {
    const { id_token: token } = await tokensOf('owner@demo.example', browser(), { redirect_uri: uri });
    expect(decodeJwt(token).sub).toBe('owner@demo.example');
  });

  test.each([
    ['another host', { redirect_uri: 'http://attacker.example/callback' }, 'redirect_uri did not match'],
    ['another path', { redirect_uri: 'http://127.0.0.1:1/other' }, 'redirect_uri did not match'],
    ['another client', { client_id: 'somebody-else' }, 'client is invalid'],
  ])('a request for %s is answered by a page, not by a redirect', async (_what, more, says) => {
    const page = browser();
    const answer = await page.get(await authorizationUrl(running, newVerifier(), more));
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null]);
    expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await answer.text()).toContain(`<p class="wrong">${says}`);
  });

  test('without PKCE there is no code: invalid_request', async () => {
    const url = new URL(await authorizationUrl(running, newVerifier()));
    url.searchParams.delete('code_challenge');
    url.searchParams.delete('code_challenge_method');
    const answer = await browser().get(url.href);
    const back = new URL(answer.headers.get('location') ?? '');
    expect(back.searchParams.get('error')).toBe('invalid_request');
  });

  test('a code is worth nothing with another verifier, nor a second time: invalid_grant', async () => {
    const verifier = newVerifier();
    const url = await authorizationUrl(running, verifier);
    const code = (await signInAs(browser(), running, url, 'a@b.example')).searchParams.get('code') ?? '';
    const request = { grant_type: 'authorization_code', code, redirect_uri: redirectUri };
    const invalid = { status: 400, body: { error: 'invalid_grant' } };
    expect(await redeem(running, { ...request, code_verifier: newVerifier() })).toMatchObject(invalid);
    expect(await redeem(running, { ...request, code_verifier: verifier })).toMatchObject({ status: 200 });
    expect(await redeem(running, { ...request, code_verifier: verifier })).toMatchObject(invalid);
  });

  test('signing in again may change the address, in the same browser', async () => {
    const page = browser();
    await tokensOf('first@demo.example', page);
    const verifier = newVerifier();
    const form = await openSignIn(page, running, await authorizationUrl(running, verifier));
    expect(await (await page.get(form)).text()).toContain('value="first@demo.example"');
    const resume = (await page.post(form, { email: 'second@demo.example' })).headers.get('location') ?? '';
    // The provider ends the first session by a form that the browser submits.
    const ending = await (await page.get(resume)).text();
    const field = (name: string) => new RegExp(`name="${name}" value="([^"]+)"`).exec(ending)?.[1] ?? '';
    const action = /action="([^"]+)"/.exec(ending)?.[1] ?? '';
    const ended = await page.post(action, { xsrf: field('xsrf'), logout: field('logout') });
    const back = await page.get(ended.headers.get('location') ?? '');
    const { body } = await redeem(running, {
      grant_type: 'authorization_code',
      code: new URL(back.headers.get('location') ?? '').searchParams.get('code') ?? '',
      redirect_uri: redirectUri,
      code_verifier: verifier,
    });
    expect(decodeJwt(body.id_token ?? '').sub).toBe('second@demo.example');
  });

  describe('its tokens are taken by the verifier of the API', () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await startEngine();
    });
    afterAll(() => engine.close());

    test('a browser and the command line are one user, bound by the first sign-in', async () => {
      const identities = new IdentityRepository(engine.dynamo, engine.tables.identities);
      await identities.invite({
        email: 'owner@demo.example',
        tenantId: 't-demo',
        roles: ['owner'],
        expiresAt: 4_000_000_000,
      });
      const verify = bearerVerifier({
        identities,
        issuer: running.issuer,
        audience,
        bindInvitations: true,
      });
      const { id_token: fromBrowser } = await tokensOf('owner@demo.example');
      const { apiUrl, directory } = running;
      const minted = await idToken({ apiUrl, directory, email: 'Owner@demo.example', ttlSeconds: 60 });
      for (const token of [fromBrowser, minted]) {
        expect(await verify(token)).toMatchObject({
          kind: 'user',
          tenantId: 't-demo',
          principal: 'user:owner@demo.example',
        });
      }
      await expect(verify(`${minted.slice(0, -8)}AAAAAAAA`)).rejects.toMatchObject({
        code: 'UNAUTHENTICATED',
      });
    });
  });

  test('all of it prints no warning and hides no failure', () => {
    expect(printed).toEqual([]);
    expect(running.errors).toEqual([]);
  });
});
