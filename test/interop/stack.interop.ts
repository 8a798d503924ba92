/** A Go agent wired as Guardian is, with Guardian's own times, against the whole stack. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Enrolment } from '../../local/demo-cluster/enrol.ts';
import { addDemoObjects } from '../../local/demo-cluster/demo-objects.ts';
import { type KubeApi, startKubeApi } from '../../local/demo-cluster/kube-api-server.ts';
import { registerCluster, untilConnected } from '../stack/further-cluster.ts';
import { Operator } from '../stack/people.ts';
import { eventually } from '../stack/poll.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { type GoAgent, postFlows, startGoAgent } from './go-agent.ts';

describe('a Go agent at the whole stack', () => {
  let home: string;
  let stack: Stack;
  let operator: Operator;
  let kubeApi: KubeApi;
  let enrolment: Enrolment;
  let agent: GoAgent;
  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'cattery-interop-'));
    stack = await startStack({ data: path.join(home, 'data'), arguments: ['--no-demo'] });
    operator = await Operator.of(stack);
    kubeApi = await startKubeApi();
    addDemoObjects(kubeApi.store, new Date());
    enrolment = await registerCluster(stack, 'go-agent');
    agent = await startGoAgent({ ...enrolment, kubeApi });
    await untilConnected(stack, enrolment.clusterId);
  }, 160_000);
  afterAll(async () => {
    operator.close();
    stack.disconnect();
    await agent.close();
    await kubeApi.close();
    await stack.process.destroy();
    await rm(home, { recursive: true, force: true });
  });
  const under = (rest: string) => `/clusters/${enrolment.clusterId}${rest}`;
  const pods = () => under('/api/v1/pods');

  test('lists pods, 50 times at once over HTTP/1.1 and HTTP/2', async () => {
    const { access } = stack;
    const answers = await Promise.all(
      Array.from({ length: 25 }, () => [access.get(pods()), access.sendOverHttp2('GET', pods())]).flat(),
    );
    for (const { status, text } of answers) {
      expect(status).toBe(200);
      expect(text).toContain('"frontend-');
    }
  });

  test('shows a change to a watch', async () => {
    const maps = under('/api/v1/namespaces/default/configmaps');
    const watch = await stack.access.watch(`${maps}?watch=true`, 'HTTP/2');
    try {
      const map = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'seen-by-go' }, data: {} };
      expect((await stack.access.post(maps, map)).status).toBe(201);
      await watch.event('the new object', ({ object }) => object.metadata.name === 'seen-by-go');
      expect(watch.ended).toBe(false);
    } finally {
      watch.cancel();
    }
  });

  test('has the flows that came to its listener in S3, under its tenant and itself, when 200 is told', async () => {
    const { address = '' } = await agent.go.event('listening');
    const flow = { Key: {}, start_time: 1_760_000_000, end_time: 1_760_000_060, bytes_in: 4711 };
    expect(await postFlows(address, enrolment.logTrust, JSON.stringify(flow))).toBe(200);
    const Bucket = operator.deployment.container.environment.LOG_BUCKET ?? '';
    const Prefix = `tenant/${stack.state.tenantId}/cluster/${enrolment.clusterId}/kind/flows/`;
    const { Contents = [] } = await operator.s3.send(new ListObjectsV2Command({ Bucket, Prefix }));
    expect(Contents).toHaveLength(1);
    const { Body } = await operator.s3.send(new GetObjectCommand({ Bucket, Key: Contents[0]?.Key }));
    const text = gunzipSync((await Body?.transformToByteArray()) ?? new Uint8Array()).toString('utf8');
    expect(JSON.parse(text.trim())).toMatchObject(flow);
  });

  test('asks at most a tenth of the pings that it would if each were answered at once', async () => {
    const { pings, seconds = 0 } = await eventually('ten seconds of a session', 15_000, async () => {
      const told = await agent.go.obey('pings', 'pings');
      return (told.seconds ?? 0) >= 10 && told;
    });
    expect(pings).toBeGreaterThanOrEqual(1);
    expect(pings).toBeLessThanOrEqual(seconds);
    expect(agent.go.count('connected')).toBe(1);
    expect(agent.go.complaints).toBe('');
  });

  test('comes back after a kill -9 of the tunnel server', async () => {
    process.kill(await stack.tunnelPid(), 'SIGKILL');
    await agent.go.event('lost');
    await agent.go.event('connected', 2);
    await eventually('the cluster is reachable', 15_000, async () => {
      const answer = await stack.access.get(pods()).catch(() => undefined);
      return answer?.status === 200;
    });
  }, 60_000);

  test('sees a plain EOF when the stack stops', async () => {
    const former = agent.go.complaints;
    expect((await stack.process.interrupt()).code).toBe(0);
    expect(await agent.go.event('lost', 2)).toMatchObject({ error: 'EOF' });
    expect(agent.go.complaints).toBe(former);
  });
});
