import { describe, expect, test } from '@jest/globals';
import { embeddedLines, MinuteLines } from '../../../tunnel-fargate/metrics/minute-lines.ts';
import { until } from '../tunnel-fixture.ts';

type Line = {
  _aws: {
    Timestamp: number;
    CloudWatchMetrics: {
      Namespace: string;
      Dimensions: string[][];
      Metrics: { Name: string; Unit: string }[];
    }[];
  };
  [name: string]: unknown;
};
const parsed = (lines: readonly string[]) => lines.map((line) => JSON.parse(line) as Line);

describe('a line for CloudWatch', () => {
  test('is one JSON line that names each metric once, with its unit and value, under one dimension', () => {
    const time = Date.now();
    const lines = embeddedLines(
      [
        { name: 'Tunnels', unit: 'Count', value: 3 },
        { name: 'PingRtt', unit: 'Seconds', value: [0.1, 0.2] },
      ],
      time,
    );
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain('\n');
    expect(parsed(lines)[0]).toEqual({
      _aws: {
        Timestamp: time,
        CloudWatchMetrics: [
          {
            Namespace: 'Cattery',
            Dimensions: [['service']],
            Metrics: [
              { Name: 'Tunnels', Unit: 'Count' },
              { Name: 'PingRtt', Unit: 'Seconds' },
            ],
          },
        ],
      },
      service: 'tunnel',
      Tunnels: 3,
      PingRtt: [0.1, 0.2],
    });
  });

  test('has at most 100 metrics; more take another line, and none is lost', () => {
    const minute = Array.from({ length: 230 }, (_, index) => ({
      name: `M${index}`,
      unit: 'Count' as const,
      value: index,
    }));
    const lines = parsed(embeddedLines(minute, Date.now()));
    const names = lines.map(({ _aws }) => _aws.CloudWatchMetrics.flatMap(({ Metrics }) => Metrics));
    expect(Math.max(...names.map(({ length }) => length))).toBeLessThanOrEqual(100);
    expect(names.flat().map(({ Name }) => Name)).toEqual(minute.map(({ name }) => name));
  });
});

describe('the minute lines', () => {
  test('come in their interval, and once more at the end', async () => {
    const lines: string[] = [];
    let [minutes, restarts] = [0, 0];
    const writing = new MinuteLines({
      metrics: { minute: () => [{ name: 'Tunnels', unit: 'Count', value: (minutes += 1) }] },
      write: (line) => lines.push(line),
      now: Date.now,
      intervalMs: 5,
      onLine: () => (restarts += 1),
    });
    await until(() => lines.length >= 2);
    const before = lines.length;
    writing.close();
    writing.close();
    expect(lines).toHaveLength(before + 1);
    expect(restarts).toBe(lines.length);
    expect(parsed(lines).map(({ Tunnels }) => Tunnels)).toEqual(lines.map((_, index) => index + 1));
  });
});
