/** A cluster that is not the demo: what reaches it, what it sends, and its end. */
import { gunzipSync } from 'node:zlib';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { connectCluster, type FurtherCluster } from './further-cluster.ts';
import { Operator } from './people.ts';
import { eventually } from './poll.ts';
import type { Stack } from './stack.ts';

export function furtherClusters(stack: () => Stack): void {
  describe('a further cluster', () => {
    let cluster: FurtherCluster;
    let operator: Operator;
    beforeAll(async () => {
      cluster = await connectCluster(stack(), 'further');
      operator = await Operator.of(stack());
    });
    afterAll(async () => {
      operator.close();
      await cluster.close();
    });
    const under = (path: string) => `/clusters/${cluster.enrolment.clusterId}${path}`;

    test.each(['HTTP/1.1', 'HTTP/2'])(
      'gets no credential, no identity and no address that a client sent over %s',
      async (protocol) => {
        const { access, state } = stack();
        const path = under(`/api/v1/namespaces/${protocol === 'HTTP/2' ? 'two' : 'one'}/pods`);
        const headers = {
          'impersonate-user': 'root',
          'impersonate-group': 'system:masters',
          'impersonate-extra-scopes': 'all',
          impersonate_user: 'root',
          forwarded: 'for=192.0.2.1',
          'x-forwarded-for': '192.0.2.1',
          'x-forwarded-host': 'evil.example',
          'x-forwarded-proto': 'http',
          'x-real-ip': '192.0.2.1',
          'x-remote-user': 'root',
          'x-remote-group': 'system:masters',
          'x-original-url': '/apis',
          'proxy-authorization': 'Basic eDp5',
          cookie: 'session=1',
          'x-kept': 'yes',
        };
        const answer = await (protocol === 'HTTP/2'
          ? access.sendOverHttp2('GET', path, { headers })
          : access.get(path, { headers: { ...headers, connection: 'x-hop, close', 'x-hop': '1' } }));
        expect(answer.status).toBe(200);
        const received = cluster.kubeApi.received.find(
          ({ url }) => `/clusters/${cluster.enrolment.clusterId}${url}` === path,
        );
        const names = Object.keys(received?.headers ?? {}).map((name) => name.replaceAll('_', '-'));
        // The agent's own: its token, and where its side of the tunnel ends.
        expect(received?.headers).toMatchObject({
          authorization: `Bearer ${cluster.kubeApi.token}`,
          'x-forwarded-for': expect.stringMatching(/^(?:::ffff:)?127\.0\.0\.1$/),
          'x-forwarded-host': '',
          'x-kept': 'yes',
        });
        const forbidden = names.filter(
          (name) =>
            /^(?:impersonate-.*|x-remote-.*|x-original-.*|forwarded|x-real-ip|proxy-.*|cookie|x-hop)$/.test(
              name,
            ) || name === 'x-forwarded-proto',
        );
        expect(forbidden).toEqual([]);
        const everything = JSON.stringify(received);
        for (const secret of [state.adminToken, '192.0.2.1', 'evil.example', 'system:masters'])
          expect(everything).not.toContain(secret);
      },
    );

    test('has its flows in S3, under its tenant and itself, when it is told 200', async () => {
      const { tenantId } = stack().state;
      const Key = { source_name: 'shop-*', dest_name: 'cart-*', reporter: 1 };
      const flow = { Key, start_time: 1_760_000_000, end_time: 1_760_000_060, bytes_in: 4711 };
      expect(await cluster.agent.pushFlows([flow])).toEqual({ outcome: 'delivered', attempts: 1 });
      const Bucket = operator.deployment.container.environment.LOG_BUCKET ?? '';
      const Prefix = `tenant/${tenantId}/cluster/${cluster.enrolment.clusterId}/kind/flows/`;
      const { Contents = [] } = await operator.s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
      expect(Contents.map(({ Key }) => Key)).toEqual([
        expect.stringMatching(/\/date=\d{4}-\d\d-\d\d\/[0-9a-f]{64}\.ndjson\.gz$/),
      ]);
      const { Body } = await operator.s3.send(new GetObjectCommand({ Bucket, Key: Contents[0]?.Key }));
      const text = gunzipSync((await Body?.transformToByteArray()) ?? new Uint8Array()).toString('utf8');
      expect(JSON.parse(text.trim())).toMatchObject(flow);
    });

    test('is cut off within 5 s of its DELETE: watch, tunnel, and every way to it, for good', async () => {
      const { access, api } = stack();
      const { clusterId, clusterToken } = cluster.enrolment;
      const watches = await Promise.all([
        access.watch(under('/api/v1/pods?watch=true'), 'HTTP/1.1'),
        access.watch(under('/api/v1/pods?watch=true'), 'HTTP/2'),
      ]);
      for (const watch of watches) await watch.event('the first event', () => true);
      expect(cluster.agent.state.phase).toBe('connected');
      const manifest = () => api.get(`/v1/clusters/${clusterId}/manifest`, { token: clusterToken });
      expect((await manifest()).status).toBe(200);

      const from = performance.now();
      expect((await api.send('DELETE', `/v1/clusters/${clusterId}`)).status).toBe(204);
      expect((await api.get(`/v1/clusters/${clusterId}`)).status).toBe(404);
      expect((await api.send('DELETE', `/v1/clusters/${clusterId}`)).status).toBe(404);
      expect((await api.get('/v1/clusters')).text).not.toContain(clusterId);
      for (const watch of watches) await eventually('the watch is cut', 5_000, () => watch.ended);
      await eventually('the tunnel is cut', 5_000, () => cluster.agent.state.phase !== 'connected');
      expect(performance.now() - from).toBeLessThan(5_000);

      // What the authorizer and the access host knew a moment before holds for 5 s.
      await eventually('its own token is refused', 6_000, async () => (await manifest()).status === 401);
      await eventually('the access host knows it no more', 6_000, async () => {
        const { status } = await access.get(under('/version'));
        return status === 404;
      });
      expect(await access.get(under('/api/v1/pods'))).toMatchObject({
        status: 404,
        json: { code: 'NOT_FOUND' },
      });
    });
  });
}
