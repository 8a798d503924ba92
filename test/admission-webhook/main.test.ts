import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../stack/poll.ts';
import { apiKey, ControlPlane, scanned, tenantId } from './control-plane.ts';
import { freshlyApplied } from './kube-player.ts';
import { startKubeServer } from './kube-server.ts';
import type { ApiServer } from './kubernetes/api-server.ts';
import { webhookEnvironment, WebhookProcess } from './webhook-process.ts';

let directory: string;
let plane: ControlPlane;
let kube: ApiServer;
let environment: Readonly<Record<string, string>>;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'cattery-webhook-main-'));
  plane = await ControlPlane.start();
  plane.scan(scanned('good', 'pass'));
  kube = await startKubeServer(freshlyApplied());
  environment = await webhookEnvironment({
    ...{ directory, kubeUrl: kube.url, accountDirectory: kube.accountDirectory },
    ...{ apiUrl: plane.url, tenantId, apiKey, keys: plane.keys },
  });
});
afterAll(async () => {
  await plane.stop();
  await kube.close();
  await rm(directory, { recursive: true, force: true });
});

describe('the process', () => {
  test('starts with the environment of its manifest, becomes ready, and leaves at once on a second signal', async () => {
    const webhook = new WebhookProcess(environment);
    await webhook.ready();
    webhook.signal('SIGTERM');
    await eventually('it stops', 10_000, () => webhook.output.includes('"event":"stopping"'));
    expect(await webhook.internal('/readyz')).toEqual({ status: 503, text: 'stopping\n' });
    webhook.signal('SIGTERM');
    expect(await webhook.exit()).toBe(1);
    // Neither the key nor anything of its TLS is in the log.
    expect(webhook.output).not.toMatch(/cak_|PRIVATE KEY/);
  }, 60_000);

  test('asks for bundles through a proxy where there is one, and the Kubernetes API directly', async () => {
    const asked: string[] = [];
    const proxy = createServer();
    proxy.on('connect', (incoming, socket) => {
      asked.push(incoming.url ?? '');
      const { hostname, port } = new URL(`http://${incoming.url}`);
      const onward = connect(Number(port), hostname, () => {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        socket.pipe(onward).pipe(socket);
      });
      for (const each of [socket, onward])
        each.on('error', () => [socket, onward].map((one) => one.destroy()));
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    // The manifest sets the second; this control plane is one over plain HTTP, for which it is the first.
    const proxied = { HTTP_PROXY: url, HTTPS_PROXY: url, NODE_USE_ENV_PROXY: '1' };
    // With nothing on its disk it is not ready before it has asked.
    const disk = { DATA_DIRECTORY: path.join(directory, 'empty') };
    const webhook = new WebhookProcess({ ...environment, ...disk, ...proxied });
    await webhook.ready();
    await webhook.kill();
    proxy.close();
    expect(new Set(asked)).toEqual(new Set([new URL(plane.url).host]));
  }, 60_000);

  test.each([
    ['TENANT_ID', 'acme'],
    ['API_URL', 'nowhere'],
    ['TLS_NAMES', ''],
    ['TLS_NAMES', 'a b'],
    ['NAMESPACE', '../x'],
    ['REVIEW_PORT', '70000'],
  ])(
    'ends with 1 when %s is %j, and says so',
    async (name, value) => {
      const webhook = new WebhookProcess({ ...environment, [name]: value });
      expect(await webhook.exit()).toBe(1);
      await eventually('it says so', 5_000, () => webhook.output.includes(name));
    },
    30_000,
  );
});
