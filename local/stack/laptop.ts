import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import { createServer, type Server } from 'node:https';
import path from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import pino from 'pino';
import { TrustRepository } from '../../core/certificate/trust-repository.ts';
import { documentClient } from '../../core/tenant/tenant-access.ts';
import { type AwsEndpoint, startAwsEndpoint } from '../aws/endpoint.ts';
import { writePrivateFile } from '../aws/private-file.ts';
import { EventBus } from '../function/event-bus.ts';
import { FunctionRunner } from '../function/function-runner.ts';
import { lambdaService } from '../function/lambda-service.ts';
import { gateway } from '../gateway/gateway.ts';
import { audience, issuerOf, issuerPath } from '../identity-provider/id-token.ts';
import type { LocalIssuer } from '../identity-provider/issuer.ts';
import { readAssembly } from '../template/assembly.ts';
import { type Deployment, readDeployment } from '../template/deployment.ts';
import { laptop } from '../template/intrinsics.ts';
import { localAuthority } from '../tls/authority.ts';
import type { Addresses } from './addresses.ts';
import { startContainer } from './container.ts';
import { mirroredInWords, takeManifests } from './manifests.ts';
import type { OperatorAccess } from './operator.ts';
import { synthesise } from './synthesis.ts';
import { demoOwner } from './tenant.ts';

export type Laptop = {
  /** PEM file that verifies both HTTPS ports. */
  readonly caFile: string;
  readonly issuer: LocalIssuer;
  /** What `scripts/tenant.ts --local` needs to invoke the operator function. */
  readonly operatorAccess: OperatorAccess;
  /** ID of the tunnel server's process. */
  readonly tunnelPid: () => number | undefined;
  /** Everything stopped, in at most about 4 s. */
  close(): Promise<void>;
};

type Options = {
  readonly directory: string;
  readonly addresses: Addresses;
  /** Directory with upstream's manifests, `<version>/<name>`; without one nothing is mirrored by itself. */
  readonly manifests?: string | undefined;
  /** Told of each step, for the terminal. */
  readonly progress: (step: string) => void;
};

/** The stack as a whole stops within 5 s; the tunnel server's drain gets most of them. */
const containerStopMs = 3_000;

/** Brings up the control plane of the synthesised templates on this machine; everything listens where `addresses` says. */
export async function startLaptop({ directory, addresses, manifests, progress }: Options): Promise<Laptop> {
  const stops: (() => Promise<void> | void)[] = [];
  const close = async () => {
    for (const stop of stops.splice(0).reverse()) await stop();
  };
  try {
    const within = (...names: string[]) => path.join(directory, ...names);
    for (const name of ['logs', 'tls', 'identity-provider'])
      await mkdir(within(name), { recursive: true, mode: 0o700 });

    progress('Building the functions and reading the CDK app');
    const log = pino(
      { base: null },
      pino.destination({ dest: within('logs', 'aws.log'), sync: true, append: true }),
    );
    const [, issuer, authority] = await Promise.all([
      synthesise(within('cdk.out'), contextOf(addresses)),
      startIssuer(addresses, within('identity-provider'), (error) =>
        log.error({ error: error.stack }, 'the identity provider failed'),
      ),
      localAuthority(within('tls')),
    ]);
    const deployment = readDeployment(await readAssembly(within('cdk.out')));
    const authorityFile = within('tls', 'authority.pem');
    await writePrivateFile(authorityFile, authority.certificate);

    progress('Opening tables, buckets and keys');
    const runner = new FunctionRunner({
      functions: deployment.functions,
      platformEnvironment: (spec) => ({
        ...platformEnvironment(endpoint, spec.roleArn, authorityFile),
        AWS_LAMBDA_FUNCTION_NAME: spec.name,
        AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(spec.memoryMb),
        AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      }),
      logDirectory: within('logs'),
    });
    const bus = new EventBus({
      rules: deployment.eventRules,
      invoke: (name, event) => runner.invoke(runner.find(name)?.arn ?? name, event),
      failed: (name, error, retries) => log.error({ name, error, retries }, 'a function failed at an event'),
    });
    const endpoint = await startAwsEndpoint({
      ...deployment,
      dataDir: within('data'),
      region: laptop.region,
      accountId: laptop.accountId,
      log,
      onObject: (event) => bus.tell(event),
      services: { lambda: (authoriser) => lambdaService(runner, authoriser) },
    });
    stops.push(
      () => endpoint.close(),
      () => runner.close(),
      () => bus.close(),
    );

    progress('Making certificates');
    // Nothing leaves this machine unasked: the mirror's upstream is a directory here, or nobody.
    const ownWork = (functionName: string) => !runner.find(functionName)?.reachesInternet;
    await invokeAll(runner, deployment.triggered.filter(ownWork));
    for (const { functionName, everyMs } of deployment.scheduled) {
      if (!ownWork(functionName)) continue;
      const timer = setInterval(() => {
        invokeAll(runner, [functionName]).catch((error: unknown) =>
          log.error({ error: String(error) }, 'a scheduled function failed'),
        );
      }, everyMs);
      stops.push(() => clearInterval(timer));
    }

    if (manifests !== undefined) {
      progress(`Taking manifests from ${manifests}`);
      const mirrored = await takeManifests(manifests, { endpoint, bucket: assetsBucket(deployment) });
      for (const line of mirroredInWords(mirrored)) progress(line);
    }

    progress('Starting the API and the tunnel server');
    const { certificate: cert, key } = await authority.issue(hostsOf(addresses));
    const api = createServer({ cert, key }, apiListener(deployment, runner, issuer));
    await listen(api, addresses);
    stops.push(() => closeServer(api));
    const container = await startContainer({
      spec: deployment.container,
      addresses,
      platformEnvironment: platformEnvironment(endpoint, deployment.container.roleArn, authorityFile),
      log: createWriteStream(within('logs', 'tunnel.log'), { flags: 'a' }),
      stopTimeoutMs: containerStopMs,
      onExit: progress,
    });
    stops.push(() => container.process.stop());
    const awaited = deployment.functions.filter(({ reachesInternet }) => !reachesInternet);
    await Promise.all([container.ready(), ...awaited.map(({ arn }) => runner.warm(arn))]);

    const caFile = within('ca.pem');
    await writePrivateFile(
      caFile,
      `${authority.certificate.trimEnd()}\n${await deploymentRoots(endpoint, deployment)}`,
    );
    const functionName = deployment.outputs.OperatorFunction;
    if (!functionName) throw new Error('The templates export no OperatorFunction.');
    return {
      caFile,
      issuer,
      operatorAccess: {
        endpoint: endpoint.url,
        region: laptop.region,
        functionName,
        credentials: endpoint.operator,
      },
      tunnelPid: () => container.process.pid,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function assetsBucket({ functions }: Deployment): string {
  const bucket = functions
    .map(({ environment }) => environment.ASSETS_BUCKET)
    .find((name) => name !== undefined);
  if (bucket === undefined) throw new Error('The templates tell no function of a bucket of assets.');
  return bucket;
}

/** The CDK context that puts the laptop's addresses where AWS would put its own. */
const contextOf = (addresses: Addresses): Record<string, string> => ({
  apiUrl: addresses.apiUrl,
  accessUrl: addresses.accessUrl,
  tunnelAddress: addresses.tunnelAddress,
  oidcIssuer: issuerOf(addresses.apiUrl),
  oidcAudience: audience,
});

/** Its library takes a fifth of a second or more to load: imported here, that passes while the CDK app runs. */
async function startIssuer(
  { apiUrl }: Addresses,
  directory: string,
  onError: (error: Error) => void,
): Promise<LocalIssuer> {
  const { localIssuer } = await import('../identity-provider/issuer.ts');
  return localIssuer({ apiUrl, directory, suggestedAddress: demoOwner.ownerEmail, onError });
}

/** What Lambda and Fargate add to the template's environment. */
function platformEnvironment(
  endpoint: AwsEndpoint,
  roleArn: string,
  authorityFile: string,
): Record<string, string> {
  const { accessKeyId, secretAccessKey, sessionToken } = endpoint.credentialsFor(roleArn);
  return {
    AWS_REGION: laptop.region,
    AWS_DEFAULT_REGION: laptop.region,
    AWS_ENDPOINT_URL: endpoint.url,
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
    // The laptop's CA is to its processes what public CAs are in AWS.
    NODE_EXTRA_CA_CERTS: authorityFile,
    TZ: 'UTC',
  };
}

/** Names under which the API's port may be reached. */
const hostsOf = ({ advertise }: Addresses): string[] => [...new Set([advertise, '127.0.0.1', 'localhost'])];

function apiListener(deployment: Deployment, runner: FunctionRunner, issuer: LocalIssuer): RequestListener {
  const api = gateway(deployment.api, (arn, event) => runner.invoke(arn, event));
  return (request, response) => {
    const ofIssuer = request.url?.startsWith(`${issuerPath}/`) ?? false;
    (ofIssuer ? issuer.listener : api)(request, response);
  };
}

async function invokeAll(runner: FunctionRunner, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const result = await runner.invoke(runner.find(name)?.arn ?? name, {});
    if ('error' in result) throw new Error(`${name} failed: ${result.error.errorMessage}`);
  }
}

/** The roots behind the access port's certificate, as functions/certificates published them. */
async function deploymentRoots(endpoint: AwsEndpoint, { container }: Deployment): Promise<string> {
  const dynamo = documentClient(
    new DynamoDBClient({ endpoint: endpoint.url, region: laptop.region, credentials: endpoint.operator }),
  );
  const trust = await new TrustRepository(dynamo, container.environment.DIRECTORY_TABLE ?? '').read();
  if (!trust) throw new Error('functions/certificates has published no roots.');
  return trust.roots;
}

function listen(server: Server, { listen: host, ports }: Addresses): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port: ports.api }, resolve);
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeIdleConnections();
    // A client that keeps its connection must not keep the stack.
    setTimeout(() => server.closeAllConnections(), 500).unref();
  });
}
