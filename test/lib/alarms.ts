import { beforeAll, describe, expect, test } from '@jest/globals';
import { RefusalPace } from '../../core/credential/refusal-pace.ts';
import { type Figure, figures } from '../../tunnel-fargate/metrics/figures.ts';
import { metricNamespace, metricService } from '../../tunnel-fargate/metrics/minute-lines.ts';
import {
  figures as mirrorFigures,
  metricNamespace as mirrorNamespace,
  serviceName as mirrorService,
} from '../../functions/release-mirror/figures.ts';
import {
  metricNamespace as authorizerNamespace,
  refusedMetric,
  serviceName as authorizerService,
} from '../../functions/authorizer/refusal-figures.ts';
import { synthesise, type Synthesis } from './synthesis.ts';

type Metric = { Namespace?: string; MetricName?: string; Dimensions?: { Name: string; Value: string }[] };

type Part = { Id: string; Expression?: string; MetricStat?: { Metric: Metric } };

/** Names as the minute lines have them. */
const written = new Set(
  Object.values<Figure>(figures).flatMap(({ emf, label }) =>
    label ? label.values.map((value) => `${emf}.${value}`) : [emf],
  ),
);

describe('the alarms about the tunnel server', () => {
  let synthesis: Synthesis;
  let alarms: Record<string, unknown>[];
  beforeAll(async () => {
    synthesis = await synthesise();
    alarms = Object.values(synthesis.resources('AWS::CloudWatch::Alarm')).map(({ Properties }) => Properties);
  });
  const metricsOf = (alarm: Record<string, unknown>): Metric[] => {
    const combined = (alarm.Metrics ?? []) as { MetricStat?: { Metric: Metric } }[];
    return [
      alarm as Metric,
      ...combined.flatMap(({ MetricStat }) => (MetricStat ? [MetricStat.Metric] : [])),
    ].filter(({ Dimensions }) =>
      Dimensions?.some(({ Name, Value }) => Name === 'service' && Value === metricService),
    );
  };

  test('watch what it writes, by the names that it writes', () => {
    const watched = alarms.flatMap(metricsOf);
    expect(watched.length).toBeGreaterThanOrEqual(8);
    for (const { Namespace, MetricName, Dimensions } of watched) {
      expect(Namespace).toBe(metricNamespace);
      expect(Dimensions).toEqual([{ Name: 'service', Value: metricService }]);
      expect(written).toContain(MetricName);
    }
  });

  test('do not ring because it says nothing', () => {
    for (const alarm of alarms.filter((each) => metricsOf(each).length > 0)) {
      expect(alarm.TreatMissingData).toBe('notBreaching');
    }
  });

  test('every certificate that it presents is watched', () => {
    const names = alarms.flatMap(metricsOf).map(({ MetricName }) => MetricName);
    expect(names.filter((name) => name?.startsWith('CertificateDays.')).sort()).toEqual(
      figures.certificate_days.label.values.map((value) => `CertificateDays.${value}`).sort(),
    );
  });
});

describe('the alarm about the mirror', () => {
  test('watches the figure that each run writes, and stays as the last run left it', async () => {
    const { templates } = await synthesise();
    templates.api.hasResourceProperties('AWS::CloudWatch::Alarm', {
      Namespace: mirrorNamespace,
      MetricName: mirrorFigures({ stored: [], refused: [] })[0]?.name,
      Dimensions: [{ Name: 'service', Value: mirrorService }],
      ComparisonOperator: 'GreaterThanThreshold',
      Threshold: 0,
      Statistic: 'Minimum',
      TreatMissingData: 'ignore',
    });
  });
});

describe('the alarm about refused credentials', () => {
  test('watches what the authorizer counts, and what the tunnel server counts of each kind', async () => {
    const synthesis = await synthesise();
    synthesis.templates.api.hasResourceProperties('AWS::CloudWatch::Alarm', {
      Namespace: authorizerNamespace,
      MetricName: refusedMetric,
      Dimensions: [{ Name: 'service', Value: authorizerService }],
      ComparisonOperator: 'GreaterThanThreshold',
      Statistic: 'Sum',
      TreatMissingData: 'notBreaching',
    });
    const { label, emf } = figures.credentials_refused;
    const [tunnel] = Object.values(synthesis.resources('AWS::CloudWatch::Alarm'))
      .map(({ Properties }) => (Properties.Metrics ?? []) as Part[])
      .filter((parts) => parts.some(({ MetricStat }) => MetricStat?.Metric.MetricName?.startsWith(emf)));
    const counted = tunnel?.filter(({ MetricStat }) => MetricStat) ?? [];
    expect(counted.map(({ MetricStat }) => MetricStat?.Metric.MetricName)).toEqual(
      label.values.map((kind) => `${emf}.${kind}`),
    );
    const sum = tunnel?.find(({ Expression }) => Expression);
    expect(sum?.Expression).toBe(counted.map(({ Id }) => `FILL(${Id}, 0)`).join(' + '));
    for (const { Id } of counted) expect(Id).toMatch(/^[a-z]\w*$/);
  });

  test('rings for one connection that never stops, slowed down as it is', async () => {
    const synthesis = await synthesise();
    const [threshold, ...others] = Object.values(synthesis.resources('AWS::CloudWatch::Alarm'))
      .filter(({ Properties }) => JSON.stringify(Properties).includes(refusedMetric))
      .map(({ Properties }) => Properties.Threshold as number);
    expect(others).toEqual([threshold]);
    let now = 0;
    let refusals = 0;
    const wait = (ms: number) => Promise.resolve((now += ms));
    const pace = new RefusalPace({ now: () => now, wait });
    for (; now < 300_000; refusals++) await pace.refused('192.0.2.1');
    expect(refusals).toBeGreaterThan(threshold ?? Infinity);
  });
});
