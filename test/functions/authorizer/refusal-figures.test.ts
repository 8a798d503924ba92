import { Metrics } from '@aws-lambda-powertools/metrics';
import { describe, expect, test } from '@jest/globals';
import { credentialKinds } from '../../../core/credential/credential-kind.ts';
import { refusalCounter } from '../../../functions/authorizer/refusal-figures.ts';

describe('a refused credential', () => {
  test('is counted in a line of its own, in all and by its kind, with nothing else', () => {
    const lines: string[] = [];
    const metrics = new Metrics({ namespace: 'Cattery', serviceName: 'authorizer' });
    const original = metrics.singleMetric.bind(metrics);
    metrics.singleMetric = () => {
      const single = original();
      single.publishStoredMetrics = () => {
        lines.push(JSON.stringify(single.serializeMetrics()));
        return single;
      };
      return single;
    };
    const count = refusalCounter(metrics);
    for (const kind of credentialKinds) count(kind);
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(
      credentialKinds.map((kind) => ({
        _aws: {
          Timestamp: expect.any(Number),
          CloudWatchMetrics: [
            {
              Namespace: 'Cattery',
              Dimensions: [['service', 'kind'], ['service']],
              Metrics: [{ Name: 'CredentialsRefused', Unit: 'Count' }],
            },
          ],
        },
        service: 'authorizer',
        kind,
        CredentialsRefused: 1,
      })),
    );
  });
});
