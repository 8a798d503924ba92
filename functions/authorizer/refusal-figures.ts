import type { Metrics } from '@aws-lambda-powertools/metrics';
import type { CredentialKind } from '../../core/credential/credential-kind.ts';

export const metricNamespace = 'Cattery';
/** The dimension `service` of this function's metrics. */
export const serviceName = 'authorizer';
/** Counted once for each refused credential, in all and with the dimension `kind`. */
export const refusedMetric = 'CredentialsRefused';

/** Writes one line of CloudWatch's embedded format; it holds the kind and nothing of the credential or its sender. */
export const refusalCounter =
  (metrics: Metrics) =>
  (kind: CredentialKind): void =>
    // An empty set beside `kind`: the default dimension alone, for the alarm.
    void metrics
      .singleMetric()
      .addDimension('kind', kind)
      .addDimensions({})
      .addMetric(refusedMetric, 'Count', 1);
