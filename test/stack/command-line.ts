/** `cattery` as a user has it: signs in at the running stack's issuer, and kubectl takes its tokens from there. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type ApiKeyIssued, apiKeyIssued, type ApiKeyView } from '../../core/credential/api-key-schema.ts';
import { browser } from '../local/identity-provider/browser.ts';
import { eventually } from './poll.ts';
import { type CommandResult, root, run, type Stack } from './stack.ts';

const script = path.join(root, 'cli', 'cattery.ts');
const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;

export function commandLine(stack: () => Stack): void {
  describe('cattery', () => {
    let home: string;
    const trusted = getCACertificates('default');
    beforeAll(async () => {
      home = path.join(stack().process.data, 'command-line');
      await mkdir(home, { recursive: true });
      setDefaultCACertificates([...trusted, stack().ca]);
      await login();
    });
    afterAll(() => setDefaultCACertificates(trusted));

    const environment = () => ({ HOME: home, CATTERY_CONFIG_DIR: path.join(home, 'config') });
    const cattery = (...given: string[]): Promise<CommandResult> =>
      run(process.execPath, [script, ...given], { cwd: home, environment: environment() });
    const kubectl = (more: Record<string, string>, ...given: string[]): Promise<CommandResult> =>
      run('kubectl', ['--kubeconfig', path.join(home, 'kubeconfig'), ...given], {
        cwd: home,
        environment: { ...environment(), ...more },
      });
    const sessionFile = () => path.join(home, 'config', 'session.json');
    const session = async () =>
      JSON.parse(await readFile(sessionFile(), 'utf8')) as { idToken: string; refreshToken: string };
    /** As if an hour had gone by since the sign-in. */
    const age = async () =>
      writeFile(sessionFile(), JSON.stringify({ ...(await session()), refreshAt: 1, expiresAt: 2 }));

    async function login(): Promise<void> {
      const { apiUrl, caFile } = stack().state;
      const given = ['login', '--no-browser', '--api-url', apiUrl, '--ca-file', caFile];
      const child = spawn(process.execPath, [script, ...given], {
        env: { PATH: process.env.PATH, ...environment() },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      let said = '';
      const ended = once(child, 'close');
      child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
      const address = () => /https:\S+\n/.exec(said)?.[0].trim();
      await eventually(
        () => `login prints where to sign in; it said ${said}`,
        20_000,
        () => Boolean(address()),
      );
      const page = browser();
      const next = (answered: Response) => answered.headers.get('location') ?? '';
      const url = address() ?? '';
      const form = new URL(next(await page.get(url)), url).href;
      const resume = next(await page.post(form, { email: 'owner@demo.example' }));
      const last = await page.get(next(await page.get(resume)));
      expect(await last.text()).toContain('You may close this page');
      expect([await ended, said]).toEqual([
        [0, null],
        expect.stringContaining('Signed in as owner@demo.example'),
      ]);
    }

    test('signs in, lists the clusters with their states, and says who one is', async () => {
      const { stdout } = await cattery('clusters', '-o', 'json');
      expect(JSON.parse(stdout)).toMatchObject({
        items: expect.arrayContaining([
          expect.objectContaining({ clusterId: stack().demoClusterId, state: 'connected' }),
        ]),
      });
      expect(JSON.parse((await cattery('whoami', '-o', 'json')).stdout)).toMatchObject({
        tenantId: stack().state.tenantId,
        principal: 'user:owner@demo.example',
      });
    });

    test('gives a token that the access host takes, an hour later, too', async () => {
      const reach = async () => {
        const { stdout } = await cattery('token');
        const { token } = (JSON.parse(stdout) as { status: { token: string } }).status;
        return (await stack().access.get(`/clusters/${stack().demoClusterId}/api/v1/pods`, { token })).status;
      };
      expect(await reach()).toBe(200);
      const { refreshToken } = await session();
      await age();
      expect(await reach()).toBe(200);
      expect((await session()).refreshToken).not.toBe(refreshToken);
    });

    (hasKubectl ? test : test.skip)(
      'kubectl works through its kubeconfig, an hour later without a new sign-in, and with an API key until that is deleted',
      async () => {
        const file = path.join(home, 'kubeconfig');
        const written = await cattery('kubeconfig', stack().demoClusterId, '--output', file);
        expect(written).toMatchObject({ code: 0 });
        const pods = ['get', 'pods', '-n', 'shop', '-o', 'name'] as const;
        expect(await kubectl({}, ...pods)).toMatchObject({
          code: 0,
          stdout: expect.stringContaining('pod/'),
        });
        await age();
        const several = await Promise.all([1, 2, 3].map(() => kubectl({}, ...pods)));
        for (const each of several) expect(each).toMatchObject({ code: 0 });

        const scopes = ['--scope', 'clusters:read', 'clusters:access'];
        const made = await cattery('api-key', 'create', 'robot', '-o', 'json', ...scopes);
        const { key, keyId } = JSON.parse(made.stdout) as { key: string; keyId: string };
        const robot = { CATTERY_API_KEY: key, CATTERY_CONFIG_DIR: path.join(home, 'none') };
        expect(await kubectl(robot, ...pods)).toMatchObject({ code: 0 });
        expect(await cattery('api-key', 'delete', keyId)).toMatchObject({ code: 0 });
        // 5 s, and what a busy machine adds to them.
        await eventually('the deleted key is refused', 8_000, async () => {
          const { status } = await stack().access.get(`/clusters/${stack().demoClusterId}/api/v1/pods`, {
            token: key,
          });
          return status === 401 && (await stack().api.get('/v1/me', { token: key })).status === 401;
        });
        expect((await kubectl(robot, ...pods)).code).not.toBe(0);
      },
      60_000,
    );

    test('an API key is rotated: a second one of its name works beside it, and the first no more within 5 s of its deletion', async () => {
      const create = async () => {
        const given = ['api-key', 'create', 'rotated', '--scope', 'clusters:read', '-o', 'json'];
        return apiKeyIssued.parse(JSON.parse((await cattery(...given)).stdout));
      };
      const lists = async () =>
        (JSON.parse((await cattery('api-key', 'list', '-o', 'json')).stdout) as { items: ApiKeyView[] })
          .items;
      const lastUse = async ({ keyId }: ApiKeyIssued) =>
        (await lists()).find((key) => key.keyId === keyId)?.lastUsedOn;
      const onApi = async ({ key: token }: ApiKeyIssued) =>
        (await stack().api.get('/v1/me', { token })).status;
      const onAccess = async ({ key: token }: ApiKeyIssued) =>
        (await stack().access.get(`/clusters/${stack().demoClusterId}/version`, { token })).status;
      const today = [new Date().toISOString().slice(0, 10)];

      const first = await create();
      expect(await onApi(first)).toBe(200);
      const second = await create();
      expect(await lastUse(second)).toBeUndefined();
      // The access side notes it without holding the request up.
      expect([await onAccess(second), await onApi(first)]).toEqual([200, 200]);
      await eventually('its use is noted', 5_000, async () => (await lastUse(second)) !== undefined);
      today.push(new Date().toISOString().slice(0, 10));
      expect(today).toContain(await lastUse(first));
      expect(today).toContain(await lastUse(second));

      expect(await cattery('api-key', 'delete', first.keyId)).toMatchObject({ code: 0 });
      // 5 s, and what a busy machine adds to them.
      await eventually('the first is refused', 8_000, async () => (await onApi(first)) === 401);
      expect([await onApi(second), await onAccess(second)]).toEqual([200, 200]);
      expect((await lists()).map(({ keyId }) => keyId)).not.toContain(first.keyId);
    }, 60_000);

    test('after logout says to sign in, with 3', async () => {
      expect(await cattery('logout')).toMatchObject({ code: 0 });
      expect(await cattery('token')).toMatchObject({
        code: 3,
        stderr: expect.stringContaining('cattery login'),
      });
    });
  });
}
