/** Runs the demo cluster: started by the laptop stack (or by hand), it registers itself, connects and lives until SIGTERM. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import type { DemoAgent } from './agent.ts';
import { startAgent } from './agent.ts';
import { startFlowEmission } from './demo-flows.ts';
import { startLife } from './demo-life.ts';
import { addDemoObjects, calicoVersion, kubernetesVersion, nodeCount } from './demo-objects.ts';
import { enrol } from './enrol.ts';
import { startKubeApi } from './kube-api-server.ts';

const usage = `The Cattery demo cluster. Every option may also come from the environment:
  --api-url URL          CATTERY_DEMO_API_URL       the API's base URL
  --directory DIR        CATTERY_DEMO_DIRECTORY     keeps the cluster's key and registration
  --ca-file FILE         CATTERY_DEMO_CA_FILE       PEM that verifies the API (default: the system's roots)
  --token-file FILE      CATTERY_DEMO_TOKEN_FILE    holds the registration token, needed the first time
                         CATTERY_DEMO_TOKEN         the token itself (environment only)
  --cluster-name NAME    CATTERY_DEMO_CLUSTER_NAME  default "demo"
  --tunnel-address H:P   CATTERY_DEMO_TUNNEL_ADDRESS  instead of the registered one
  --life-interval-ms N   CATTERY_DEMO_LIFE_INTERVAL_MS  default 5000
  --flow-interval-ms N   CATTERY_DEMO_FLOW_INTERVAL_MS  default 60000
`;

const string = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    'api-url': string,
    directory: string,
    'ca-file': string,
    'token-file': string,
    'cluster-name': string,
    'tunnel-address': string,
    'life-interval-ms': string,
    'flow-interval-ms': string,
    help: { type: 'boolean' },
  },
});

type Name = Exclude<keyof typeof values, 'help'>;

function setting(name: Name): string | undefined {
  const fromEnvironment = process.env[`CATTERY_DEMO_${name.toUpperCase().replaceAll('-', '_')}`];
  return values[name] ?? (fromEnvironment || undefined);
}

function required(name: Name): string {
  const value = setting(name);
  if (value === undefined) throw new Error(`--${name} is missing\n\n${usage}`);
  return value;
}

function milliseconds(name: Name, fallback: number): number {
  const value = setting(name) ?? String(fallback);
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new Error(`--${name} must be a whole number of milliseconds`);
  return Number(value);
}

/** One line of JSON for each change of state; never a secret. */
function say(event: string, details: Record<string, unknown> = {}): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...details })}\n`);
}

/** A token file that is gone is no error: it is needed the first time only. */
async function registrationToken(): Promise<string | undefined> {
  const file = setting('token-file');
  if (file === undefined) return process.env.CATTERY_DEMO_TOKEN;
  return existsSync(file) ? (await readFile(file, 'utf8')).trim() : undefined;
}

async function run(): Promise<void> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  // A parent that is killed cannot say so; two agents with one certificate would take the tunnel from each other.
  if (process.channel) process.once('disconnect', stop);

  const caFile = setting('ca-file');
  const ca = caFile === undefined ? undefined : await readFile(caFile, 'utf8');
  const kubeApi = await startKubeApi();
  addDemoObjects(kubeApi.store, new Date());
  const life = startLife({
    store: kubeApi.store,
    logs: kubeApi.logs,
    intervalMs: milliseconds('life-interval-ms', 5000),
  });
  let agent: DemoAgent | undefined;
  try {
    say('kube-api', { url: kubeApi.url });
    const enrolment = await enrol({
      apiUrl: required('api-url'),
      registrationToken: await registrationToken(),
      clusterName: setting('cluster-name') ?? 'demo',
      cluster: { kubernetesVersion, calicoVersion, distribution: 'cattery-demo', nodeCount },
      directory: required('directory'),
      ca,
      signal: stopping.signal,
    });
    const { clusterId, clusterName, fresh } = enrolment;
    const tunnelAddress = setting('tunnel-address') ?? enrolment.tunnelAddress;
    say('enrolled', { clusterId, clusterName, tunnelAddress, fresh });
    agent = startAgent({
      ...enrolment,
      tunnelAddress,
      kubeApi,
      onState: ({ phase, reason }) => say('tunnel', { phase, reason }),
    });
    const emission = startFlowEmission(agent, {
      intervalMs: milliseconds('flow-interval-ms', 60_000),
      onPushed: (outcome, flows) => say('flows', { outcome, flows }),
    });
    if (!stopping.signal.aborted) {
      await new Promise((resolve) => stopping.signal.addEventListener('abort', resolve, { once: true }));
    }
    emission.stop();
  } finally {
    life.stop();
    await agent?.close();
    await kubeApi.close();
    if (stopping.signal.aborted) say('stopped');
  }
}

if (values.help) process.stdout.write(usage);
else {
  try {
    await run();
  } catch (error) {
    if (!(error instanceof Error && error.name === 'AbortError')) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      const problem = error instanceof Error && 'problem' in error ? error.problem : undefined;
      say('failed', { code, problem, message: error instanceof Error ? error.message : String(error) });
      process.exitCode = 1;
    }
  }
  // An IPC channel to the parent would keep the process alive.
  if (process.channel) process.disconnect();
}
