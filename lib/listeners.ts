import { Duration } from 'aws-cdk-lib';
import type { FargateService } from 'aws-cdk-lib/aws-ecs';
import {
  AlpnPolicy,
  type INetworkLoadBalancer,
  NetworkListener,
  type NetworkListenerProps,
  NetworkTargetGroup,
  Protocol,
  SslPolicy,
  TargetType,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { Construct } from 'constructs';
import type { Domain } from './domain.ts';
import { type Network, publicPorts } from './network.ts';
import { containerPorts } from './tunnel.ts';

/** What the load balancer passes to the tunnel server: 9000 as it comes, 443 as it comes or, with a domain, behind ACM. */
export class Listeners extends Construct {
  readonly targetGroups: readonly NetworkTargetGroup[];

  constructor(
    scope: Construct,
    id: string,
    { network, service, domain }: { network: Network; service: FargateService; domain: Domain | undefined },
  ) {
    super(scope, id);
    const listener = (
      name: 'tunnel' | 'access',
      protocol: Protocol,
      props: Omit<NetworkListenerProps, 'loadBalancer' | 'port'>,
    ) => {
      const group = targetGroup(this, `${name}Targets`, {
        network,
        service,
        port: containerPorts[name],
        protocol,
      });
      const made = new NetworkListener(this, name, {
        ...props,
        loadBalancer: network.loadBalancer as INetworkLoadBalancer,
        port: publicPorts[name],
        protocol,
        defaultTargetGroups: [group],
      });
      // A service registers with groups that a listener already leads to.
      service.node.addDependency(made);
      return group;
    };
    this.targetGroups = [
      // Guardian speaks every 100 ms: the default idle timeout (350 s) finds dead peers soon enough.
      listener('tunnel', Protocol.TCP, {}),
      domain
        ? listener('access', Protocol.TLS, {
            certificates: [domain.certificate],
            sslPolicy: SslPolicy.TLS13_12_RES_PQ,
            // Off unless set, and kubectl wants HTTP/2. The idle timeout is 350 s, fixed: we ping below it.
            alpnPolicy: AlpnPolicy.HTTP2_PREFERRED,
          })
        : // A watch may be silent for long.
          listener('access', Protocol.TCP, { tcpIdleTimeout: Duration.seconds(6_000) }),
    ];
  }
}

function targetGroup(
  scope: Construct,
  id: string,
  target: { network: Network; service: FargateService; port: number; protocol: Protocol },
): NetworkTargetGroup {
  const group = new NetworkTargetGroup(scope, id, {
    vpc: target.network.vpc,
    targetType: TargetType.IP,
    port: target.port,
    protocol: target.protocol,
    targets: [target.service.loadBalancerTarget({ containerName: 'tunnel', containerPort: target.port })],
    // The log should say who was refused; the groups' rules hold for the balancer's own group all the same.
    preserveClientIp: true,
    healthCheck: {
      protocol: Protocol.HTTP,
      port: String(containerPorts.health),
      path: '/ready',
      interval: Duration.seconds(10),
      timeout: Duration.seconds(5),
      healthyThresholdCount: 2,
      unhealthyThresholdCount: 2,
    },
    // Runs before SIGTERM: new connections go elsewhere, and what runs is ended by the server, not by a reset.
    deregistrationDelay: Duration.seconds(30),
    connectionTermination: false,
  });
  // Its default is true: a task that drains says that it is not ready, and would have every tunnel reset.
  group.setAttribute('target_health_state.unhealthy.connection_termination.enabled', 'false');
  return group;
}
