import { afterEach, describe, expect, test } from '@jest/globals';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import { type KubeApi, kubeApi } from '../../../admission-webhook/kubernetes/kube-api.ts';
import { type ApiServer, startApiServer } from './api-server.ts';

let server: ApiServer | undefined;
let api: (KubeApi & { close: () => void }) | undefined;
let now = 0;
afterEach(async () => {
  api?.close();
  await server?.close();
});

const start = async (serve: (incoming: IncomingMessage, outgoing: ServerResponse, body: string) => void) => {
  server = await startApiServer(serve);
  now = 0;
  api = kubeApi({ ...server, now: () => now });
  return { server, api };
};
const json = (outgoing: ServerResponse, status: number, body: object) =>
  outgoing.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));

describe('the Kubernetes API as the webhook asks it', () => {
  test('is asked with the token of the account, and gives objects, or undefined for 404', async () => {
    const { api: kube } = await start((incoming, outgoing) =>
      incoming.url === '/api/v1/namespaces/shop'
        ? json(outgoing, 200, { seen: incoming.headers.authorization })
        : json(outgoing, 404, {}),
    );
    expect(await kube.read('/api/v1/namespaces/shop')).toEqual({ seen: 'Bearer first-token' });
    expect(await kube.read('/api/v1/namespaces/none')).toBeUndefined();
  });

  test('gets the renewed token within a minute, and at once when the old one is refused', async () => {
    const seen: (string | undefined)[] = [];
    let refused = false;
    const { server: site, api: kube } = await start((incoming, outgoing) => {
      seen.push(incoming.headers.authorization);
      json(outgoing, refused ? 401 : 200, {});
    });
    await kube.read('/api/a');
    await site.setToken('second-token');
    now += 59_999;
    await kube.read('/api/a');
    now += 1;
    await kube.read('/api/a');
    await site.setToken('third-token');
    refused = true;
    await expect(kube.read('/api/a')).rejects.toMatchObject({ status: 401 });
    refused = false;
    await kube.read('/api/a');
    expect(seen.map((each) => each?.split(' ')[1])).toEqual([
      ...['first-token', 'first-token', 'second-token', 'second-token', 'third-token'],
    ]);
  });

  test('replaces and patches with the media types that the API server wants, and says 409 when somebody was faster', async () => {
    const seen: unknown[] = [];
    const { api: kube } = await start((incoming, outgoing, body) => {
      seen.push([incoming.method, incoming.headers['content-type'], JSON.parse(body)]);
      json(outgoing, incoming.method === 'PUT' ? 200 : 409, { message: 'secret text' });
    });
    await kube.replace('/api/x', { a: 1 });
    await expect(kube.patch('/api/x', { b: 2 })).rejects.toMatchObject({
      status: 409,
      message: 'PATCH /api/x was answered 409',
    });
    expect(seen).toEqual([
      ['PUT', 'application/json', { a: 1 }],
      ['PATCH', 'application/strategic-merge-patch+json', { b: 2 }],
    ]);
  });

  test('is not believed under a certificate that the account’s CA has not signed', async () => {
    const { server: site, api: kube } = await start((_, outgoing) => json(outgoing, 200, {}));
    const other = await startApiServer(() => undefined);
    try {
      await writeFile(path.join(other.accountDirectory, 'token'), 'x');
      const deceived = kubeApi({ url: site.url, accountDirectory: other.accountDirectory, now: () => 0 });
      await expect(deceived.read('/api/x')).rejects.toMatchObject({ status: 0, name: 'KubeApiError' });
      deceived.close();
    } finally {
      await other.close();
    }
    expect(await kube.read('/api/x')).toEqual({});
  });

  test('that cuts an answer off, or is not there, rejects with KubeApiError of status 0', async () => {
    const { server: site, api: kube } = await start((_, outgoing) => {
      outgoing.writeHead(200, { 'Content-Length': 100 });
      outgoing.write('{"half":', () => outgoing.destroy());
    });
    await expect(kube.read('/api/x')).rejects.toMatchObject({ name: 'KubeApiError', status: 0 });
    await site.close();
    server = undefined;
    await expect(kube.read('/api/x')).rejects.toMatchObject({ name: 'KubeApiError', status: 0 });
  });

  test('gives a watch line by line, however the lines are cut, and ends when the server does', async () => {
    const { api: kube } = await start((_, outgoing) => {
      outgoing.writeHead(200);
      outgoing.write('{"type":"ADDED","o');
      setImmediate(() => {
        outgoing.write('bject":1}\n{"type":"MODIFIED","object":2}\n');
        setImmediate(() => outgoing.end());
      });
    });
    const events: unknown[] = [];
    const options = { signal: new AbortController().signal, idleMs: 10_000 };
    for await (const event of kube.watch('/api/v1/namespaces?watch=1', options)) events.push(event);
    expect(events).toEqual([
      { type: 'ADDED', object: 1 },
      { type: 'MODIFIED', object: 2 },
    ]);
  });

  test('ends a watch on which nothing comes, one that is broken, and one that is not wanted any more', async () => {
    const { api: kube } = await start((incoming, outgoing) => {
      outgoing.writeHead(200);
      outgoing.write('{"n":1}\n', () => {
        if (incoming.url === '/api/broken') outgoing.destroy();
      });
    });
    const stop = new AbortController();
    const follow = async (resource: string, idleMs: number) => {
      for await (const _ of kube.watch(resource, { signal: stop.signal, idleMs }))
        if (resource === '/api/unwanted') stop.abort();
    };
    await expect(follow('/api/idle', 50)).rejects.toMatchObject({ name: 'KubeApiError', status: 0 });
    await expect(follow('/api/broken', 10_000)).rejects.toMatchObject({ name: 'KubeApiError', status: 0 });
    await expect(follow('/api/unwanted', 10_000)).rejects.toMatchObject({ name: 'KubeApiError', status: 0 });
  });
});
