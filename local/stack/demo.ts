import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { writePrivateFile } from '../aws/private-file.ts';
import { SupervisedProcess } from '../process/supervised-process.ts';
import type { ApiClient } from './api-client.ts';

export const demoClusterName = 'demo';

type Options = {
  readonly directory: string;
  readonly apiUrl: string;
  /** Where its agent dials: a registration of an earlier run may name ports that have moved since. */
  readonly tunnelAddress: string;
  readonly caFile: string;
  /** As the demo tenant's owner. */
  readonly api: ApiClient;
  readonly onExit: (detail: string) => void;
};

export type DemoCluster = { readonly clusterId: string; stop(): Promise<void> };

const connectedWithinMs = 60_000;
const stopTimeoutMs = 1_000;
const issuedToken = z.object({ token: z.string() });
const tokenTtlSeconds = 86_400;
const clusterState = z.object({ state: z.string(), since: z.iso.datetime() });

/** Registers the demo cluster (or finds the one of the last run), starts its process, and waits until its tunnel is up. */
export async function startDemoCluster({
  directory,
  apiUrl,
  tunnelAddress,
  caFile,
  api,
  onExit,
}: Options): Promise<DemoCluster> {
  const own = path.join(directory, 'demo-cluster');
  await mkdir(own, { recursive: true, mode: 0o700 });
  const registered = await isRegistered(own, api);
  const tokenFile = path.join(own, 'registration-token');
  if (!registered) await ensureToken(tokenFile, api);

  const startedAt = Date.now();
  const supervised = new SupervisedProcess({
    name: 'The demo cluster',
    file: path.resolve(import.meta.dirname, '../demo-cluster/main.ts'),
    environment: {
      CATTERY_DEMO_API_URL: apiUrl,
      CATTERY_DEMO_TUNNEL_ADDRESS: tunnelAddress,
      CATTERY_DEMO_DIRECTORY: own,
      CATTERY_DEMO_CA_FILE: caFile,
      CATTERY_DEMO_CLUSTER_NAME: demoClusterName,
      CATTERY_DEMO_TOKEN_FILE: tokenFile,
      TZ: 'UTC',
    },
    log: createWriteStream(path.join(directory, 'logs', 'demo-cluster.log'), { flags: 'a' }),
    stopTimeoutMs,
    onExit,
  });
  try {
    return { clusterId: await connected(own, api, startedAt), stop: () => supervised.stop() };
  } catch (error) {
    await supervised.stop();
    throw error;
  }
}

/** Whether the last run's registration holds; one that somebody disconnected is forgotten, its key included. */
async function isRegistered(own: string, api: ApiClient): Promise<boolean> {
  const clusterId = await registeredId(own);
  if (clusterId === undefined) return false;
  const { status } = await api.get(`/v1/clusters/${clusterId}`);
  if (status === 200) return true;
  if (status !== 404)
    throw new Error(`The API does not say whether the demo cluster is registered (${status}).`);
  await rm(own, { recursive: true });
  await mkdir(own, { mode: 0o700 });
  return false;
}

/**
 * A registration that a SIGKILL interrupted is completed with the same token and key; so the token is kept until then,
 * unless its time is nearly over.
 */
async function ensureToken(file: string, api: ApiClient): Promise<void> {
  const age = await stat(file).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => Infinity,
  );
  if (age < (tokenTtlSeconds - 600) * 1000) return;
  const { status, body } = await api.post('/v1/registration-tokens', {
    clusterName: demoClusterName,
    ttlSeconds: tokenTtlSeconds,
  });
  if (status !== 201) throw new Error(`The API gives no registration token (${status}).`);
  await writePrivateFile(file, issuedToken.parse(body).token);
}

/** Waits for a connection that began now: for some seconds a killed stack's tunnel counts as up. */
async function connected(own: string, api: ApiClient, startedAt: number): Promise<string> {
  const until = Date.now() + connectedWithinMs;
  for (;;) {
    const clusterId = await registeredId(own);
    if (clusterId !== undefined) {
      const { status, body } = await api.get(`/v1/clusters/${clusterId}`);
      if (status === 200) {
        const { state, since } = clusterState.parse(body);
        if (state === 'connected' && Date.parse(since) >= startedAt) return clusterId;
      }
    }
    if (Date.now() > until)
      throw new Error(
        `The demo cluster does not connect; ${path.join(path.dirname(own), 'logs', 'demo-cluster.log')} says why.`,
      );
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function registeredId(own: string): Promise<string | undefined> {
  try {
    const text = await readFile(path.join(own, 'registration.json'), 'utf8');
    return z.object({ clusterId: z.string() }).parse(JSON.parse(text)).clusterId;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
