import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { browser } from './browser.ts';
import {
  authorizationUrl,
  newVerifier,
  openSignIn,
  type RunningIssuer,
  startIssuer,
} from './running-issuer.ts';

describe('the sign-in page', () => {
  let running: RunningIssuer;
  beforeAll(async () => {
    running = await startIssuer();
  });
  afterAll(() => running.close());

  const opened = async (more: Readonly<Record<string, string>> = {}) => {
    const page = browser();
    const form = await openSignIn(page, running, await authorizationUrl(running, newVerifier(), more));
    return { page, form };
  };

  test("suggests the demo's owner, asks for no password and loads nothing from elsewhere", async () => {
    const { page, form } = await opened();
    const answer = await page.get(form);
    const html = await answer.text();
    expect(answer.status).toBe(200);
    expect(html).toContain('value="owner@demo.example"');
    expect(html).not.toMatch(/password"|<script|https?:|url\(|@import/);
    const policy = answer.headers.get('content-security-policy') ?? '';
    const style = /<style>([^]*)<\/style>/.exec(html)?.[1] ?? '';
    expect(policy.split('; ')).toEqual([
      "default-src 'none'",
      `style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'`,
      // The redirect that ends the sign-in is governed by it, too.
      "form-action 'self' http://127.0.0.1:45678",
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ]);
    expect(answer.headers.get('cache-control')).toBe('no-store');
  });

  test('its cookies are for HTTPS and for this issuer alone, and out of reach of scripts', async () => {
    const { page, form } = await opened();
    await page.post(form, { email: 'owner@demo.example' });
    expect(page.received.length).toBeGreaterThan(0);
    for (const cookie of page.received) {
      expect(cookie).toMatch(/; path=\/oidc/i);
      expect(cookie).toMatch(/; secure/i);
      expect(cookie).toMatch(/; httponly/i);
      expect(cookie).toMatch(/; samesite=lax/i);
    }
  });

  test('suggests whom the application names, as text and not as markup', async () => {
    const { page, form } = await opened({ login_hint: '"><script>alert(1)</script>' });
    const html = await (await page.get(form)).text();
    expect(html).toContain('value="&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;"');
  });

  test.each(['', 'nobody', 'a@b@c.example', '<b>@demo.example'])(
    'what is no address is said so with 422, and the sign-in goes on: %j',
    async (typed) => {
      const { page, form } = await opened();
      const answer = await page.post(form, { email: typed });
      const html = await answer.text();
      expect(answer.status).toBe(422);
      expect(html).toContain('This is not an e-mail address.');
      expect(html).not.toContain('<b>');
      expect((await page.post(form, { email: 'owner@demo.example' })).status).toBe(303);
    },
  );

  test('another browser cannot go on with it, nor one with a made-up number: 400', async () => {
    const { page, form } = await opened();
    expect((await browser().post(form, { email: 'owner@demo.example' })).status).toBe(400);
    expect((await page.get(`${form}x`)).status).toBe(400);
    expect((await page.get(form)).status).toBe(200);
  });

  test('a body that is no form, or has no end, is 400', async () => {
    const { page, form } = await opened();
    const { received } = page;
    const cookie = received.map((line) => line.split(';')[0]).join('; ');
    const json = await fetch(form, {
      method: 'POST',
      headers: { cookie, 'content-type': 'application/json' },
      body: '{"email":"owner@demo.example"}',
    });
    expect(json.status).toBe(400);
    expect((await page.post(form, { email: 'a'.repeat(100_000) })).status).toBe(400);
  });

  test('other methods are 405', async () => {
    const { page, form } = await opened();
    const cookie = page.received.map((line) => line.split(';')[0]).join('; ');
    expect((await fetch(form, { method: 'DELETE', headers: { cookie } })).status).toBe(405);
  });
});
