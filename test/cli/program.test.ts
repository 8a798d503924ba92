import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { ProblemCode } from '../../core/problem/problem.ts';
import { apiKey, clusterNamed, type FakeDeployment, fakeDeployment, Laptop } from './fixture.ts';

let deployment: FakeDeployment;
let laptop: Laptop;
beforeAll(async () => {
  deployment = await fakeDeployment();
});
afterAll(() => deployment.close());
beforeEach(async () => {
  laptop = await Laptop.of();
  deployment.requests.length = 0;
  Object.assign(laptop.env, { CATTERY_API_URL: deployment.apiUrl, CATTERY_API_KEY: apiKey });
});
afterEach(() => laptop.remove());

describe('cattery clusters', () => {
  test('prints a table of all pages, by name, with states', async () => {
    const { out } = await laptop.ok('clusters');
    const [heading, ...rows] = out
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/));
    expect(heading).toEqual(['NAME', 'ID', 'STATE', 'SINCE', 'KUBERNETES', 'CALICO', 'NODES', 'CERTIFICATE']);
    expect(rows.map(([name, , state, , , , , certificate]) => [name, state, certificate])).toEqual([
      ['shop', 'connected', '398 days'],
      ['stock', 'connected', '398 days'],
    ]);
  });

  test('-o json prints what the API has, for programs', async () => {
    const { out } = await laptop.ok('clusters', '-o', 'json');
    expect(JSON.parse(out)).toEqual({ items: [clusterNamed('shop', 'a'), clusterNamed('stock', 'b')] });
  });

  test('says so when there are none, and shows no control characters of others', async () => {
    const [first] = deployment.clusters;
    const kept = deployment.clusters.splice(0);
    try {
      deployment.clusters.push({ ...clusterNamed('x\u001b[2J', 'c') });
      expect((await laptop.ok('clusters')).out).not.toContain('\u001b');
    } finally {
      deployment.clusters.splice(0, 1, ...kept);
    }
    expect(deployment.clusters[0]).toBe(first);
  });
});

describe('cattery api-key', () => {
  test('create prints the key alone to standard output, what it is to the other', async () => {
    const { out, err } = await laptop.ok('api-key', 'create', 'ci', '--scope', 'scans:write', '--ttl', '30d');
    expect(out).toBe('cak_shown-once\n');
    expect(err).toContain('kkkkkkkkkkkkkkkk, until 2027-02-21T08:00:00.000Z: scans:write');
    expect(err).not.toContain('cak_');
    const [{ line, body }] = deployment.requests.slice(-1) as [{ line: string; body: string }];
    expect(line).toBe('POST /v1/api-keys');
    expect(JSON.parse(body)).toEqual({ name: 'ci', scopes: ['scans:write'], ttlSeconds: 30 * 86_400 });
    const asJson = await laptop.ok('api-key', 'create', 'ci', '-o', 'json');
    expect(JSON.parse(asJson.out)).toMatchObject({ key: 'cak_shown-once' });
    expect(JSON.parse(deployment.requests.at(-1)?.body ?? '')).toEqual({ name: 'ci' });
  });

  test.each(['1w', '-1d', '1.5h', '', 'd'])('create with --ttl=%s is wrong usage: 2', async (ttl) => {
    expect((await laptop.cattery('api-key', 'create', 'ci', `--ttl=${ttl}`)).code).toBe(2);
  });

  test('list shows them without secrets, delete deletes by ID and names one that is not there: 1', async () => {
    const { out: listed } = await laptop.ok('api-key', 'list');
    expect(listed).toMatch(/^ID +NAME +STATE +AGE +ENDS +LAST USED +BY +SCOPES$/m);
    expect(listed).toMatch(/k{16} +ci +active .* +2026-11-23 +user:a +scans:write/);
    expect(listed).toMatch(/n{16} +new +active .* +- +user:a +scans:write/);
    expect(JSON.parse((await laptop.ok('api-key', 'list', '-o', 'json')).out)).toMatchObject({
      items: [{ name: 'ci', lastUsedOn: '2026-11-23' }, { name: 'new' }],
    });
    await laptop.ok('api-key', 'delete', 'k'.repeat(16));
    expect(deployment.requests.at(-1)?.line).toBe(`DELETE /v1/api-keys/${'k'.repeat(16)}`);
    const { code, err } = await laptop.cattery('api-key', 'delete', '../clusters');
    expect([code, err]).toEqual([1, 'There is no such thing. [NOT_FOUND, request request-7]\n']);
    expect(deployment.requests.at(-1)?.line).toBe('DELETE /v1/api-keys/..%2Fclusters');
  });
});

describe('cattery registration-token create', () => {
  test('prints the token alone to standard output, what it is to the other; a name binds it', async () => {
    const { out, err } = await laptop.ok('registration-token', 'create', 'shop', '--ttl', '30m');
    expect(out).toBe('crt_shown-once\n');
    expect(err).toBe(`Token ${'t'.repeat(16)}, until 2026-11-23T09:00:00.000Z. It is not shown again:\n`);
    expect(deployment.requests.at(-1)).toEqual({
      line: 'POST /v1/registration-tokens',
      body: '{"clusterName":"shop","ttlSeconds":1800}',
    });
    const asJson = await laptop.ok('registration-token', 'create', '-o', 'json');
    expect(JSON.parse(asJson.out)).toMatchObject({ token: 'crt_shown-once' });
    expect(deployment.requests.at(-1)?.body).toBe('{}');
  });
});

describe('cattery whoami', () => {
  test('tells principal, tenant, scopes and API', async () => {
    expect((await laptop.ok('whoami')).out).toContain('principal: api-key:fake\n');
    expect(JSON.parse((await laptop.ok('whoami', '-o', 'json')).out)).toEqual({
      tenantId: 't-aaaaaaaaaaaaaaaaaaaa',
      principal: 'api-key:fake',
      scopes: ['clusters:read'],
      apiUrl: deployment.apiUrl,
    });
  });
});

describe('exit codes', () => {
  test.each<[ProblemCode, number]>([
    ['UNAUTHENTICATED', 3],
    ['NOT_A_MEMBER', 4],
    ['ACCESS_DENIED', 4],
    ['INVALID_CURSOR', 1],
    ['INTERNAL', 1],
    ['TOO_MANY_REQUESTS', 5],
    ['UNAVAILABLE', 5],
    ['TIMEOUT', 5],
  ])('%s of the API ends with %d, in one line with code and request ID', async (problem, code) => {
    deployment.failNext = problem;
    const result = await laptop.cattery('clusters');
    expect([result.code, result.out]).toEqual([code, '']);
    expect(result.err).toMatch(new RegExp(String.raw`^[A-Z].*\. \[${problem}, request request-7\].*\n$`));
    expect(result.err).not.toContain(apiKey);
  });

  test.each([
    [[]],
    [['unknown']],
    [['clusters', '--unknown']],
    [['clusters', 'extra']],
    [['clusters', '-o', 'yaml']],
    [['kubeconfig']],
    [['api-key']],
    [['api-key', 'create']],
  ])('wrong usage ends with 2 and says what is wrong: cattery %j', async (given) => {
    const { code, out, err } = await laptop.cattery(...given);
    expect([code, out]).toEqual([2, '']);
    expect(err).not.toBe('');
    expect(deployment.requests).toEqual([]);
  });

  test('without a sign-in 3, and without a deployment 2', async () => {
    delete laptop.env.CATTERY_API_KEY;
    expect(await laptop.cattery('clusters')).toMatchObject({
      code: 3,
      err: expect.stringContaining('cattery login'),
    });
    delete laptop.env.CATTERY_API_URL;
    expect(await laptop.cattery('clusters')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--api-url'),
    });
  });

  test('a key that no request can carry is 2, one that the API does not know 3; neither is shown', async () => {
    laptop.env.CATTERY_API_KEY = 'cak_sec\u0000ret';
    const impossible = await laptop.cattery('clusters');
    expect(impossible).toMatchObject({ code: 2, err: 'What CATTERY_API_KEY holds is no API key.\n' });
    laptop.env.CATTERY_API_KEY = 'cak_secret';
    const unknown = await laptop.cattery('clusters');
    expect(unknown).toMatchObject({
      code: 3,
      err: expect.stringContaining('The key in CATTERY_API_KEY is none'),
    });
    expect(unknown.err).not.toMatch(/cak_|cattery login/);
  });

  test('something that is not this API is 1, in words', async () => {
    laptop.env.CATTERY_API_URL = `${deployment.apiUrl}/elsewhere`;
    expect(await laptop.cattery('clusters')).toMatchObject({ code: 1 });
  });
});

describe('--help', () => {
  test.each([
    [[], ['login', 'kubeconfig', 'api-key', 'Exit codes', '--api-url']],
    [['login'], ['--no-browser', '27180', '--ca-file']],
    [['kubeconfig'], ['--merge', 'Examples', '--api-url']],
    [
      ['api-key', 'create'],
      ['--scope', '--ttl', 'Examples'],
    ],
    [['clusters'], ['-o, --format', 'jq']],
  ])('of %j ends with 0 and teaches', async (command, says) => {
    const { code, out } = await laptop.cattery(...command, '--help');
    expect(code).toBe(0);
    for (const text of says) expect(out).toContain(text);
  });
});
