/** The demo cluster's Kubernetes API, through its tunnel. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { OpenWatch } from './https-client.ts';
import type { Stack } from './stack.ts';

const names = (list: unknown): string[] =>
  (list as { items: { metadata: { name: string } }[] }).items.map(({ metadata }) => metadata.name);

/** What `npm start` is for: the demo cluster's objects, listed, watched and changed from outside. */
export function clustersApi(stack: () => Stack): void {
  describe('the API of the demo cluster, through its tunnel', () => {
    const under = (path: string) => `/clusters/${stack().demoClusterId}${path}`;
    let life: OpenWatch;
    beforeAll(async () => {
      const { access } = stack();
      const { json } = await access.get(under('/api/v1/pods'));
      const { resourceVersion } = (json as { metadata: { resourceVersion: string } }).metadata;
      const path = under(`/api/v1/pods?watch=true&resourceVersion=${resourceVersion}`);
      life = await access.watch(path, 'HTTP/1.1');
    });
    afterAll(() => life.cancel());

    const maps = () => under('/api/v1/namespaces/default/configmaps');
    const map = (name: string, data: Record<string, string>) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name },
      data,
    });

    test('lists pods over HTTP/1.1 and over HTTP/2', async () => {
      const { access } = stack();
      const [http1, http2] = await Promise.all([
        access.get(under('/api/v1/pods')),
        access.sendOverHttp2('GET', under('/api/v1/pods')),
      ]);
      expect(http1).toMatchObject({ status: 200, json: { kind: 'PodList' } });
      expect(http2).toMatchObject({ status: 200, json: { kind: 'PodList' } });
      const inBoth = names(http1.json).filter((name) => names(http2.json).includes(name));
      expect(inBoth.some((name) => name.startsWith('frontend-'))).toBe(true);
    });

    test('shows a change to a watch over HTTP/1.1 and to one over HTTP/2, which both stay open', async () => {
      const { access } = stack();
      const watches = await Promise.all([
        access.watch(`${maps()}?watch=true`, 'HTTP/1.1'),
        access.watch(`${maps()}?watch=true`, 'HTTP/2'),
      ]);
      try {
        expect((await access.post(maps(), map('watched', { turn: '1' }))).status).toBe(201);
        const patched = await access.send('PATCH', `${maps()}/watched`, {
          body: { data: { turn: '2' } },
          headers: { 'content-type': 'application/merge-patch+json' },
        });
        expect(patched.status).toBe(200);
        for (const watch of watches) {
          await watch.event(
            'the new object',
            ({ type, object }) => type === 'ADDED' && object.data?.turn === '1',
          );
          await watch.event(
            'its change',
            ({ type, object }) => type === 'MODIFIED' && object.data?.turn === '2',
          );
        }
        expect((await access.send('DELETE', `${maps()}/watched`)).status).toBe(200);
        for (const watch of watches) {
          await watch.event(
            'its end',
            ({ type, object }) => type === 'DELETED' && object.metadata.name === 'watched',
          );
          expect(watch.ended).toBe(false);
        }
      } finally {
        for (const watch of watches) watch.cancel();
      }
    });

    test('answers /version and /openapi/v3, which Guardian does not, and aggregated discovery', async () => {
      const { access } = stack();
      expect(await access.get(under('/version'))).toMatchObject({ status: 200, json: { major: '1' } });
      const openapi = await access.get(under('/openapi/v3'));
      expect(Object.keys((openapi.json as { paths: object }).paths)).toContain('api/v1');
      const aggregated = await access.get(under('/apis'), {
        headers: { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' },
      });
      expect(aggregated.json).toMatchObject({ kind: 'APIGroupDiscoveryList' });
    });

    test('is 404 NOT_FOUND at every path that is neither the API nor a document of it', async () => {
      for (const path of ['', '/', '/healthz', '/metrics', '/api/../metrics', '/%2e%2e/x', '/apiserver']) {
        const { status, json } = await stack().access.get(under(path));
        expect([path, status, (json as { code: string }).code]).toEqual([path, 404, 'NOT_FOUND']);
      }
    });

    test('emits by itself: the demo lives', async () => {
      await life.event('an event that nobody here caused', () => true, 15_000);
    });
  });
}
