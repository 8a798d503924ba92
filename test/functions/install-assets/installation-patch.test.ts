import { describe, expect, test } from '@jest/globals';
import { readdirSync } from 'node:fs';
import type { Dependencies } from '../../../functions/install-assets/deps.ts';
import { handlers } from '../../../functions/install-assets/routes.ts';
import { caller } from '../api-call.ts';
import { crd } from './calico-crd.ts';
import { addresses, identity } from './deployment.ts';

/** This route has no effects: whatever it reached for would throw. */
const none = new Proxy({}, { get: (_, name) => expect(`nothing, but ${String(name)}`).toBe('nothing') });
const call = caller('install-assets', handlers({ ...none, addresses, identity } as unknown as Dependencies));
const ask = (query: Record<string, string>, headers = {}) =>
  call({ path: '/v1/install/installation-patch', query, headers });

const everything = {
  registry: 'registry.example:5000',
  imagePath: 'mirror/calico',
  imagePullSecret: 'registry-login',
  httpProxy: 'http://proxy.example:3128',
  httpsProxy: 'http://[fd00::7]:3128',
  noProxy: '.svc,.cluster.local,10.96.0.0/12,192.168.0.0/16,fd00::/8',
};

describe('GET /v1/install/installation-patch', () => {
  test('answers a merge patch of what was asked, the registry with the slash that the CRD wants', async () => {
    const answer = await ask(everything);
    expect([answer.status, answer.headers['Content-Type']]).toEqual([200, 'application/merge-patch+json']);
    expect(answer.json()).toEqual({
      spec: {
        registry: 'registry.example:5000/',
        imagePath: 'mirror/calico',
        imagePullSecrets: [{ name: 'registry-login' }],
        proxy: {
          httpProxy: 'http://proxy.example:3128',
          httpsProxy: 'http://[fd00::7]:3128',
          noProxy: '.svc,.cluster.local,10.96.0.0/12,192.168.0.0/16,fd00::/8',
        },
      },
    });
  });

  const versions = readdirSync(new URL('../../fixtures/calico/', import.meta.url)).flatMap(
    (name) => /^installation-(.*)\.json$/.exec(name)?.[1] ?? [],
  );
  test.each(versions)('fits the Installation CRD of Calico %s', async (version) => {
    const judged = crd('installation', version);
    const { spec } = (await ask(everything)).json() as { spec: Record<string, unknown> };
    expect(judged({ apiVersion: 'operator.tigera.io/v1', kind: 'Installation', spec })).toBe(true);
    // The schema does judge.
    expect(judged({ spec: { ...spec, imagePullSecrets: [{ secret: 'x' }] } })).not.toBe(true);
    expect(judged({ spec: { ...spec, proxy: { httpsproxy: 'x' } } })).not.toBe(true);
  });
  test('is tried with three releases', () => expect(versions).toHaveLength(3));

  test.each(Object.keys(everything).filter((name) => !name.endsWith('Proxy') || name === 'noProxy'))(
    'names nothing but %s where only that was asked, so that the rest stays as it is',
    async (name) => {
      const value = everything[name as keyof typeof everything];
      const { spec } = (await ask({ [name]: value })).json() as { spec: Record<string, unknown> };
      expect(Object.keys(spec)).toHaveLength(1);
      expect(JSON.stringify(spec)).toContain(value);
    },
  );
  test('changes nothing when nothing was asked', async () => {
    expect((await ask({})).json()).toEqual({ spec: {} });
  });

  test.each([
    [
      'registry',
      [
        'https://registry.example',
        'registry.example/',
        'registry.example/path',
        'Registry.example',
        '',
        '-a',
        'a..b',
        'a:b',
        'a b',
        `a.example"`,
      ],
    ],
    ['imagePath', ['/calico', 'calico/', 'a//b', 'Calico', '', '../x', 'calico:v1', 'a b']],
    ['imagePullSecret', ['Login', 'a_b', '', 'a/b', '-a', 'x'.repeat(254)]],
    ['noProxy', ['.svc .local', '.svc,,.local', '', 'a"b', 'a,']],
  ])('refuses what cannot be a %s with 400 INVALID_REQUEST, and names it', async (name, values) => {
    for (const value of values) {
      const answer = await ask({ [name]: value });
      expect([value, answer.status, answer.json().code]).toEqual([value, 400, 'INVALID_REQUEST']);
      const errors = answer.json().errors as { path: string }[];
      expect(new Set(errors.map(({ path }) => path))).toEqual(new Set([`/${name}`]));
    }
  });

  test.each([
    'proxy.example:3128',
    'socks5://proxy.example:1080',
    'ftp://proxy.example',
    'http://',
    'http://proxy.example:3128/path',
    'http://proxy.example:3128/?a=b',
    'http://proxy.example:99999',
    'http://proxy.example:3128\n',
    ' http://proxy.example:3128',
    '',
  ])('refuses %j as a proxy', async (httpsProxy) => {
    const answer = await ask({ httpsProxy, noProxy: '.svc' });
    expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
    expect(answer.json().errors).toMatchObject([{ path: '/httpsProxy' }]);
  });

  test.each([
    'http://user:pa55word@proxy.example:3128',
    'http://pa55word@proxy.example',
    'http://:pa55word@proxy.example',
  ])('refuses a proxy with a password, says what to do, and does not repeat it', async (httpProxy) => {
    const answer = await ask({ httpProxy, noProxy: '.svc' });
    expect(answer.status).toBe(400);
    expect(answer.json().errors).toMatchObject([
      { path: '/httpProxy', message: expect.stringContaining('without a password before it') },
    ]);
    expect(answer.text).not.toContain('pa55word');
  });

  test('refuses a proxy without exceptions, which would stand between Calico and its own API server', async () => {
    const answer = await ask({ httpsProxy: 'http://proxy.example:3128' });
    expect(answer.json().errors).toMatchObject([
      { path: '/noProxy', message: expect.stringContaining('.svc,.cluster.local,<service network>') },
    ]);
  });

  test('refuses a misspelt parameter rather than leaving it out', async () => {
    const answer = await ask({ imagepath: 'calico' });
    expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
    expect(answer.text).toContain('imagepath');
  });

  test('may be cached, and answers 304 to whoever has it', async () => {
    const first = await ask(everything);
    expect(first.headers['Cache-Control']).toContain('public');
    const again = await ask(everything, { 'If-None-Match': first.headers.ETag });
    expect([again.status, again.text]).toEqual([304, '']);
    expect((await ask({}, { 'If-None-Match': first.headers.ETag })).status).toBe(200);
  });
});
