import { Certificate, CertificateValidation, type ICertificate } from 'aws-cdk-lib/aws-certificatemanager';
import type { NetworkLoadBalancer } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import {
  ARecord,
  HostedZone,
  type IAliasRecordTarget,
  type IHostedZone,
  RecordTarget,
} from 'aws-cdk-lib/aws-route53';
import { LoadBalancerTarget } from 'aws-cdk-lib/aws-route53-targets';
import { Construct } from 'constructs';
import type { Settings } from './settings.ts';

type Host = 'api' | 'access' | 'tunnel';

/** A domain of one's own: its hosts, the certificate for them, and, where Route 53 holds it, the records. */
export class Domain extends Construct {
  readonly certificate: ICertificate;
  readonly #name: string;
  readonly #zone: IHostedZone | undefined;

  constructor(
    scope: Construct,
    id: string,
    {
      domain,
      certificateArn,
      hostedZoneId,
    }: Pick<Settings, 'certificateArn' | 'hostedZoneId'> & { domain: string },
  ) {
    super(scope, id);
    this.#name = domain;
    this.#zone = hostedZoneId
      ? HostedZone.fromHostedZoneAttributes(this, 'Zone', { hostedZoneId, zoneName: domain })
      : undefined;
    this.certificate = certificateArn
      ? Certificate.fromCertificateArn(this, 'Certificate', certificateArn)
      : new Certificate(this, 'Certificate', {
          domainName: this.host('access'),
          subjectAlternativeNames: [this.host('api')],
          validation: CertificateValidation.fromDns(this.#zone),
        });
  }

  host(host: Host): string {
    return `${host}.${this.#name}`;
  }

  /** Points hosts to the load balancer; without a zone of ours that is done by hand (docs/deploy.md). */
  pointTo(loadBalancer: NetworkLoadBalancer, ...hosts: readonly Host[]): void {
    for (const host of hosts) this.alias(this, host, new LoadBalancerTarget(loadBalancer));
  }

  /** One alias record, made in the scope that knows the target. */
  alias(scope: Construct, host: Host, target: IAliasRecordTarget): void {
    if (!this.#zone) return;
    new ARecord(scope, `${host}Record`, {
      zone: this.#zone,
      recordName: this.host(host),
      target: RecordTarget.fromAlias(target),
    });
  }
}
