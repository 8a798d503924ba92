import { beforeAll, describe, expect, test } from '@jest/globals';
import { Match } from 'aws-cdk-lib/assertions';
import { type Resource, synthesise, type Synthesis } from './synthesis.ts';

const only = (synthesis: Synthesis, type: string): Resource => {
  const [resource, ...more] = Object.values(synthesis.resources(type));
  if (!resource || more.length > 0) throw new Error(`not one ${type}`);
  return resource;
};

describe('the network', () => {
  let synthesis: Synthesis;
  beforeAll(async () => {
    synthesis = await synthesise();
  });

  test('has public subnets in two zones, gateway endpoints for S3 and DynamoDB, and no NAT gateway', () => {
    const { network } = synthesis.templates;
    network.resourceCountIs('AWS::EC2::NatGateway', 0);
    network.resourceCountIs('AWS::EC2::Subnet', 2);
    const endpoints = Object.values(synthesis.resources('AWS::EC2::VPCEndpoint')).map(
      ({ Properties }) => Properties,
    );
    expect(endpoints.map(({ VpcEndpointType }) => VpcEndpointType)).toEqual(['Gateway', 'Gateway']);
    expect(JSON.stringify(endpoints)).toMatch(/\.s3".*\.dynamodb"/);
  });

  test('lets the world into the load balancer on 9000 and 443, and into the tasks only from there', () => {
    const groups = synthesis.resources('AWS::EC2::SecurityGroup');
    const world = Object.entries(groups).flatMap(([name, { Properties }]) =>
      ((Properties.SecurityGroupIngress ?? []) as { FromPort: number }[]).map(({ FromPort }) => ({
        name,
        FromPort,
      })),
    );
    expect(world.map(({ FromPort }) => FromPort).sort()).toEqual([443, 9000]);
    const balancer = (
      only(synthesis, 'AWS::ElasticLoadBalancingV2::LoadBalancer').Properties.SecurityGroups as unknown[]
    )[0];
    expect(new Set(world.map(({ name }) => name)).size).toBe(1);
    expect(balancer).toEqual({ 'Fn::GetAtt': [world[0]?.name, 'GroupId'] });
    const inwards = Object.values(synthesis.resources('AWS::EC2::SecurityGroupIngress'));
    expect(inwards.map(({ Properties }) => Properties.FromPort).sort()).toEqual([8080, 8443, 9000]);
    for (const { Properties } of inwards) expect(Properties.SourceSecurityGroupId).toEqual(balancer);
  });

  test('keeps the load balancer: it is protected, and reaches the one task from both zones', () => {
    const { Properties } = only(synthesis, 'AWS::ElasticLoadBalancingV2::LoadBalancer');
    expect(Properties).toMatchObject({ Type: 'network', Scheme: 'internet-facing' });
    expect(Properties.LoadBalancerAttributes).toEqual(
      expect.arrayContaining([
        { Key: 'deletion_protection.enabled', Value: 'true' },
        { Key: 'load_balancing.cross_zone.enabled', Value: 'true' },
      ]),
    );
  });

  test('passes 9000 and, without a domain, 443 through as TCP', () => {
    const listeners = Object.values(synthesis.resources('AWS::ElasticLoadBalancingV2::Listener'));
    expect(listeners.map(({ Properties }) => [Properties.Port, Properties.Protocol])).toEqual([
      [9000, 'TCP'],
      [443, 'TCP'],
    ]);
    expect(listeners[1]?.Properties.ListenerAttributes).toEqual([
      { Key: 'tcp.idle_timeout.seconds', Value: '6000' },
    ]);
  });

  test('asks the health port, drains for 30 s, and resets no connection of a task that says it is not ready', () => {
    const groups = Object.values(synthesis.resources('AWS::ElasticLoadBalancingV2::TargetGroup'));
    expect(groups).toHaveLength(2);
    for (const { Properties } of groups) {
      expect(Properties).toMatchObject({
        TargetType: 'ip',
        HealthCheckProtocol: 'HTTP',
        HealthCheckPort: '8080',
        HealthCheckPath: '/ready',
      });
      expect(Properties.TargetGroupAttributes).toEqual(
        expect.arrayContaining([
          { Key: 'deregistration_delay.timeout_seconds', Value: '30' },
          { Key: 'deregistration_delay.connection_termination.enabled', Value: 'false' },
          { Key: 'target_health_state.unhealthy.connection_termination.enabled', Value: 'false' },
          { Key: 'preserve_client_ip.enabled', Value: 'true' },
        ]),
      );
    }
  });

  test('tells clusters and users the name of the load balancer, and that our own roots verify it', () => {
    const variables = Object.values(synthesis.resources('AWS::Lambda::Function', 'api'))
      .map(({ Properties }) => Properties.Environment as { Variables: Record<string, unknown> } | undefined)
      .map((environment) => environment?.Variables)
      .find((told) => told?.ACCESS_TRUST !== undefined);
    expect(variables?.ACCESS_TRUST).toBe('deployment');
    expect(JSON.stringify(variables?.ACCESS_URL)).toContain('LoadBalancer');
    expect(JSON.stringify(variables?.TUNNEL_ADDRESS)).toContain(':9000');
  });
});

describe('the tunnel service', () => {
  let synthesis: Synthesis;
  beforeAll(async () => {
    synthesis = await synthesise();
  });

  test('is one arm64 task that is stopped before the next starts, with 120 s to end, and is rolled back when it fails', () => {
    const service = only(synthesis, 'AWS::ECS::Service').Properties;
    expect(service).toMatchObject({
      DesiredCount: 1,
      LaunchType: 'FARGATE',
      DeploymentConfiguration: {
        MaximumPercent: 100,
        MinimumHealthyPercent: 0,
        DeploymentCircuitBreaker: { Enable: true, Rollback: true },
      },
    });
    const task = only(synthesis, 'AWS::ECS::TaskDefinition').Properties;
    expect(task.RuntimePlatform).toEqual({ CpuArchitecture: 'ARM64', OperatingSystemFamily: 'LINUX' });
    expect(task.ContainerDefinitions).toEqual([
      expect.objectContaining({ StopTimeout: 120, ReadonlyRootFilesystem: true, User: '1000:1000' }),
    ]);
  });

  test('offers its figures inside the task only: their port is mapped to nothing and no group lets anyone in', () => {
    const [container] = only(synthesis, 'AWS::ECS::TaskDefinition').Properties.ContainerDefinitions as {
      Environment: { Name: string; Value: unknown }[];
      PortMappings: { ContainerPort: number }[];
    }[];
    const port = Number(container?.Environment.find(({ Name }) => Name === 'METRICS_PORT')?.Value);
    expect(port).toBeGreaterThan(1_024);
    expect(container?.PortMappings.map(({ ContainerPort }) => ContainerPort)).not.toContain(port);
    const rules = ['AWS::EC2::SecurityGroupIngress', 'AWS::EC2::SecurityGroupEgress'].flatMap((type) =>
      Object.values(synthesis.resources(type)),
    );
    expect(rules.length).toBeGreaterThan(3);
    for (const { Properties } of rules) expect([Properties.FromPort, Properties.ToPort]).not.toContain(port);
  });

  test('starts after our own certificates were made', () => {
    const made = Object.keys(synthesis.resources('Custom::Trigger', 'network'));
    expect(made).toHaveLength(1);
    expect(only(synthesis, 'AWS::ECS::Service').DependsOn).toEqual(expect.arrayContaining(made));
  });

  test('gets certificates looked after every 12 hours', () => {
    synthesis.templates.network.hasResourceProperties('AWS::Events::Rule', {
      ScheduleExpression: 'rate(12 hours)',
    });
  });

  test('runs an image that exists already, which needs no right to pull unless it is in ECR', async () => {
    const image = (of: Synthesis) =>
      JSON.stringify(
        (only(of, 'AWS::ECS::TaskDefinition').Properties.ContainerDefinitions as { Image: unknown }[])[0]
          ?.Image,
      );
    const anywhere = await synthesise({ tunnelImage: 'ghcr.io/example/cattery-tunnel@sha256:00' });
    expect(image(anywhere)).toBe('"ghcr.io/example/cattery-tunnel@sha256:00"');
    expect(JSON.stringify(anywhere.templates.network.toJSON())).not.toContain('ecr:');
    const ecr = await synthesise({
      tunnelImage: '111122223333.dkr.ecr.eu-west-1.amazonaws.com/cattery/tunnel:1.2',
    });
    expect(image(ecr)).toContain('/cattery/tunnel:1.2');
    expect(JSON.stringify(ecr.templates.network.toJSON())).toContain('ecr:BatchGetImage');
  });
});

describe('a domain', () => {
  const access = (synthesis: Synthesis) =>
    Object.values(synthesis.resources('AWS::ElasticLoadBalancingV2::Listener')).find(
      ({ Properties }) => Properties.Port === 443,
    )?.Properties;

  test('ends TLS at the load balancer with HTTP/2, and passes it on as TLS', async () => {
    const synthesis = await synthesise({
      domain: 'cattery.example.com',
      certificateArn: 'arn:aws:acm:eu-west-1:1:certificate/x',
    });
    expect(access(synthesis)).toMatchObject({
      Protocol: 'TLS',
      AlpnPolicy: ['HTTP2Preferred'],
      Certificates: [{ CertificateArn: 'arn:aws:acm:eu-west-1:1:certificate/x' }],
    });
    synthesis.templates.network.hasResourceProperties('AWS::ElasticLoadBalancingV2::TargetGroup', {
      Protocol: 'TLS',
      Port: 8443,
    });
    synthesis.templates.network.resourceCountIs('AWS::Route53::RecordSet', 0);
  });

  test('is told to everyone instead of AWS’s own names', async () => {
    const { templates } = await synthesise({ domain: 'cattery.example.com' });
    templates.network.hasOutput('AccessUrl', { Value: 'https://access.cattery.example.com' });
    templates.network.hasOutput('TunnelAddress', { Value: 'tunnel.cattery.example.com:9000' });
    templates.api.hasOutput('ApiUrl', { Value: 'https://api.cattery.example.com' });
    templates.api.hasResourceProperties('AWS::Lambda::Function', {
      Environment: { Variables: Match.objectLike({ ACCESS_TRUST: 'system' }) },
    });
    templates.api.hasResourceProperties('AWS::ApiGateway::DomainName', {
      DomainName: 'api.cattery.example.com',
    });
    templates.api.hasResourceProperties('AWS::ApiGateway::RestApi', { DisableExecuteApiEndpoint: true });
  });

  test('in a zone of ours gets a certificate for both hosts and three records', async () => {
    const synthesis = await synthesise({ domain: 'cattery.example.com', hostedZoneId: 'Z0123456789' });
    synthesis.templates.network.hasResourceProperties('AWS::CertificateManager::Certificate', {
      DomainName: 'access.cattery.example.com',
      SubjectAlternativeNames: ['api.cattery.example.com'],
      ValidationMethod: 'DNS',
    });
    const records = Object.values(synthesis.resources('AWS::Route53::RecordSet'));
    expect(records.map(({ Properties }) => Properties.Name).sort()).toEqual(
      ['access', 'api', 'tunnel'].map((host) => `${host}.cattery.example.com.`),
    );
  });
});

test('addresses of the settings go before all others', async () => {
  const { templates } = await synthesise({
    apiUrl: 'https://127.0.0.1:8443',
    accessUrl: 'https://127.0.0.1:9443',
    tunnelAddress: '127.0.0.1:9000',
  });
  templates.api.hasResourceProperties('AWS::Lambda::Function', {
    Environment: {
      Variables: Match.objectLike({
        API_URL: 'https://127.0.0.1:8443',
        ACCESS_URL: 'https://127.0.0.1:9443',
        ACCESS_TRUST: 'deployment',
        TUNNEL_ADDRESS: '127.0.0.1:9000',
      }),
    },
  });
  templates.network.hasResourceProperties('AWS::Lambda::Function', {
    Environment: { Variables: Match.objectLike({ ACCESS_URL: 'https://127.0.0.1:9443' }) },
  });
});
