import { chmod, lstat, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { apiKey, type FakeDeployment, fakeDeployment, Laptop } from './fixture.ts';

type Kubeconfig = {
  clusters: { name: string; cluster: Record<string, string> }[];
  contexts: { name: string; context: Record<string, string> }[];
  users: { name: string; user: { exec: Record<string, unknown> } }[];
  'current-context': string;
};

describe('cattery kubeconfig', () => {
  let deployment: FakeDeployment;
  let laptop: Laptop;
  beforeAll(async () => {
    deployment = await fakeDeployment();
  });
  afterAll(() => deployment.close());
  beforeEach(async () => {
    laptop = await Laptop.of();
    Object.assign(laptop.env, { CATTERY_API_URL: deployment.apiUrl, CATTERY_API_KEY: apiKey });
  });
  afterEach(() => laptop.remove());

  const at = (...names: string[]) => path.join(laptop.home, ...names);
  const read = async (file: string) => parse(await readFile(file, 'utf8')) as Kubeconfig;
  const idOf = (letter: string) => `c-${letter.repeat(20)}`;

  test('prints one for clusters by name or ID: their address and CA, and cattery as the plugin; no secret', async () => {
    const { out } = await laptop.ok('kubeconfig', 'shop', idOf('b'), 'shop');
    const config = parse(out) as Kubeconfig;
    const user = `cattery@${new URL(deployment.apiUrl).host}`;
    expect(config.contexts).toEqual([
      { name: 'cattery/shop', context: { cluster: idOf('a'), user } },
      { name: 'cattery/stock', context: { cluster: idOf('b'), user } },
    ]);
    expect(config['current-context']).toBe('cattery/shop');
    expect(config.clusters[0]).toEqual({
      name: idOf('a'),
      cluster: {
        server: `https://access.example/clusters/${idOf('a')}`,
        'certificate-authority-data': 'Q0E=',
      },
    });
    expect(config.users).toEqual([
      {
        name: user,
        user: {
          exec: {
            apiVersion: 'client.authentication.k8s.io/v1',
            command: 'cattery',
            args: ['token', '--api-url', deployment.apiUrl],
            env: [],
            installHint: expect.stringContaining('docs/cli.md'),
            interactiveMode: 'IfAvailable',
            provideClusterInfo: false,
          },
        },
      },
    ]);
    expect(out).not.toContain(apiKey);
    expect(out).not.toContain('never run');
  });

  test('tells the plugin where the sign-in is kept when that is no usual place', async () => {
    laptop.env.CATTERY_CONFIG_DIR = at('elsewhere');
    const { users } = parse((await laptop.ok('kubeconfig', 'shop')).out) as Kubeconfig;
    expect(users[0]?.user.exec.env).toEqual([{ name: 'CATTERY_CONFIG_DIR', value: at('elsewhere') }]);
  });

  test('of a cluster that is not there ends with 1 and says which are', async () => {
    const { code, out, err } = await laptop.cattery('kubeconfig', 'shop', 'shpo');
    expect([code, out]).toEqual([1, '']);
    expect(err).toBe('There is no cluster shpo. There are: shop, stock.\n');
  });

  test('--merge makes ~/.kube/config, 0600, where there is none', async () => {
    const { out, err } = await laptop.ok('kubeconfig', 'shop', '--merge');
    expect(out).toBe('');
    expect(err).toContain('kubectl --context cattery/shop get pods -A');
    expect((await stat(at('.kube', 'config'))).mode & 0o777).toBe(0o600);
    expect((await read(at('.kube', 'config')))['current-context']).toBe('cattery/shop');
    expect(await readdir(at('.kube'))).toEqual(['config']);
  });

  test('--merge changes the first file of KUBECONFIG that exists, through its link, and takes others’ rights off it', async () => {
    await writeFile(at('real'), 'kind: Config\ncurrent-context: home\n', { mode: 0o644 });
    await symlink(at('real'), at('link'));
    laptop.env.KUBECONFIG = [at('absent'), at('link'), at('third')].join(path.delimiter);
    await laptop.ok('kubeconfig', 'shop', '--merge');
    expect((await lstat(at('link'))).isSymbolicLink()).toBe(true);
    expect((await stat(at('real'))).mode & 0o777).toBe(0o600);
    expect((await read(at('real')))['current-context']).toBe('home');
    await laptop.ok('kubeconfig', 'stock', '--merge', '--use');
    const config = await read(at('real'));
    expect(config['current-context']).toBe('cattery/stock');
    expect(config.contexts.map(({ name }) => name)).toEqual(['cattery/shop', 'cattery/stock']);
  });

  test('--output writes a file of its own; with --merge it merges into that', async () => {
    await laptop.ok('kubeconfig', 'shop', '--output', at('own.yaml'));
    await laptop.ok('kubeconfig', 'stock', '--output', at('own.yaml'), '--merge');
    expect((await read(at('own.yaml'))).contexts).toHaveLength(2);
    await laptop.ok('kubeconfig', 'stock', '--output', at('own.yaml'));
    expect((await read(at('own.yaml'))).contexts).toHaveLength(1);
  });

  test('merged by many at once loses no entry', async () => {
    await Promise.all(
      ['shop', 'stock', 'shop', 'stock'].map((name) => laptop.ok('kubeconfig', name, '--merge')),
    );
    const { contexts } = await read(at('.kube', 'config'));
    expect(contexts.map(({ name }) => name).sort()).toEqual(['cattery/shop', 'cattery/stock']);
  });

  test('leaves a file that is no kubeconfig, or cannot be written, as it was: 1', async () => {
    await mkdir(at('.kube'));
    await writeFile(at('.kube', 'config'), 'clusters: [\n');
    const { code, err } = await laptop.cattery('kubeconfig', 'shop', '--merge');
    expect([code, err]).toEqual([1, expect.stringContaining('cannot be changed without harm')]);
    expect(await readFile(at('.kube', 'config'), 'utf8')).toBe('clusters: [\n');
    expect(await readdir(at('.kube'))).toEqual(['config']);
    await writeFile(at('file'), '');
    await chmod(at('file'), 0o600);
    expect((await laptop.cattery('kubeconfig', 'shop', '--output', at('file', 'config'))).code).toBe(1);
  });
});
