import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { ApiAnswer, ApiClient } from '../../../local/stack/api-client.ts';
import { demoClusterName, type DemoCluster, startDemoCluster } from '../../../local/stack/demo.ts';

/** The API as far as the starting of the demo cluster asks; its process itself finds nobody at `apiUrl`. */
class FakeApi implements ApiClient {
  readonly asked: string[] = [];
  readonly posted: unknown[] = [];
  token: ApiAnswer = { status: 201, body: { token: 'crt_fresh' } };
  /** What it says about a cluster, by ID. */
  readonly clusters = new Map<string, ApiAnswer>();
  /** Runs once a token was asked for: what the demo cluster's process would do with it. */
  onToken: () => Promise<void> = () => Promise.resolve();

  get(url: string): Promise<ApiAnswer> {
    this.asked.push(url);
    const clusterId = url.replace('/v1/clusters/', '');
    return Promise.resolve(this.clusters.get(clusterId) ?? { status: 404, body: {} });
  }
  async post(url: string, body: unknown): Promise<ApiAnswer> {
    this.asked.push(url);
    this.posted.push(body);
    await this.onToken();
    return this.token;
  }
}

const since = (text: string): ApiAnswer => ({ status: 200, body: { state: 'connected', since: text } });
const connected = since('2999-01-01T00:00:00.000Z');

describe('starting the demo cluster', () => {
  let directory: string;
  let own: string;
  let api: FakeApi;
  let demo: DemoCluster | undefined;

  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'demo-'));
    own = path.join(directory, 'demo-cluster');
    await mkdir(path.join(directory, 'logs'));
    await writeFile(path.join(directory, 'ca.pem'), '');
    api = new FakeApi();
  });
  afterEach(async () => {
    await demo?.stop();
    demo = undefined;
    await rm(directory, { recursive: true });
  });

  const start = async () => {
    demo = await startDemoCluster({
      directory,
      apiUrl: 'https://127.0.0.1:1',
      tunnelAddress: '127.0.0.1:1',
      caFile: path.join(directory, 'ca.pem'),
      api,
      onExit: () => undefined,
    });
    return demo;
  };
  const registered = async (clusterId: string) => {
    await mkdir(own, { recursive: true });
    await writeFile(path.join(own, 'registration.json'), JSON.stringify({ clusterId }));
  };
  const tokenFile = () => path.join(own, 'registration-token');

  test('the first time it gets a token bound to its name, kept with 0600, and waits until the tunnel is up', async () => {
    api.clusters.set('c-new', { status: 200, body: { state: 'pending', since: '2026-01-01T00:00:00.000Z' } });
    api.onToken = async () => {
      await registered('c-new');
      setTimeout(() => api.clusters.set('c-new', connected), 250);
    };
    expect((await start()).clusterId).toBe('c-new');
    expect(api.posted).toEqual([{ clusterName: demoClusterName, ttlSeconds: 86_400 }]);
    expect(await readFile(tokenFile(), 'utf8')).toBe('crt_fresh');
    expect((await stat(tokenFile())).mode & 0o777).toBe(0o600);
    expect(api.asked.filter((url) => url === '/v1/clusters/c-new').length).toBeGreaterThan(1);
  });

  test('a registration that still holds is used again: no token', async () => {
    await registered('c-known');
    api.clusters.set('c-known', connected);
    expect((await start()).clusterId).toBe('c-known');
    expect(api.posted).toEqual([]);
  });

  test('a tunnel of before this start does not count as up', async () => {
    await registered('c-known');
    api.clusters.set('c-known', since('2026-01-01T00:00:00.000Z'));
    setTimeout(() => api.clusters.set('c-known', connected), 250);
    await start();
    expect(api.asked.filter((url) => url === '/v1/clusters/c-known').length).toBeGreaterThan(2);
  });

  test('one that was disconnected is forgotten with its key, and the cluster registers anew', async () => {
    await registered('c-gone');
    await writeFile(path.join(own, 'key.pem'), 'the old key');
    api.clusters.set('c-new', connected);
    api.onToken = async () => {
      expect(await readdir(own)).toEqual([]);
      await registered('c-new');
    };
    expect((await start()).clusterId).toBe('c-new');
  });

  test.each([500, 503, 401])(
    'when the API answers %i, the registration and its key are kept',
    async (status) => {
      await registered('c-known');
      api.clusters.set('c-known', { status, body: {} });
      await expect(start()).rejects.toThrow(`whether the demo cluster is registered (${status})`);
      expect(await readdir(own)).toEqual(['registration.json']);
    },
  );

  test('a registration that was cut short goes on with the same token', async () => {
    await mkdir(own);
    await writeFile(tokenFile(), 'crt_begun');
    api.clusters.set('c-new', connected);
    setTimeout(() => void registered('c-new'), 100);
    expect((await start()).clusterId).toBe('c-new');
    expect([api.posted, await readFile(tokenFile(), 'utf8')]).toEqual([[], 'crt_begun']);
  });

  test('a token whose time is nearly over is replaced', async () => {
    await mkdir(own);
    await writeFile(tokenFile(), 'crt_old');
    const then = Date.now() / 1000 - 86_400 + 500;
    await utimes(tokenFile(), then, then);
    api.clusters.set('c-new', connected);
    api.onToken = () => registered('c-new');
    await start();
    expect(await readFile(tokenFile(), 'utf8')).toBe('crt_fresh');
  });

  test('without a token it does not start, and says what the API answered', async () => {
    api.token = { status: 403, body: { code: 'ACCESS_DENIED' } };
    await expect(start()).rejects.toThrow('The API gives no registration token (403).');
    expect(await readdir(own)).toEqual([]);
  });
});
