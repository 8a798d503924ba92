import path from 'node:path';
import type { DemoAgent } from '../../local/demo-cluster/agent.ts';
import { startAgent } from '../../local/demo-cluster/agent.ts';
import { type Enrolment, enrol } from '../../local/demo-cluster/enrol.ts';
import { registrationTokenIssued } from '../../core/credential/registration-token-schema.ts';
import { cluster } from '../../core/cluster/cluster-schema.ts';
import { eventually } from './poll.ts';
import { type RecordingKubeApi, startRecordingKubeApi } from './recording-kube-api.ts';
import type { Stack } from './stack.ts';

const facts = {
  kubernetesVersion: 'v1.33.2',
  calicoVersion: 'v3.32.1',
  distribution: 'kubeadm',
  nodeCount: 3,
};

/** Registers a cluster through the public API, as any cluster does. `token`: of whom may make registration tokens. */
export async function registerCluster(stack: Stack, name: string, token?: string): Promise<Enrolment> {
  const issued = await stack.api.post('/v1/registration-tokens', { clusterName: name }, options(token));
  const directory = path.join(stack.process.data, 'further-clusters', `${name}-${Date.now()}`);
  return enrol({
    apiUrl: stack.state.apiUrl,
    ca: stack.ca,
    registrationToken: registrationTokenIssued.parse(issued.json).token,
    clusterName: name,
    cluster: facts,
    directory,
  });
}

/** A registered cluster whose agent runs in this process, in front of an API server that records what reaches it. */
export type FurtherCluster = {
  readonly enrolment: Enrolment;
  readonly agent: DemoAgent;
  readonly kubeApi: RecordingKubeApi;
  close(): Promise<void>;
};

export async function connectCluster(stack: Stack, name: string): Promise<FurtherCluster> {
  const enrolment = await registerCluster(stack, name);
  const kubeApi = await startRecordingKubeApi();
  const agent = startAgent({ ...enrolment, kubeApi });
  const close = async () => {
    await agent.close();
    await kubeApi.close();
  };
  try {
    await untilConnected(stack, enrolment.clusterId);
  } catch (error) {
    await close();
    throw error;
  }
  return { enrolment, agent, kubeApi, close };
}

export async function untilConnected(stack: Stack, clusterId: string): Promise<void> {
  await eventually(`${clusterId} is connected`, 15_000, async () => {
    const { status, json } = await stack.api.get(`/v1/clusters/${clusterId}`);
    return status === 200 && cluster.parse(json).state === 'connected';
  });
}

const options = (token: string | undefined) => (token === undefined ? {} : { token });
