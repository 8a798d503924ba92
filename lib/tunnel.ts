import path from 'node:path';
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { Peer, Port, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import { Platform } from 'aws-cdk-lib/aws-ecr-assets';
import { Repository } from 'aws-cdk-lib/aws-ecr';
import {
  AvailabilityZoneRebalancing,
  Cluster,
  ContainerImage,
  CpuArchitecture,
  FargateService,
  FargateTaskDefinition,
  type ICluster,
  LogDriver,
  OperatingSystemFamily,
  UlimitName,
} from 'aws-cdk-lib/aws-ecs';
import { Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import type { Environment } from '../tunnel-fargate/env.ts';
import type { Buckets } from './buckets.ts';
import { tunnelBundle } from './bundle.ts';
import type { IdentityProvider } from './identity-provider.ts';
import { notingKeyUse } from './key-use-right.ts';
import type { Secrets } from './keys.ts';
import type { Network } from './network.ts';
import { logRetention } from './role-function.ts';
import type { Settings } from './settings.ts';
import type { Tables } from './tables.ts';
import { TenantRole } from './tenant-role.ts';

/** Ports of the container; unprivileged, for it does not run as root. */
export const containerPorts = { tunnel: 9000, access: 8443, health: 8080 } as const;

/** The figures for a collector beside the container: mapped to nothing, and no group lets anyone in. */
export const metricsPort = 9464;

type Options = {
  readonly bundles: string;
  readonly settings: Settings;
  readonly network: Network;
  readonly tables: Tables;
  readonly buckets: Buckets;
  readonly secrets: Secrets;
  readonly identity: IdentityProvider;
};

/** The tunnel server: one Fargate task (design.md 9) that ends the clusters' tunnels and lets users through them. */
export class Tunnel extends Construct {
  readonly service: FargateService;
  readonly logGroup: LogGroup;

  constructor(scope: Construct, id: string, options: Options) {
    super(scope, id);
    const { network, bundles, settings } = options;
    this.logGroup = new LogGroup(this, 'Logs', {
      retention: logRetention,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const role = new Role(this, 'Role', {
      description: 'Cattery: the tunnel server',
      assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com'),
    });
    const tenant = new TenantRole(this, 'Tenant', role);
    const task = new FargateTaskDefinition(this, 'Task', {
      cpu: 1024,
      memoryLimitMiB: 2048,
      runtimePlatform: {
        cpuArchitecture: CpuArchitecture.ARM64,
        operatingSystemFamily: OperatingSystemFamily.LINUX,
      },
      taskRole: role,
    });
    Validations.of(task).acknowledge({
      id: 'AwsSolutions-ECS2',
      reason:
        'The variables are names and addresses; the only secret is read from Secrets Manager while running.',
    });
    const container = task.addContainer('tunnel', {
      image: image(this, settings.tunnelImage, path.join(bundles, tunnelBundle)),
      environment: texts(environment(tenant, role, options)),
      portMappings: Object.entries(containerPorts).map(([name, containerPort]) => ({ name, containerPort })),
      user: '1000:1000',
      readonlyRootFilesystem: true,
      // Readiness falls, streams end, tunnels close cleanly; Fargate allows no more than this.
      stopTimeout: Duration.seconds(120),
      logging: LogDriver.awsLogs({ logGroup: this.logGroup, streamPrefix: 'tunnel' }),
    });
    Validations.of(task.obtainExecutionRole()).acknowledge({
      id: 'AwsSolutions-IAM5[Resource::*]',
      reason: 'ecr:GetAuthorizationToken knows no resource; pulling is allowed from the one repository.',
    });
    // Each tunnel and each user is a descriptor.
    container.addUlimits({ name: UlimitName.NOFILE, softLimit: 65_536, hardLimit: 65_536 });
    this.service = this.#service(task, network, issuerPort(settings.oidcIssuer));
    // The first connection must not meet a role without its policy.
    this.service.node.addDependency(tenant);
  }

  #service(task: FargateTaskDefinition, network: Network, issuer: number): FargateService {
    const group = new SecurityGroup(this, 'Group', {
      vpc: network.vpc,
      description: 'Cattery: the tunnel server, reached through the load balancer only',
      allowAllOutbound: false,
    });
    for (const [name, port] of Object.entries(containerPorts)) {
      group.addIngressRule(network.loadBalancerGroup, Port.tcp(port), name);
      network.loadBalancerGroup.addEgressRule(group, Port.tcp(port), name);
    }
    for (const port of new Set([443, issuer])) {
      group.addEgressRule(
        Peer.anyIpv4(),
        Port.tcp(port),
        port === 443 ? 'AWS, the OIDC issuer' : 'the OIDC issuer',
      );
    }
    const cluster = new Cluster(this, 'Cluster', { vpc: network.vpc }) as ICluster;
    Validations.of(cluster).acknowledge({
      id: 'AwsSolutions-ECS4',
      reason:
        'Container Insights is paid per metric; one task is watched through its log and the load balancer.',
    });
    return new FargateService(this, 'Service', {
      cluster,
      taskDefinition: task,
      // One task until forwarding exists: a second would hold tunnels that the first cannot find (design.md 9).
      desiredCount: 1,
      minHealthyPercent: 0,
      maxHealthyPercent: 100,
      availabilityZoneRebalancing: AvailabilityZoneRebalancing.DISABLED,
      circuitBreaker: { enable: true, rollback: true },
      healthCheckGracePeriod: Duration.seconds(60),
      // Public subnets without a NAT gateway: the address is for dialling out; the group lets nobody in.
      assignPublicIp: true,
      vpcSubnets: { subnets: network.vpc.publicSubnets },
      securityGroups: [group],
    });
  }
}

/** What the task may do, and what it is told. */
function environment(
  tenant: TenantRole,
  role: Role,
  { tables, buckets, secrets, identity, network, settings }: Options,
): Environment {
  return {
    ...tenant.environment,
    ...tenant.allowItems(
      tables.tenant,
      { actions: ['GetItem'], collections: ['CLUSTERS'] },
      { actions: ['Query'], collections: ['ACCESS_RULES'] },
    ),
    ...tenant.allowObjects(buckets.logs, { actions: ['PutObject'], path: 'cluster/' }),
    ...tenant.allowObjects(buckets.logs, { actions: ['PutObject'], path: 'audit/' }),
    ...tables.identities.grant(
      role,
      { actions: ['GetItem'], partitions: ['CREDENTIAL#*', 'SUBJECT#*'] },
      notingKeyUse,
    ),
    ...tables.directory.grant(
      role,
      { actions: ['GetItem'], partitions: ['CERT#*'] },
      { actions: ['Query'], partitions: ['REVOCATIONS'] },
      { actions: ['GetItem', 'PutItem', 'UpdateItem'], partitions: ['CLUSTER#*'] },
      { actions: ['GetItem', 'PutItem'], partitions: ['TASK#*'] },
    ),
    ...secrets.grantServe(role),
    ...identity.environment,
    ACCESS_URL: network.addresses.accessUrl,
    LISTEN_ADDRESS: '0.0.0.0',
    TUNNEL_PORT: containerPorts.tunnel,
    ACCESS_PORT: containerPorts.access,
    HEALTH_PORT: containerPorts.health,
    METRICS_PORT: metricsPort,
    ...(settings.tenantLimits === undefined ? {} : { TENANT_LIMITS: settings.tenantLimits }),
  };
}

/** The port of the issuer that keys are fetched from; ours (Cognito) listens on 443. */
function issuerPort(issuer: string | undefined): number {
  const { port, protocol } = new URL(issuer ?? 'https://cognito');
  return Number(port || (protocol === 'http:' ? 80 : 443));
}

const texts = (environment: Environment): Record<string, string> =>
  Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, String(value)]));

/** `<account>.dkr.ecr.<region>.amazonaws.com/<name>` with tag or digest: the task needs rights to pull that. */
const ecrImage =
  /^(?<account>\d{12})\.dkr\.ecr\.(?<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?\/(?<name>[^:@]+)(?:[:@](?<version>.+))?$/;

/** The image that exists already, or the one that `cdk deploy` builds from the bundle (COPY only, so for any machine). */
function image(scope: Construct, existing: string | undefined, directory: string): ContainerImage {
  if (!existing) return ContainerImage.fromAsset(directory, { platform: Platform.LINUX_ARM64 });
  const { account, region, name, version } = ecrImage.exec(existing)?.groups ?? {};
  if (!account || !region || !name) return ContainerImage.fromRegistry(existing);
  const repository = Repository.fromRepositoryAttributes(scope, 'Repository', {
    repositoryName: name,
    repositoryArn: Stack.of(scope).formatArn({
      service: 'ecr',
      region,
      account,
      resource: 'repository',
      resourceName: name,
    }),
  });
  return ContainerImage.fromEcrRepository(repository, version);
}
