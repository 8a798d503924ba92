import { type App, CfnOutput, Stack } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { Admission } from './admission.ts';
import { Alarms } from './alarms.ts';
import { Api } from './api.ts';
import { Authorizer } from './authorizer.ts';
import { Buckets } from './buckets.ts';
import { Certificates } from './certificates.ts';
import { Domain } from './domain.ts';
import { IdentityProvider } from './identity-provider.ts';
import { ImageScan } from './image-scan.ts';
import { InstallAssets } from './install-assets.ts';
import { Keys, Secrets } from './keys.ts';
import { Listeners } from './listeners.ts';
import { Network } from './network.ts';
import { Operator } from './operator.ts';
import { Registration } from './registration.ts';
import { ReleaseMirror } from './release-mirror.ts';
import type { Settings } from './settings.ts';
import { Tables } from './tables.ts';
import { Tunnel } from './tunnel.ts';

type Common = { readonly settings: Settings; readonly bundles: string };

/** What outlives every deployment: tables, buckets, keys, secrets, users. */
class Data extends Stack {
  readonly tables = new Tables(this, 'Tables');
  readonly keys = new Keys(this, 'Keys');
  readonly secrets = new Secrets(this, 'Secrets');
  readonly buckets: Buckets;
  readonly identity: IdentityProvider;

  constructor(scope: Construct, { settings }: Common) {
    super(scope, 'CatteryData', {
      description: 'Cattery: data, keys and users',
      terminationProtection: true,
    });
    this.buckets = new Buckets(this, 'Buckets', settings);
    this.identity = new IdentityProvider(this, 'Identity', settings);
    const { userPool } = this.identity;
    if (userPool) output(this, { UserPoolId: userPool.userPoolId, UserPoolClientId: userPool.clientId });
  }
}

/** What clusters and users connect to: load balancer, tunnel server, and the certificates that these show. */
class NetworkStack extends Stack {
  readonly network: Network;
  readonly domain: Domain | undefined;

  constructor(scope: Construct, data: Data, { settings, bundles }: Common) {
    super(scope, 'CatteryNetwork', { description: 'Cattery: load balancer and tunnel server' });
    const { tables, keys, secrets, buckets, identity } = data;
    const { domain } = settings;
    this.domain = domain ? new Domain(this, 'Domain', { ...settings, domain }) : undefined;
    this.network = new Network(this, 'Network', {
      settings,
      domain: this.domain,
      accessLogs: buckets.access,
    });
    const { addresses } = this.network;
    const { trustDomain } = settings;
    const certificates = new Certificates(this, 'Certificates', {
      bundles,
      tables,
      keys,
      secrets,
      trustDomain,
      accessUrl: addresses.accessUrl,
    });
    const { network } = this;
    const { service } = new Tunnel(this, 'Tunnel', {
      bundles,
      settings,
      network,
      tables,
      buckets,
      secrets,
      identity,
    });
    certificates.before(service);
    const { targetGroups } = new Listeners(this, 'Listeners', { network, service, domain: this.domain });
    const alarms = new Alarms(this, 'Alarms', settings.alarmTopicArn);
    alarms.functionFails(certificates.function);
    alarms.tunnelUnreachable(targetGroups);
    alarms.tunnelServer();
    alarms.credentialsRefused('tunnel');
    output(this, {
      AccessUrl: addresses.accessUrl,
      TunnelAddress: addresses.tunnelAddress,
      LoadBalancerName: network.loadBalancer.loadBalancerDnsName,
    });
  }
}

/** What is deployed most often: the API and its functions. */
class ApiStack extends Stack {
  constructor(
    scope: Construct,
    data: Data,
    { network, domain }: NetworkStack,
    { settings, bundles }: Common,
  ) {
    super(scope, 'CatteryApi', { description: 'Cattery: API and functions' });
    const { tables, keys, buckets, identity } = data;
    const { addresses } = network;
    const api = new Api(this, 'Api', { settings, domain });
    const authorizer = new Authorizer(this, 'Authorizer', { bundles, tables, identity });
    const registration = new Registration(this, 'Registration', {
      bundles,
      tables,
      keys,
      trustDomain: settings.trustDomain,
      tunnelAddress: addresses.tunnelAddress,
    });
    const imageScan = new ImageScan(this, 'ImageScan', {
      bundles,
      tables,
      buckets,
      retentionDays: settings.scanRetentionDays,
    });
    const admission = new Admission(this, 'Admission', { bundles, tables, keys, apiUrl: api.url });
    const installAssets = new InstallAssets(this, 'InstallAssets', {
      bundles,
      tables,
      buckets,
      keys,
      addresses,
      apiUrl: api.url,
      identity,
    });
    const releaseMirror = new ReleaseMirror(this, 'ReleaseMirror', { bundles, buckets });
    const operator = new Operator(this, 'Operator', { bundles, tables, identity });
    api.connect(
      {
        registration: registration.function.function,
        'image-scan': imageScan.function.function,
        admission: admission.function.function,
        'install-assets': installAssets.function.function,
      },
      authorizer.authorizer,
    );
    const alarms = new Alarms(this, 'Alarms', settings.alarmTopicArn);
    alarms.functionFails(authorizer.function, { throwsRefusals: true });
    alarms.credentialsRefused('api');
    const ofApi = [registration, imageScan, admission, installAssets, operator, releaseMirror];
    for (const { function: one } of ofApi) {
      alarms.functionFails(one);
    }
    alarms.uploadsDropped(imageScan.function);
    alarms.manifestsRefused();
    alarms.apiFails(api.restApi);
    output(this, { ApiUrl: api.url, OperatorFunction: operator.function.function.functionName });
  }
}

/** The three stacks, by life span (design.md 14); none knows its account or region. */
export function cattery(app: App, common: Common): { data: Stack; network: Stack; api: Stack } {
  const data = new Data(app, common);
  const network = new NetworkStack(app, data, common);
  const api = new ApiStack(app, data, network, common);
  return { data, network, api };
}

function output(stack: Stack, values: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) new CfnOutput(stack, name, { value });
}
