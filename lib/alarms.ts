import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Metric,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { RestApi } from 'aws-cdk-lib/aws-apigateway';
import type { NetworkTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { FilterPattern, MetricFilter } from 'aws-cdk-lib/aws-logs';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { credentialKinds } from '../core/credential/credential-kind.ts';
import type { RoleFunction } from './role-function.ts';

type Condition = {
  /** Heading of docs/runbook.md, as its anchor. */
  readonly heading: string;
  readonly what: string;
  readonly metric: IMetric;
  readonly comparison: ComparisonOperator;
  readonly threshold: number;
  readonly evaluationPeriods: number;
  readonly missing: TreatMissingData;
};

/** Few alarms, each with a heading in docs/runbook.md; they notify the topic of the settings, if there is one. */
export class Alarms extends Construct {
  readonly #action: SnsAction | undefined;

  constructor(scope: Construct, id: string, alarmTopicArn: string | undefined) {
    super(scope, id);
    this.#action = alarmTopicArn
      ? new SnsAction(Topic.fromTopicArn(this, 'Topic', alarmTopicArn))
      : undefined;
  }

  /**
   * A function that failed: the platform counts a timeout or a crash, and its own log what it calls an error.
   * `throwsRefusals`: an authorizer can say 401 only by throwing, which the platform counts and logs as a failure; then
   * only what the function's own logger calls an error rings (the API's 5xx tell of its crashes), or everyone on the
   * internet could ring.
   */
  functionFails(
    { name, function: handler, logGroup }: RoleFunction<Record<string, string>>,
    { throwsRefusals = false }: { throwsRefusals?: boolean } = {},
  ): void {
    const isError = FilterPattern.stringValue('$.level', '=', 'ERROR');
    const logged = new MetricFilter(this, `${name}-logged`, {
      logGroup,
      metricNamespace: 'Cattery',
      metricName: `${name}-errors`,
      filterPattern: throwsRefusals
        ? FilterPattern.all(isError, FilterPattern.stringValue('$.service', '=', name))
        : isError,
      metricValue: '1',
    });
    const counted = { statistic: 'Sum', period: Duration.minutes(5) };
    const once = {
      heading: 'function-fails',
      comparison: ComparisonOperator.GREATER_THAN_THRESHOLD,
      threshold: 0,
      evaluationPeriods: 1,
      missing: TreatMissingData.NOT_BREACHING,
    };
    if (!throwsRefusals) {
      this.#alarm(`${name}-fails`, {
        ...once,
        what: `The function ${name} crashed or ran out of time.`,
        metric: handler.metricErrors(counted),
      });
    }
    this.#alarm(`${name}-logs-errors`, {
      ...once,
      what: `The function ${name} logged an error.`,
      metric: logged.metric(counted),
    });
  }

  /** Events of a function were given up: it failed three times, or was throttled for an hour. */
  uploadsDropped({ function: handler }: RoleFunction<Record<string, string>>): void {
    this.#alarm('uploads-dropped', {
      heading: 'uploads-dropped',
      what: 'A scan report that was uploaded was not taken, and nobody tries it again.',
      metric: handler.metric('AsyncEventsDropped', { statistic: 'Sum', period: Duration.minutes(5) }),
      comparison: ComparisonOperator.GREATER_THAN_THRESHOLD,
      threshold: 0,
      evaluationPeriods: 1,
      missing: TreatMissingData.NOT_BREACHING,
    });
  }

  /**
   * Somebody tries credentials, or something goes on with one that has ended. The threshold is what one connection that
   * never stops reaches although it is slowed down (core/credential/refusal-pace.ts).
   */
  credentialsRefused(by: 'api' | 'tunnel'): void {
    const counted = { statistic: 'Sum', period: Duration.minutes(5) };
    this.#alarm('credentials-refused', {
      heading: 'credentials-refused',
      what: `More than 500 refused credentials in five minutes (${by === 'api' ? 'API' : 'access host'}).`,
      metric:
        by === 'api'
          ? // Of all kinds together, as functions/authorizer/refusal-figures.ts counts them.
            new Metric({
              namespace: 'Cattery',
              dimensionsMap: { service: 'authorizer' },
              metricName: 'CredentialsRefused',
              ...counted,
            })
          : combined('SUM', credentialKinds, { name: 'CredentialsRefused', ...counted }),
      comparison: ComparisonOperator.GREATER_THAN_THRESHOLD,
      threshold: 500,
      evaluationPeriods: 1,
      missing: TreatMissingData.NOT_BREACHING,
    });
  }

  /** The API answers 5xx, whoever's fault: the gateway's own answers count as well. */
  apiFails(restApi: RestApi): void {
    this.#alarm('api-fails', {
      heading: 'api-fails',
      what: 'The API answered with server errors.',
      metric: restApi.metricServerError({ statistic: 'Sum', period: Duration.minutes(5) }),
      comparison: ComparisonOperator.GREATER_THAN_THRESHOLD,
      threshold: 5,
      evaluationPeriods: 1,
      missing: TreatMissingData.NOT_BREACHING,
    });
  }

  /** No tunnel server is ready: no cluster is connected and no user gets through. */
  tunnelUnreachable(targetGroups: readonly NetworkTargetGroup[]): void {
    for (const group of targetGroups) {
      this.#alarm(`${group.node.id}-unhealthy`, {
        heading: 'tunnel-unreachable',
        what: `The load balancer finds no ready tunnel server (${group.node.id}).`,
        metric: group.metrics.healthyHostCount({ statistic: 'Maximum', period: Duration.minutes(1) }),
        comparison: ComparisonOperator.LESS_THAN_THRESHOLD,
        threshold: 1,
        // A deployment with one task takes up to three minutes by design.
        evaluationPeriods: 5,
        missing: TreatMissingData.BREACHING,
      });
    }
  }

  /**
   * What the tunnel server says of itself every minute (docs/metrics.md). That it says nothing at all is no matter of
   * these: then the load balancer finds no ready one.
   */
  tunnelServer(): void {
    this.#alarm('certificate-ends-soon', {
      heading: 'certificate-ends-soon',
      what: 'A certificate that the tunnel server presents ends within 14 days and was not renewed.',
      metric: combined('MIN', ['tunnel', 'access', 'log_endpoint', 'peer'], {
        name: 'CertificateDays',
        statistic: 'Minimum',
        period: Duration.hours(1),
      }),
      comparison: ComparisonOperator.LESS_THAN_THRESHOLD,
      threshold: 14,
      evaluationPeriods: 1,
      missing: TreatMissingData.NOT_BREACHING,
    });
    const above = {
      comparison: ComparisonOperator.GREATER_THAN_THRESHOLD,
      missing: TreatMissingData.NOT_BREACHING,
    };
    this.#alarm('directory-silent', {
      ...above,
      heading: 'directory-silent',
      what: 'For three minutes the directory has not told the tunnel server what is revoked.',
      metric: ofTunnelServer('RevocationsAge', { statistic: 'Maximum', period: Duration.minutes(1) }),
      threshold: 60,
      evaluationPeriods: 3,
    });
    this.#alarm('storage-fails', {
      ...above,
      heading: 'storage-fails',
      what: 'S3 did not take flow logs or audit records of clusters and users.',
      metric: combined('SUM', ['flows', 'audit'], {
        name: 'StorageErrors',
        statistic: 'Sum',
        period: Duration.minutes(5),
      }),
      threshold: 5,
      evaluationPeriods: 2,
    });
    this.#alarm('tunnel-server-overloaded', {
      ...above,
      heading: 'tunnel-server-overloaded',
      what: 'For five minutes the tunnel server was late by half a second and more.',
      metric: ofTunnelServer('EventLoopDelay.p99', { statistic: 'Maximum', period: Duration.minutes(1) }),
      threshold: 0.5,
      evaluationPeriods: 5,
    });
  }

  /** Upstream's manifests as the mirror found them, once a day (functions/release-mirror/figures.ts). */
  manifestsRefused(): void {
    this.#alarm('manifests-refused', {
      heading: 'manifests-refused',
      what: 'A manifest of a release was not taken into the mirror: changed, truncated, or not to be had.',
      metric: new Metric({
        namespace: 'Cattery',
        dimensionsMap: { service: 'release-mirror' },
        metricName: 'ManifestsRefused',
        // A second attempt that refuses nothing is what counts, be it in the same minutes.
        statistic: 'Minimum',
        period: Duration.minutes(5),
      }),
      comparison: ComparisonOperator.GREATER_THAN_THRESHOLD,
      threshold: 0,
      evaluationPeriods: 1,
      // Between two days' runs nothing is written: it stays what the last one found.
      missing: TreatMissingData.IGNORE,
    });
  }

  #alarm(id: string, { heading, what, metric, ...condition }: Condition): void {
    const alarm = new Alarm(this, id, {
      alarmDescription: `${what} See docs/runbook.md#${heading}`,
      metric,
      comparisonOperator: condition.comparison,
      threshold: condition.threshold,
      evaluationPeriods: condition.evaluationPeriods,
      treatMissingData: condition.missing,
    });
    if (this.#action) alarm.addAlarmAction(this.#action);
  }
}

type Measure = { readonly statistic: string; readonly period: Duration };

/** Namespace and dimension as tunnel-fargate/metrics/minute-lines.ts writes them. */
const ofTunnelServer = (metricName: string, measure: Measure): Metric =>
  new Metric({ namespace: 'Cattery', dimensionsMap: { service: 'tunnel' }, metricName, ...measure });

/** Of several values of a figure's label; counters that did not move are not written. */
function combined(
  operation: 'MIN' | 'SUM',
  values: readonly string[],
  { name, ...measure }: Measure & { readonly name: string },
): MathExpression {
  const named = values.map(
    // A name in an expression has no hyphen.
    (value) => [value.replaceAll('-', '_'), ofTunnelServer(`${name}.${value}`, measure)] as const,
  );
  const terms = named.map(([term]) => (operation === 'SUM' ? `FILL(${term}, 0)` : term));
  return new MathExpression({
    expression: operation === 'SUM' ? terms.join(' + ') : `MIN([${terms.join(', ')}])`,
    usingMetrics: Object.fromEntries(named),
    period: measure.period,
  });
}
