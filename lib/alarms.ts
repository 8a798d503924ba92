import { Duration } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, type IMetric, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { RestApi } from 'aws-cdk-lib/aws-apigateway';
import type { NetworkTargetGroup } from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import { FilterPattern, MetricFilter } from 'aws-cdk-lib/aws-logs';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
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
