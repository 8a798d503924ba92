/** `npm start`: brings up the whole control plane and a demo cluster on this machine; Ctrl-C stops all of it. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { apiClient } from './stack/api-client.ts';
import { claimAddresses, portSettings } from './stack/addresses.ts';
import { lockDirectory } from './stack/directory-lock.ts';
import { startDemoCluster } from './stack/demo.ts';
import { startLaptop } from './stack/laptop.ts';
import { requireManifestDirectory } from './stack/manifests.ts';
import { invokeOperator } from './stack/operator.ts';
import { removeState, type StackState, standardDirectory, writeState } from './stack/state.ts';
import { demoOwner, ensureTenant } from './stack/tenant.ts';
import { welcome } from './stack/welcome.ts';

/** Everything must be gone this long after Ctrl-C. */
const stopWithinMs = 4_800;

const port = (text: string): number => {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value > 65_535)
    throw new InvalidArgumentError('a port is 0 (any free one) to 65535');
  return value;
};

const portOption = (name: keyof typeof portSettings, what: string) => {
  const { flag, variable, port: standard } = portSettings[name];
  return new Option(`${flag} <port>`, what).env(variable).default(standard).argParser(port);
};

const command = new Command('npm start --')
  .description(
    'Runs Cattery on this machine: the API, the tunnel server and, unless told otherwise, a demo cluster.',
  )
  .option('--no-demo', 'leave the demo cluster out')
  .option('--listen <address>', 'address to listen on', '127.0.0.1')
  .option(
    '--advertise <host>',
    'name or address that clients elsewhere dial (default: the listening address)',
  )
  .addOption(portOption('api', 'port of the API'))
  .addOption(portOption('access', "port of the users' way into clusters"))
  .addOption(portOption('tunnel', "port of the clusters' tunnels"))
  .addOption(
    new Option(
      '--manifests <directory>',
      "where upstream's manifests lie as <version>/<name>; those that the catalogue knows are mirrored",
    ).env('CATTERY_MANIFESTS'),
  )
  .addOption(
    new Option('--data <directory>', 'where everything is kept')
      .env('CATTERY_DATA')
      .default(standardDirectory),
  )
  .parse();

const options = command.opts<{
  demo: boolean;
  listen: string;
  advertise?: string;
  apiPort: number;
  accessPort: number;
  tunnelPort: number;
  manifests?: string;
  data: string;
}>();

const startedAt = performance.now();
const stops: (() => Promise<void>)[] = [];
let stopping: Promise<void> | undefined;

const say = (text: string) => process.stdout.write(`${text}\n`);
const progress = (step: string) =>
  say(`  ${((performance.now() - startedAt) / 1000).toFixed(1).padStart(5)} s  ${step}`);

/** Stops what was started, newest first. A second Ctrl-C, or 4.8 s, ends the wait: the children go with this process. */
function stop(code: number): Promise<void> {
  stopping ??= (async () => {
    setTimeout(() => process.exit(code || 1), stopWithinMs).unref();
    for (const each of stops.splice(0).reverse()) await each().catch((error: unknown) => say(String(error)));
    process.exit(code);
  })();
  return stopping;
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (stopping) process.exit(1);
    say('\nStopping …');
    void stop(0);
  });
}

try {
  await start();
} catch (error) {
  if (!stopping) {
    process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`);
    if (process.env.DEBUG && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`);
    await stop(1);
  }
}

async function start(): Promise<void> {
  const directory = path.resolve(options.data);
  if (!options.advertise && ['0.0.0.0', '::'].includes(options.listen)) {
    throw new Error(
      `--listen ${options.listen} opens every address of this machine: say with --advertise HOST which one clients dial.`,
    );
  }
  const manifests = options.manifests === undefined ? undefined : path.resolve(options.manifests);
  if (manifests !== undefined) await requireManifestDirectory(manifests);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const lock = await lockDirectory(directory);
  stops.push(() => lock.release());
  // What a killed stack left says nothing about this one.
  await removeState(directory);
  const addresses = await claimAddresses(options.listen, options.advertise ?? options.listen, {
    api: options.apiPort,
    access: options.accessPort,
    tunnel: options.tunnelPort,
  });

  say('Starting Cattery');
  const laptop = await startLaptop({ directory, addresses, manifests, progress });
  stops.push(() => laptop.close());

  progress('Opening the demo tenant');
  const tenant = await ensureTenant((event) => invokeOperator(laptop.operatorAccess, event), demoOwner);
  const { apiUrl, accessUrl, tunnelAddress } = addresses;
  let demoClusterId: string | null = null;
  if (options.demo) {
    progress('Connecting the demo cluster');
    const api = await apiClient(apiUrl, laptop.caFile, tenant.adminToken);
    const demo = await startDemoCluster({
      directory,
      apiUrl,
      tunnelAddress,
      caFile: laptop.caFile,
      api,
      onExit: progress,
    });
    stops.push(() => demo.stop());
    demoClusterId = demo.clusterId;
  }
  const state: StackState = {
    apiUrl,
    accessUrl,
    tunnelAddress,
    caFile: laptop.caFile,
    ...tenant,
    demoClusterId,
  };
  stops.push(() => removeState(directory));
  await writeState(directory, state, laptop.operatorAccess);
  progress('Ready');
  say(welcome(state, { issuer: laptop.issuer.issuer, email: demoOwner.ownerEmail, directory: options.data }));
}
