/** Who may do what: every route and the access host, with each kind of credential, a lacking one and none. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { base64url, SignJWT } from 'jose';
import { type Route, type RouteKey, routeTable } from '../../core/api/route-table.ts';
import { registrationTokenIssued } from '../../core/credential/registration-token-schema.ts';
import { roleScopes, type Scope, scopes } from '../../core/credential/scope.ts';
import { newToken } from '../../core/credential/token.ts';
import { registerCluster } from './further-cluster.ts';
import type { Answer } from './https-client.ts';
import { idToken, member, Operator } from './people.ts';
import type { Stack } from './stack.ts';

const guarded = Object.entries<Route>(routeTable).filter(([, { scopes: needed }]) => needed !== 'public');
const guardedKeys = guarded.map(([key]) => key as RouteKey);
const needed = (key: RouteKey): readonly Scope[] | 'any' | 'public' => routeTable[key].scopes;

/** Harmless on every route: the things do not exist, and the bodies do not fit. */
function harmless(stack: Stack, key: RouteKey, token: string | null, localAddress?: string): Promise<Answer> {
  const [method = '', template = ''] = key.split(' ');
  const path = template
    .replace('{clusterId}', `c-${'7'.repeat(20)}`)
    .replace('{tokenId}', '7'.repeat(16))
    .replace('{keyId}', '7'.repeat(16))
    .replace('{ruleId}', '7'.repeat(16))
    .replace('{digest}', `sha256:${'7'.repeat(64)}`);
  const body = method === 'POST' || method === 'PUT' || method === 'PATCH' ? { body: { none: 'such' } } : {};
  return stack.api.send(method, path, { token, ...body, localAddress });
}

/** Refusals are slowed down by address; on Linux all of 127.0.0.0/8 is this machine, so that none has to wait for others. */
const addresses = (function* () {
  for (let count = 1; ; count++)
    yield process.platform === 'linux' ? `127.1.${count >> 8}.${count & 255}` : undefined;
})();

const hasOneOf = (key: RouteKey, owned: readonly Scope[]): boolean => {
  const wanted = needed(key);
  return typeof wanted === 'string' || wanted.some((scope) => owned.includes(scope));
};

export function credentials(stack: () => Stack): void {
  describe('credentials', () => {
    let operator: Operator;
    const tokens = new Map<string, string>();
    const tokenOf = (who: string) => tokens.get(who) ?? '';
    const demo = (path: string) => `/clusters/${stack().demoClusterId}${path}`;
    const maps = () => demo('/api/v1/namespaces/default/configmaps');

    beforeAll(async () => {
      operator = await Operator.of(stack());
      const [viewer, editor, stranger, issued, cluster] = await Promise.all([
        member(stack(), operator, 'viewer'),
        member(stack(), operator, 'editor'),
        idToken(stack(), 'stranger@elsewhere.example'),
        stack().api.post('/v1/registration-tokens', {}),
        registerCluster(stack(), 'credentials'),
      ]);
      tokens.set('viewer', viewer).set('editor', editor).set('stranger', stranger);
      tokens.set('registration token', registrationTokenIssued.parse(issued.json).token);
      tokens.set('cluster token', cluster.clusterToken);
      tokens.set('owner', stack().state.adminToken);
    });
    afterAll(() => operator.close());

    test.each(guardedKeys)(
      '%s without a credential, or with what is none, is 401 UNAUTHENTICATED',
      async (key) => {
        const { tenantId } = stack().state;
        const mistyped = `${stack().state.adminToken.slice(0, -1)}${stack().state.adminToken.endsWith('a') ? 'b' : 'a'}`;
        const none = [null, mistyped, newToken('api-key').text, 'x', await forged(stack(), tenantId)];
        const answers = none.map((token) => harmless(stack(), key, token, addresses.next().value));
        for (const answer of await Promise.all(answers)) {
          expect(answer).toMatchObject({ status: 401, json: { code: 'UNAUTHENTICATED' } });
          expect(answer.headers['www-authenticate']).toBe('Bearer');
          expect(answer.headers['content-type']).toBe('application/problem+json');
        }
      },
    );

    const restricted = guardedKeys.filter((key) => typeof needed(key) !== 'string');
    test.each(restricted)('%s with every scope but its own is 403 ACCESS_DENIED', async (key) => {
      const lacking = scopes.filter((scope) => !(needed(key) as readonly Scope[]).includes(scope));
      const token = await operator.apiKey(stack().state.tenantId, lacking);
      expect(await harmless(stack(), key, token)).toMatchObject({
        status: 403,
        json: { code: 'ACCESS_DENIED' },
      });
    });

    const owned: readonly [string, readonly Scope[]][] = [
      ['viewer', roleScopes.viewer],
      ['editor', roleScopes.editor],
      ['owner', roleScopes.owner],
      ['registration token', ['registration:use']],
      ['cluster token', ['cluster:report']],
    ];
    test.each(owned)(
      'with the credential of the kind “%s”: passes where it has the scope, 403 everywhere else',
      async (who, its) => {
        for (const key of guardedKeys) {
          const { status, text } = await harmless(stack(), key, tokenOf(who));
          const allowed = hasOneOf(key, its);
          const seen = { key, status, allowed, text };
          // 415: what is sent is JSON, which not every route takes.
          if (allowed) expect([200, 400, 404, 415].includes(status) || seen).toBe(true);
          else expect(status === 403 || seen).toBe(true);
        }
      },
    );

    test('a signed-in user of no tenant is 403 everywhere, and an expired API key is 401', async () => {
      expect(await harmless(stack(), 'GET /v1/me', tokenOf('stranger'))).toMatchObject({ status: 403 });
      expect(await stack().access.get(demo('/api/v1/pods'), { token: tokenOf('stranger') })).toMatchObject({
        status: 403,
        json: { code: 'NOT_A_MEMBER' },
      });
      const past = Math.floor(Date.now() / 1000) - 10;
      const token = await operator.apiKey(stack().state.tenantId, scopes, past);
      expect(await harmless(stack(), 'GET /v1/me', token)).toMatchObject({ status: 401 });
    });

    test('refused credentials of one address wait longer and longer, an accepted one from there does not', async () => {
      const localAddress = addresses.next().value;
      const timed = async (token: string): Promise<number> => {
        const begun = performance.now();
        await harmless(stack(), 'GET /v1/me', token, localAddress);
        return performance.now() - begun;
      };
      const waits = [];
      for (let count = 0; count < 6; count++) waits.push(await timed(newToken('api-key').text));
      // Each environment of the function counts for itself, so that which one it was decides.
      expect(Math.max(...waits)).toBeGreaterThanOrEqual(100);
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(50);
      const accepted = tokenOf('owner');
      await timed(accepted);
      expect(await timed(accepted)).toBeLessThan(Math.max(...waits));
    });

    test('an authorizer’s answer for one route, cached, does not decide about the next', async () => {
      const token = await operator.apiKey(stack().state.tenantId, ['images:read']);
      const statuses = [];
      for (const key of ['GET /v1/images', 'GET /v1/clusters', 'GET /v1/images', 'GET /v1/me'] as const)
        statuses.push((await harmless(stack(), key, token)).status);
      expect(statuses).toEqual([200, 403, 200, 200]);
    });

    describe('on the access host', () => {
      const kubectl = { 'user-agent': 'kubectl/v1.33.2 (linux/amd64) kubernetes/abc' };
      const map = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: {} });

      test('none, a mistyped one, and a registration or cluster token reach nothing', async () => {
        for (const token of [null, `${tokenOf('owner')}x`, newToken('api-key').text]) {
          const answer = await stack().access.get(demo('/api/v1/pods'), { token });
          expect(answer).toMatchObject({ status: 401, json: { code: 'UNAUTHENTICATED' } });
          expect(answer.headers['www-authenticate']).toBe('Bearer');
        }
        for (const who of ['registration token', 'cluster token']) {
          for (const path of ['/api/v1/pods', '/version', '/openapi/v3'])
            expect(await stack().access.get(demo(path), { token: tokenOf(who) })).toMatchObject({
              status: 403,
              json: { code: 'ACCESS_DENIED' },
            });
        }
      });

      test('a viewer gets, lists and watches', async () => {
        const token = tokenOf('viewer');
        const { access } = stack();
        expect((await access.get(demo('/api/v1/pods'), { token })).status).toBe(200);
        expect((await access.get(demo('/api/v1/namespaces/shop'), { token })).status).toBe(200);
        const watch = await access.watch(demo('/api/v1/pods?watch=true'), 'HTTP/2', { token });
        await watch.event('a pod', ({ type }) => type === 'ADDED');
        watch.cancel();
      });

      test('a viewer creates, changes and deletes nothing: 403 as a Status; an editor does', async () => {
        const { access } = stack();
        const one = `${maps()}/edited`;
        const patch = { 'content-type': 'application/merge-patch+json' };
        const attempts = [
          ['POST', maps(), map('edited'), {}, 201],
          ['POST', `${maps()}?dryRun=All`, map('rehearsed'), {}, 201],
          ['PUT', one, map('edited'), {}, 200],
          ['PATCH', one, { data: { a: '1' } }, patch, 200],
          ['DELETE', one, undefined, {}, 200],
        ] as const;
        for (const [method, path, body, headers, status] of attempts) {
          const given = { body, headers: { ...kubectl, ...headers } };
          const refused = await access.send(method, path, { token: tokenOf('viewer'), ...given });
          expect(refused).toMatchObject({
            status: 403,
            json: {
              kind: 'Status',
              reason: 'Forbidden',
              code: 403,
              message: expect.stringContaining('clusters:change'),
            },
          });
          const done = await access.send(method, path, { token: tokenOf('editor'), ...given });
          expect([method, done.status]).toEqual([method, status]);
        }
        expect(
          (await access.send('DELETE', demo('/api/v1/namespaces/shop/pods'), { token: tokenOf('viewer') }))
            .status,
        ).toBe(403);
      });

      test('what a user is let do is what SelfSubjectAccessReview says', async () => {
        const path = demo('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews');
        const ask = async (who: string, verb: string) => {
          const spec = { resourceAttributes: { verb, resource: 'pods' } };
          const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec };
          const { json } = await stack().access.post(path, body, { token: tokenOf(who) });
          return (json as { status: { allowed: boolean } }).status.allowed;
        };
        expect(await Promise.all(['get', 'list', 'watch'].map((verb) => ask('viewer', verb)))).toEqual([
          true,
          true,
          true,
        ]);
        expect(await ask('viewer', 'delete')).toBe(false);
        expect(await ask('editor', 'delete')).toBe(true);
      });
    });
  });
}

/** A token of the right form, issuer and audience, that the issuer has not signed. */
async function forged({ state }: Stack, tenantId: string): Promise<string> {
  const key = base64url.decode('c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA');
  return new SignJWT({ email: 'owner@demo.example', email_verified: true, tenantId })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(`${state.apiUrl}/oidc`)
    .setAudience('cattery-laptop')
    .setSubject('owner@demo.example')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(key);
}
