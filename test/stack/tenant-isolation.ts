/** Two tenants, on every route of the API and on the access host: what is another's does not exist. */
import { createHash, X509Certificate } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import * as z from 'zod';
import { type Route, type RouteKey, routeTable } from '../../core/api/route-table.ts';
import { accessRule } from '../../core/access/access-rule-schema.ts';
import { listedException } from '../../core/image/exception-list-schema.ts';
import { listedStatement } from '../../core/image/statements-schema.ts';
import { scanUploadIssued } from '../../core/image/scan-upload-schema.ts';
import { apiKeyIssued } from '../../core/credential/api-key-schema.ts';
import { registrationTokenIssued } from '../../core/credential/registration-token-schema.ts';
import { stackState, type StackState } from '../../local/stack/state.ts';
import { podReview } from '../functions/admission/pod-review.ts';
import { trivyReport } from '../functions/image-scan/reports.ts';
import { openVex } from '../functions/image-scan/vex-documents.ts';
import { registerCluster } from './further-cluster.ts';
import { bundleIn } from './admission-bundle.ts';
import type { Answer } from './https-client.ts';
import { eventually } from './poll.ts';
import { alpineDigest, pushAlpine } from './scan.ts';
import type { Stack } from './stack.ts';

type Where =
  'nobody’s data' | 'a path parameter' | 'its own cluster' | 'a list' | 'one thing per tenant' | 'a write';

/** Where each route could show or touch another tenant's data: a new route does not compile until it has its place here. */
const where: Readonly<Record<RouteKey, Where>> = {
  'GET /healthz': 'nobody’s data',
  'GET /openapi.json': 'nobody’s data',
  'GET /v1/sign-in': 'nobody’s data',
  'GET /install.sh': 'nobody’s data',
  'GET /install.sh.sha256': 'nobody’s data',
  'GET /scan-report.sh': 'nobody’s data',
  'GET /scan-report.sh.sha256': 'nobody’s data',
  'GET /v1/releases': 'nobody’s data',
  'GET /v1/releases/{version}': 'nobody’s data',
  'GET /v1/releases/{version}/manifests/{name}': 'nobody’s data',
  'GET /v1/releases/{version}/images': 'nobody’s data',
  'GET /v1/install/installation-patch': 'nobody’s data',
  'GET /v1/install/gitops.yaml': 'nobody’s data',
  'GET /v1/install/admission-webhook.yaml': 'nobody’s data',
  'GET /v1/clusters/{clusterId}/manifest': 'a path parameter',
  'GET /v1/clusters/{clusterId}/kubeconfig': 'a path parameter',
  'GET /v1/me': 'one thing per tenant',
  'POST /v1/registration-tokens': 'a write',
  'GET /v1/registration-tokens': 'a list',
  'DELETE /v1/registration-tokens/{tokenId}': 'a path parameter',
  'POST /v1/api-keys': 'a write',
  'GET /v1/api-keys': 'a list',
  'DELETE /v1/api-keys/{keyId}': 'a path parameter',
  'POST /v1/registrations': 'a write',
  'GET /v1/clusters': 'a list',
  'GET /v1/clusters/{clusterId}': 'a path parameter',
  'PATCH /v1/clusters/{clusterId}': 'a path parameter',
  'DELETE /v1/clusters/{clusterId}': 'a path parameter',
  'POST /v1/clusters/{clusterId}/certificates': 'its own cluster',
  'DELETE /v1/clusters/{clusterId}/certificates/{fingerprint}': 'its own cluster',
  'POST /v1/clusters/{clusterId}/progress': 'its own cluster',
  'GET /v1/clusters/{clusterId}/progress': 'a path parameter',
  'POST /v1/access-rules': 'a write',
  'GET /v1/access-rules': 'a list',
  'GET /v1/access-rules/{ruleId}': 'a path parameter',
  'DELETE /v1/access-rules/{ruleId}': 'a path parameter',
  'POST /v1/scans': 'a write',
  'POST /v1/scan-uploads': 'a write',
  'GET /v1/scan-uploads/{uploadId}': 'a path parameter',
  'GET /v1/images': 'a list',
  'GET /v1/images/export': 'one thing per tenant',
  'GET /v1/images/{digest}': 'a path parameter',
  'GET /v1/images/{digest}/findings': 'a path parameter',
  'GET /v1/images/{digest}/history': 'a path parameter',
  'GET /v1/image-policy': 'one thing per tenant',
  'PUT /v1/image-policy': 'one thing per tenant',
  'POST /v1/image-exceptions': 'a write',
  'GET /v1/image-exceptions': 'a list',
  'GET /v1/image-exceptions/{exceptionId}': 'a path parameter',
  'DELETE /v1/image-exceptions/{exceptionId}': 'a path parameter',
  'POST /v1/image-exceptions/imports': 'a write',
  'GET /v1/image-statements': 'a list',
  'DELETE /v1/image-statements': 'one thing per tenant',
  'DELETE /v1/image-statements/{statementId}': 'a path parameter',
  'POST /v1/admission-reviews': 'one thing per tenant',
  'GET /v1/admission-policy': 'one thing per tenant',
  'PUT /v1/admission-policy': 'one thing per tenant',
  'POST /v1/admission-policy/imports': 'one thing per tenant',
  'POST /v1/admission-policy/tests': 'one thing per tenant',
  'GET /v1/admission-bundle': 'one thing per tenant',
  'GET /v1/admission-bundle/keys': 'nobody’s data',
};
const routesWith = (place: Where) =>
  Object.entries(where).flatMap(([key, its]) => (its === place ? [key] : []));

/** The things of a tenant, by the name of the path parameter that names them. */
type Things = {
  clusterId: string;
  tokenId: string;
  keyId: string;
  ruleId: string;
  exceptionId: string;
  statementId: string;
  uploadId: string;
  digest: string;
};

/** No other part of the stack's test has images of these digests. */
const digestOf = (letter: string) => `sha256:${`${letter}0`.repeat(32)}`;
const guessed: Things = {
  clusterId: `c-${'a'.repeat(20)}`,
  tokenId: 'b'.repeat(16),
  keyId: 'b'.repeat(16),
  ruleId: 'b'.repeat(16),
  exceptionId: 'b'.repeat(16),
  statementId: 'b'.repeat(26),
  uploadId: `u-${'b'.repeat(26)}`,
  digest: digestOf('0'),
};
const malformed: Things = {
  clusterId: 'c-1',
  tokenId: 'x',
  keyId: 'x',
  ruleId: 'x',
  exceptionId: 'x',
  statementId: 'x',
  uploadId: 'x',
  digest: 'sha256:zz',
};

const withoutRequestId = ({ status, text, json }: Answer) => {
  const { requestId, ...rest } = (json ?? {}) as Record<string, unknown>;
  expect([typeof requestId, text]).toEqual(['string', expect.any(String)]);
  return { status, ...rest };
};
const notThere = {
  status: 404,
  code: 'NOT_FOUND',
  type: 'urn:cattery:problem:NOT_FOUND',
  title: 'There is no such thing',
};

async function tokenOf(stack: Stack, token: string): Promise<string> {
  return registrationTokenIssued.parse((await stack.api.post('/v1/registration-tokens', {}, { token })).json)
    .tokenId;
}

async function keyOf(stack: Stack, token: string): Promise<string> {
  const { json } = await stack.api.post('/v1/api-keys', { name: 'isolation' }, { token });
  return apiKeyIssued.parse(json).keyId;
}

async function ruleOf(stack: Stack, token: string): Promise<string> {
  const everywhere = { clusters: ['*'], namespaces: ['*'], apiGroups: [''] };
  const rule = { subjects: ['role:member'], ...everywhere, resources: ['pods'], verbs: ['get'] };
  return accessRule.parse((await stack.api.post('/v1/access-rules', rule, { token })).json).ruleId;
}

async function exceptionOf(stack: Stack, token: string, vulnerability = 'CVE-2000-0001'): Promise<string> {
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString();
  const exception = { vulnerability, scope: 'any', justification: 'isolation', expiresAt };
  const made = await stack.api.post('/v1/image-exceptions', exception, { token });
  return listedException.parse(made.json).exceptionId;
}

/** A statement that no image of the other tests has to do with. */
const aboutNothing = (author: string) => openVex({ author, said: [{ products: ['pkg:generic/isolation'] }] });

/** One of each author: what is said about the same has the same ID in every tenant. */
async function statementOf(stack: Stack, token: string, author: string): Promise<string> {
  const said = await stack.api.post('/v1/scans', aboutNothing(author), { token });
  expect(said).toMatchObject({ status: 201, json: { statements: { stored: 1 } } });
  const listed = await stack.api.get(`/v1/image-statements?author=${author}`, { token });
  const [statement] = z.object({ items: z.array(listedStatement) }).parse(listed.json).items;
  return statement?.statementId ?? '';
}

async function uploadOf(stack: Stack, token: string): Promise<string> {
  const asked = { contentLength: 1, sha256: '0'.repeat(64) };
  return scanUploadIssued.parse((await stack.api.post('/v1/scan-uploads', asked, { token })).json).uploadId;
}

export function tenantIsolation(stack: () => Stack): void {
  describe('two tenants', () => {
    let [a, b]: StackState[] = [];
    let [ofA, ofB, goneOfB]: Things[] = [];
    const tokenOfB = () => ({ token: b?.adminToken ?? '' });

    beforeAll(async () => {
      a = stack().state;
      const second = await stack().local('tenant', 'create', 'second');
      expect(second).toMatchObject({ code: 0 });
      b = stackState.parse(JSON.parse(second.stdout));
      const tokens = { a: a.adminToken, b: b.adminToken };
      await pushAlpine(stack());
      const [cluster, gone] = await Promise.all([
        registerCluster(stack(), 'demo', tokens.b),
        registerCluster(stack(), 'gone', tokens.b),
      ]);
      const digest = digestOf('b');
      const report = trivyReport([]);
      const scanned = await stack().api.post(`/v1/scans?digest=${digest}`, report, tokenOfB());
      expect(scanned).toMatchObject({ status: 201, json: { verdict: 'pass' } });
      ofA = {
        clusterId: stack().demoClusterId,
        tokenId: await tokenOf(stack(), tokens.a),
        keyId: await keyOf(stack(), tokens.a),
        ruleId: await ruleOf(stack(), tokens.a),
        exceptionId: await exceptionOf(stack(), tokens.a),
        statementId: await statementOf(stack(), tokens.a, 'of-a'),
        uploadId: await uploadOf(stack(), tokens.a),
        digest: alpineDigest,
      };
      const made = async (author: string) => ({
        tokenId: await tokenOf(stack(), tokens.b),
        keyId: await keyOf(stack(), tokens.b),
        ruleId: await ruleOf(stack(), tokens.b),
        exceptionId: await exceptionOf(stack(), tokens.b),
        statementId: await statementOf(stack(), tokens.b, author),
      });
      const uploadId = await uploadOf(stack(), tokens.b);
      ofB = { clusterId: cluster.clusterId, ...(await made('of-b')), uploadId, digest };
      goneOfB = { ...guessed, clusterId: gone.clusterId, ...(await made('gone')) };
      for (const path of [
        `/v1/clusters/${gone.clusterId}`,
        `/v1/registration-tokens/${goneOfB.tokenId}`,
        `/v1/api-keys/${goneOfB.keyId}`,
        `/v1/access-rules/${goneOfB.ruleId}`,
        `/v1/image-exceptions/${goneOfB.exceptionId}`,
        `/v1/image-statements/${goneOfB.statementId}`,
      ])
        expect((await stack().api.send('DELETE', path, tokenOfB())).status).toBe(204);
    });

    const path = (template: string, things: Things | undefined) =>
      template.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
        const value = (things as Record<string, string> | undefined)?.[name];
        if (value === undefined) throw new Error(`The test has no ${name}.`);
        return encodeURIComponent(value);
      });

    test('every route with a path parameter is among those tried, and no other', () => {
      const routes = Object.entries<Route>(routeTable);
      const open = routes.filter(([, { scopes }]) => scopes === 'public');
      const parameterised = routes.filter((each) => each[0].includes('{') && !open.includes(each));
      const tried = [...routesWith('a path parameter'), ...routesWith('its own cluster')];
      expect(tried.sort()).toEqual(parameterised.map(([key]) => key).sort());
      expect(routesWith('nobody’s data').sort()).toEqual(open.map(([key]) => key).sort());
    });

    // Reads first: the last DELETE takes the tenant's own things away.
    const inOrder = routesWith('a path parameter').sort((x, y) => y.localeCompare(x));
    test.each(inOrder)(
      '%s: another’s, a guessed, a gone and a malformed one are the same 404, its own is there',
      async (key) => {
        const [method = '', template = ''] = key.split(' ');
        const body = method === 'PATCH' ? { body: { impersonation: false } } : {};
        const ask = (things: Things | undefined) =>
          stack().api.send(method, path(template, things), { ...body, ...tokenOfB() });
        const answers = await Promise.all([ofA, guessed, goneOfB, malformed].map(ask));
        for (const answer of answers) {
          expect(withoutRequestId(answer)).toEqual(notThere);
          expect(answer.headers['content-type']).toBe('application/problem+json');
        }
        expect((await ask(ofB)).status).toBe(routeTable[key as RouteKey].answer.status);
        // And nothing has become of the other tenant's.
        const { api } = stack();
        expect((await api.get(`/v1/clusters/${ofA?.clusterId}`)).status).toBe(200);
        expect((await api.get(`/v1/images/${ofA?.digest}`)).status).toBe(200);
        expect((await api.get('/v1/registration-tokens?limit=200')).text).toContain(ofA?.tokenId);
        expect((await api.get('/v1/api-keys?limit=200')).text).toContain(ofA?.keyId);
        expect((await api.get('/v1/access-rules?limit=200')).text).toContain(ofA?.ruleId);
        expect((await api.get('/v1/image-exceptions?limit=200')).text).toContain(ofA?.exceptionId);
        expect((await api.get('/v1/image-statements?limit=200')).text).toContain(ofA?.statementId);
      },
    );

    test('a cluster’s own token reaches that cluster only, on every route that takes it: all others are the same 404', async () => {
      const own = await registerCluster(stack(), 'own-token', b?.adminToken);
      const sibling = await registerCluster(stack(), 'own-token-sibling', b?.adminToken);
      const fingerprint = createHash('sha256').update(new X509Certificate(own.certificate).raw).digest('hex');
      const report = { operation: 'renew', attempt: 'isolation', sequence: 0, step: 'key', state: 'done' };
      // What it is answered for itself; the last one ends it.
      const rows: Readonly<Partial<Record<RouteKey, { body?: unknown; status: number; code?: string }>>> = {
        'GET /v1/clusters/{clusterId}': { status: 200 },
        'GET /v1/clusters/{clusterId}/manifest': { status: 200 },
        'POST /v1/clusters/{clusterId}/progress': { body: report, status: 200 },
        'GET /v1/clusters/{clusterId}/progress': { status: 200 },
        'POST /v1/clusters/{clusterId}/certificates': {
          body: { csr: 'none', proof: 'none' },
          status: 403,
          code: 'PROOF_INVALID',
        },
        'DELETE /v1/clusters/{clusterId}/certificates/{fingerprint}': {
          status: 409,
          code: 'CERTIFICATE_IN_USE',
        },
        'DELETE /v1/clusters/{clusterId}': { status: 204 },
      };
      const takeIt = Object.entries<Route>(routeTable).filter(
        ([, { scopes }]) => Array.isArray(scopes) && scopes.includes('cluster:report'),
      );
      expect(Object.keys(rows).sort()).toEqual(takeIt.map(([key]) => key).sort());
      expect(takeIt.map(([key]) => key)).toEqual(expect.arrayContaining(routesWith('its own cluster')));
      const { api } = stack();
      for (const [key, { body, status, code }] of Object.entries(rows)) {
        const [method = '', template = ''] = key.split(' ');
        const ask = (clusterId: string) =>
          api.send(method, path(template, { ...guessed, clusterId, fingerprint } as Things), {
            token: own.clusterToken,
            ...(body === undefined ? {} : { body }),
          });
        const others = [sibling, ofA, guessed, goneOfB, malformed].map((each) => each?.clusterId ?? '');
        for (const answer of await Promise.all(others.map(ask)))
          expect([key, withoutRequestId(answer)]).toEqual([key, notThere]);
        const itself = await ask(own.clusterId);
        const told = itself.json as { code?: string } | undefined;
        expect([key, itself.status, told?.code]).toEqual([key, status, code]);
      }
      const token = b?.adminToken ?? '';
      expect((await api.get(`/v1/clusters/${sibling.clusterId}`, { token })).status).toBe(200);
      expect((await api.get(`/v1/clusters/${sibling.clusterId}/progress`, { token })).json).toMatchObject({
        state: 'none',
      });
    });

    test.each([
      ['GET /v1/clusters', 'clusterId'],
      ['GET /v1/registration-tokens', 'tokenId'],
      ['GET /v1/api-keys', 'keyId'],
      ['GET /v1/access-rules', 'ruleId'],
      ['GET /v1/images', 'digest'],
      ['GET /v1/image-exceptions', 'exceptionId'],
      ['GET /v1/image-statements', 'statementId'],
    ] as const)('%s lists its own only, and takes no cursor of the other’s', async (key, parameter) => {
      expect(where[key]).toBe('a list');
      const { api } = stack();
      const list = key.split(' ')[1] ?? '';
      const page = z.object({
        items: z.array(z.record(z.string(), z.unknown())),
        nextCursor: z.string().optional(),
      });
      // Two of each, so that there is a second page.
      await Promise.all([
        tokenOf(stack(), a?.adminToken ?? ''),
        keyOf(stack(), a?.adminToken ?? ''),
        ruleOf(stack(), a?.adminToken ?? ''),
        exceptionOf(stack(), a?.adminToken ?? '', 'CVE-2000-0002'),
        api.post('/v1/scans', aboutNothing('second-of-a')),
        api.post(`/v1/scans?digest=${digestOf('a')}`, trivyReport([])),
      ]);
      if (key === 'GET /v1/clusters') await registerCluster(stack(), `second-${Date.now()}`);
      const [own, others] = await Promise.all([
        api.get(`${list}?limit=200`, tokenOfB()),
        api.get(`${list}?limit=200`),
      ]);
      expect(others.text).toContain(ofA?.[parameter]);
      expect(own.status).toBe(200);
      const items = page.parse(own.json).items.map((item) => item[parameter]);
      const foreign = page.parse(others.json).items.map((item) => item[parameter]);
      expect(items.filter((item) => foreign.includes(item))).toEqual([]);

      const { nextCursor } = page.parse((await api.get(`${list}?limit=1`)).json);
      expect((await api.get(`${list}?limit=1&cursor=${nextCursor}`)).status).toBe(200);
      expect(await api.get(`${list}?limit=1&cursor=${nextCursor}`, tokenOfB())).toMatchObject({
        status: 400,
        json: { code: 'INVALID_CURSOR' },
      });
    });

    test('each is told its own tenant, and keeps its own image policy', async () => {
      const { api } = stack();
      expect(await api.get('/v1/me', tokenOfB())).toMatchObject({ json: { tenantId: b?.tenantId } });
      expect(await api.get('/v1/me')).toMatchObject({ json: { tenantId: a?.tenantId } });
      const before = (await api.get('/v1/image-policy')).json;
      const body = { warnAt: 1, failAt: 2 };
      expect((await api.send('PUT', '/v1/image-policy', { body, ...tokenOfB() })).status).toBe(200);
      expect((await api.get('/v1/image-policy', tokenOfB())).json).toMatchObject(body);
      expect((await api.get('/v1/image-policy')).json).toEqual(before);
    });

    test('each takes back what authors have said to it, not what they have said to the other', async () => {
      const { api } = stack();
      await Promise.all([
        statementOf(stack(), a?.adminToken ?? '', 'of-both'),
        statementOf(stack(), b?.adminToken ?? '', 'of-both'),
      ]);
      const ofBoth = '/v1/image-statements?author=of-both';
      expect((await api.send('DELETE', ofBoth, tokenOfB())).status).toBe(204);
      expect(withoutRequestId(await api.send('DELETE', ofBoth, tokenOfB()))).toEqual(notThere);
      expect((await api.get(ofBoth, tokenOfB())).json).toEqual({ items: [] });
      expect((await api.get(ofBoth)).json).toMatchObject({ items: [{ author: 'of-both' }] });
    });

    test.each(['csv', 'json'])(
      'each exports its own images only as %s, and takes no cursor of the other’s',
      async (format) => {
        const { api } = stack();
        const path = `/v1/images/export?format=${format}`;
        const [own, others] = await Promise.all([api.get(path, tokenOfB()), api.get(path)]);
        expect([own.text.includes(ofB?.digest ?? ''), own.text.includes(ofA?.digest ?? '')]).toEqual([
          true,
          false,
        ]);
        expect([others.text.includes(ofA?.digest ?? ''), others.text.includes(ofB?.digest ?? '')]).toEqual([
          true,
          false,
        ]);
        const { link } = (await api.get(`${path}&limit=1`)).headers;
        const [, next] = /^<export(\?.+)>; rel="next"$/.exec(String(link)) ?? [];
        expect((await api.get(`/v1/images/export${next}`)).status).toBe(200);
        expect((await api.get(`/v1/images/export${next}`, tokenOfB())).json).toMatchObject({
          code: 'INVALID_CURSOR',
        });
      },
    );

    test('each keeps its own admission policy, and is answered from its own images', async () => {
      const { api } = stack();
      const before = (await api.get('/v1/admission-policy')).json;
      const body = { exemptNamespaces: ['mine'], exemptImages: [], policies: [], unmatched: 'Reject' };
      expect((await api.send('PUT', '/v1/admission-policy', { body, ...tokenOfB() })).status).toBe(200);
      expect((await api.get('/v1/admission-policy', tokenOfB())).json).toEqual(body);
      expect((await api.get('/v1/admission-policy')).json).toEqual(before);

      const test = { images: [`alpine@${ofA?.digest}`], policy: { unmatched: 'Verdict' } };
      const status = async (options: object) =>
        (await api.post('/v1/admission-policy/tests', test, options)).json;
      expect(await status({})).toMatchObject({ images: [{ status: 'warn', digest: ofA?.digest }] });
      expect(await status(tokenOfB())).toMatchObject({ images: [{ status: 'unscanned' }] });
      const review = podReview(['new'], { namespace: 'mine' });
      const answered = await api.post('/v1/admission-reviews', review);
      expect(answered.json).toMatchObject({ response: { allowed: false } });
      const exempt = await api.post('/v1/admission-reviews', review, tokenOfB());
      expect(exempt.json).toMatchObject({ response: { allowed: true } });
    });

    test('a report for a digest that both have changes the image of its own tenant only', async () => {
      const { api } = stack();
      const before = (await api.get(`/v1/images/${alpineDigest}`)).json;
      const clean = trivyReport([]);
      for (const clusterId of [ofA?.clusterId ?? '', guessed.clusterId, malformed.clusterId]) {
        const from = `/v1/scans?digest=${alpineDigest}&cluster=${clusterId}`;
        const refused = await api.post(from, clean, tokenOfB());
        expect(refused).toMatchObject({ status: 404, json: { detail: 'There is no such cluster.' } });
      }
      expect((await api.post(`/v1/scans?digest=${alpineDigest}`, clean, tokenOfB())).status).toBe(201);
      expect((await api.get(`/v1/images/${alpineDigest}`, tokenOfB())).json).toMatchObject({
        verdict: 'pass',
      });
      expect((await api.get(`/v1/images/${alpineDigest}`)).json).toEqual(before);
    });

    test('each gets a bundle of its own images, and continues no other’s', async () => {
      const { api } = stack();
      const bundle = '/v1/admission-bundle';
      const own = await bundleIn(stack(), await api.get(bundle, tokenOfB()));
      const others = await bundleIn(stack(), await api.get(bundle));
      expect([own.sub, others.sub]).toEqual([b?.tenantId, a?.tenantId]);
      const digests = own.images.map(({ digest }) => digest);
      expect(digests).toContain(ofB?.digest);
      expect(others.images.map(({ digest }) => digest)).not.toContain(ofB?.digest);
      expect(await api.get(`${bundle}?since=${others.asOf}`, tokenOfB())).toMatchObject({
        status: 400,
        json: { code: 'INVALID_CURSOR' },
      });
    });

    test('a tenant named in a header, the query or the body changes nothing', async () => {
      const { api } = stack();
      const tenantId = a?.tenantId ?? '';
      const headers = { 'x-tenant-id': tenantId, 'x-amzn-tenant-id': tenantId };
      const named = await api.get(`/v1/me?tenantId=${tenantId}`, { headers, ...tokenOfB() });
      expect(named).toMatchObject({ status: 200, json: { tenantId: b?.tenantId } });
      const body = { clusterName: 'x', tenantId };
      expect(await api.post('/v1/registration-tokens', body, tokenOfB())).toMatchObject({ status: 400 });
    });

    test('a registration token registers with its own tenant, under a name that the other has, too', async () => {
      const { clusterId } = await registerCluster(stack(), 'same-name');
      const other = await registerCluster(stack(), 'same-name', b?.adminToken);
      expect(other.clusterId).not.toBe(clusterId);
      expect((await stack().api.get(`/v1/clusters/${other.clusterId}`)).status).toBe(404);
      expect((await stack().api.get(`/v1/clusters/${other.clusterId}`, tokenOfB())).status).toBe(200);
      // A cluster's own token opens that cluster's manifest, and no other of its tenant.
      const token = other.clusterToken;
      expect((await stack().api.get(`/v1/clusters/${other.clusterId}/manifest`, { token })).status).toBe(200);
      const sibling = await registerCluster(stack(), 'sibling', b?.adminToken);
      const refused = await stack().api.get(`/v1/clusters/${sibling.clusterId}/manifest`, { token });
      expect(withoutRequestId(refused)).toEqual(notThere);
    });

    const doors = [
      ...[
        'GET /api/v1/pods',
        'GET /api/v1/pods?watch=true',
        'GET /api',
        'GET /apis',
        'GET /apis/apps/v1/deployments',
      ],
      ...['GET /version', 'GET /openapi/v3', 'GET /openapi/v3/api/v1', 'GET /nothing'],
      ...['POST /api/v1/namespaces/default/configmaps', 'DELETE /api/v1/namespaces/shop/pods/x'],
      ...['PATCH /api/v1/namespaces/default', 'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews'],
    ];
    test.each(doors)(
      'on the access host, %s of another’s, a guessed, a gone and a malformed cluster is the same 404',
      async (door) => {
        const [method = '', rest = ''] = door.split(' ');
        const { access } = stack();
        const ids = [ofA, guessed, goneOfB, malformed].map((things) => things?.clusterId ?? '');
        for (const agent of ['curl/8', 'kubectl/v1.33.2 (linux/amd64) kubernetes/abc']) {
          const answers = await Promise.all(
            ids.map(async (id) => {
              const answer = await access.send(method, `/clusters/${id}${rest}`, {
                headers: { 'user-agent': agent },
                ...tokenOfB(),
              });
              const requestId = String(answer.headers['x-request-id']);
              return { status: answer.status, text: answer.text.replaceAll(requestId, 'ID') };
            }),
          );
          const [first] = answers;
          expect(first).toMatchObject({ status: 404, text: expect.stringContaining('NOT_FOUND') });
          expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
          expect(answers.map(({ status }) => status)).toEqual([404, 404, 404, 404]);
        }
      },
    );

    test('on the access host, its own cluster that is not connected is 503 with Retry-After', async () => {
      const { clusterId } = await registerCluster(stack(), 'unconnected', b?.adminToken);
      const answer = await stack().access.get(`/clusters/${clusterId}/api/v1/pods`, tokenOfB());
      expect(answer).toMatchObject({ status: 503, json: { code: 'CLUSTER_NOT_CONNECTED' } });
      expect(answer.headers['retry-after']).toBeDefined();
      await eventually('the other tenant finds it absent', 6_000, async () => {
        const { status } = await stack().access.get(`/clusters/${clusterId}/api/v1/pods`);
        return status === 404;
      });
    });
  });
}
