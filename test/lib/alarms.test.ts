import { beforeAll, describe, expect, test } from '@jest/globals';
import { type Figure, figures } from '../../tunnel-fargate/metrics/figures.ts';
import { metricNamespace, metricService } from '../../tunnel-fargate/metrics/minute-lines.ts';
import {
  figures as mirrorFigures,
  metricNamespace as mirrorNamespace,
  serviceName as mirrorService,
} from '../../functions/release-mirror/figures.ts';
import { synthesise, type Synthesis } from './synthesis.ts';

type Metric = { Namespace?: string; MetricName?: string; Dimensions?: { Name: string; Value: string }[] };

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
      Dimensions?.some(({ Name, Value }) => Name === 'service' && Value !== mirrorService),
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
