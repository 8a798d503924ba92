import { Validations } from 'aws-cdk-lib';
import {
  FlowLogDestination,
  FlowLogTrafficType,
  GatewayVpcEndpointAwsService,
  type IVpc,
  Peer,
  Port,
  SecurityGroup,
  SubnetType,
  Vpc,
} from 'aws-cdk-lib/aws-ec2';
import { NetworkLoadBalancer } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type { IBucket } from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import type { Domain } from './domain.ts';
import type { Settings } from './settings.ts';

/** Ports that the load balancer listens on. */
export const publicPorts = { tunnel: 9000, access: 443 } as const;

/** Where clusters and users find us, as they are told. */
export type Addresses = {
  readonly accessUrl: string;
  /** host:port. */
  readonly tunnelAddress: string;
  /** Who verifies the access host: the system's roots (ACM ends TLS) or the deployment's own. */
  readonly accessTrust: 'system' | 'deployment';
};

/** The VPC and the one door into it. Nothing here reaches a cluster: clusters come to us. */
export class Network extends Construct {
  readonly vpc: IVpc;
  readonly loadBalancer: NetworkLoadBalancer;
  readonly loadBalancerGroup: SecurityGroup;
  readonly addresses: Addresses;

  constructor(
    scope: Construct,
    id: string,
    { settings, domain, accessLogs }: { settings: Settings; domain: Domain | undefined; accessLogs: IBucket },
  ) {
    super(scope, id);
    this.vpc = vpc(this, accessLogs);
    this.loadBalancerGroup = new SecurityGroup(this, 'LoadBalancerGroup', {
      vpc: this.vpc,
      description: 'Cattery: what clusters and users may dial',
      allowAllOutbound: false,
    });
    for (const [name, port] of Object.entries(publicPorts)) {
      this.loadBalancerGroup.addIngressRule(Peer.anyIpv4(), Port.tcp(port), name);
    }
    Validations.of(this.loadBalancerGroup).acknowledge({
      id: 'AwsSolutions-EC23',
      reason:
        'Clusters and users dial 9000 and 443 from anywhere; both end in TLS that knows them by credential.',
    });
    this.loadBalancer = new NetworkLoadBalancer(this, 'LoadBalancer', {
      vpc: this.vpc,
      internetFacing: true,
      // A network load balancer takes security groups at its creation and never after.
      securityGroups: [this.loadBalancerGroup],
      // While one task runs, the zone without it must lead to it as well.
      crossZoneEnabled: true,
      // Without a domain its name is what every connected cluster dials.
      deletionProtection: true,
    });
    // The CDK's own method wants a concrete region; the bucket's policy is in lib/buckets.ts.
    this.loadBalancer.setAttribute('access_logs.s3.enabled', 'true');
    this.loadBalancer.setAttribute('access_logs.s3.bucket', accessLogs.bucketName);
    this.loadBalancer.setAttribute('access_logs.s3.prefix', 'nlb');

    domain?.pointTo(this.loadBalancer, 'access', 'tunnel');
    const name = this.loadBalancer.loadBalancerDnsName;
    this.addresses = {
      accessUrl: settings.accessUrl ?? `https://${domain?.host('access') ?? name}`,
      tunnelAddress: settings.tunnelAddress ?? `${domain?.host('tunnel') ?? name}:${publicPorts.tunnel}`,
      accessTrust: domain ? 'system' : 'deployment',
    };
  }
}

/** Two zones of public subnets; no NAT gateway, which would cost more than all the rest. */
function vpc(scope: Construct, accessLogs: IBucket): IVpc {
  return new Vpc(scope, 'Vpc', {
    maxAzs: 2,
    natGateways: 0,
    subnetConfiguration: [
      { name: 'public', subnetType: SubnetType.PUBLIC, cidrMask: 24, mapPublicIpOnLaunch: false },
    ],
    gatewayEndpoints: {
      S3: { service: GatewayVpcEndpointAwsService.S3 },
      DynamoDb: { service: GatewayVpcEndpointAwsService.DYNAMODB },
    },
    flowLogs: {
      // What was refused; what came in is in the tunnel server's own log, with the cluster's name.
      Refused: {
        destination: FlowLogDestination.toS3(accessLogs, 'flow'),
        trafficType: FlowLogTrafficType.REJECT,
      },
    },
  }) as IVpc;
}
