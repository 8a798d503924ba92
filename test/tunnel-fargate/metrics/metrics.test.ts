import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { figures, otherValue } from '../../../tunnel-fargate/metrics/figures.ts';
import { Metrics } from '../../../tunnel-fargate/metrics/metrics.ts';
import { seriesOf } from './exposition.ts';

const metrics = () => new Metrics({ random: () => 0.5 });

/** The minute by name. */
const minuteOf = (of: Metrics) => Object.fromEntries(of.minute().map(({ name, value }) => [name, value]));

describe('the figures', () => {
  test('are there from the start with 0, each with its help, so that a first event is an increase', async () => {
    const text = await metrics().text();
    expect(text).toContain('# HELP cattery_tunnels_opened_total Tunnels that came up.');
    expect(text).toContain('# TYPE cattery_tunnels_opened_total counter');
    expect(text).toContain('cattery_tunnels_opened_total 0');
    expect(text).toContain('cattery_refusals_total{reason="CERTIFICATE_UNKNOWN"} 0');
  });

  test('count events, by the value of their label', async () => {
    const one = metrics();
    one.count('refusals', { value: 'CERTIFICATE_UNKNOWN' });
    one.count('refusals', { value: 'CERTIFICATE_UNKNOWN' });
    one.count('refusals', { value: 'NO_CERTIFICATE' });
    one.count('ingest_bytes', { by: 70_000 });
    const series = seriesOf(await one.text());
    expect(series.get('cattery_refusals_total{reason="CERTIFICATE_UNKNOWN"}')).toBe(2);
    expect(series.get('cattery_refusals_total{reason="NO_CERTIFICATE"}')).toBe(1);
    expect(series.get('cattery_ingest_bytes_total')).toBe(70_000);
  });

  test('are read where they are: gauges as they stand, totals as a room has counted them', async () => {
    const one = metrics();
    const rooms = { tunnels: 3, in: 10, out: 20 };
    one.read({ tunnels: () => rooms.tunnels, tunnel_bytes: () => ({ in: rooms.in, out: rooms.out }) });
    await one.text();
    Object.assign(rooms, { tunnels: 2, in: 15 });
    const series = seriesOf(await one.text());
    expect(series.get('cattery_tunnels')).toBe(2);
    expect(series.get('cattery_tunnel_bytes_total{direction="in"}')).toBe(15);
    expect(series.get('cattery_tunnel_bytes_total{direction="out"}')).toBe(20);
  });

  test('observe round trips into buckets of seconds', async () => {
    const one = metrics();
    for (const seconds of [0.0004, 0.02, 0.02, 3]) one.observe('ping_rtt_seconds', seconds);
    const series = seriesOf(await one.text());
    expect(series.get('cattery_ping_rtt_seconds_bucket{le="0.001"}')).toBe(1);
    expect(series.get('cattery_ping_rtt_seconds_bucket{le="0.025"}')).toBe(3);
    expect(series.get('cattery_ping_rtt_seconds_bucket{le="+Inf"}')).toBe(4);
    expect(series.get('cattery_ping_rtt_seconds_count')).toBe(4);
  });

  test('of two servers in one process are apart', async () => {
    const [one, other] = [metrics(), metrics()];
    one.count('tunnels_opened');
    expect(seriesOf(await other.text()).get('cattery_tunnels_opened_total')).toBe(0);
  });

  test('never take a label from outside: whatever a room says, every series belongs to the closed set', async () => {
    const labelled = Object.entries(figures).flatMap(([name, figure]) =>
      'label' in figure ? [{ name: name as keyof typeof figures, figure }] : [],
    );
    const value = fc.oneof(
      fc.string(),
      fc.ipV4(),
      fc.constantFrom('c-aaaaaaaaaaaaaaaaaaaa', 't-aaaaaaaaaaaaaaaaaaaa', '__proto__', 'constructor', ''),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(value, { maxLength: 20 }), async (values) => {
        const one = metrics();
        one.read({ certificate_days: () => Object.fromEntries(values.map((key) => [key, 1])) });
        for (const each of values) {
          for (const { name, figure } of labelled) {
            if (figure.kind === 'counter') one.count(name as 'refusals', { value: each });
            if (figure.kind === 'histogram') one.observe(name as 'request_seconds', 1, { value: each });
          }
        }
        for (const { name, figure } of labelled) {
          const allowed = new Set<string>([...figure.label.values, otherValue]);
          for (const [series] of seriesOf(await one.text())) {
            const [, metric, found] =
              /^cattery_(\w+?)(?:_total|_bucket|_sum|_count)?\{.*?(\w+="[^"]*")\}$/.exec(series) ?? [];
            if (metric !== name || !found?.startsWith(`${figure.label.name}=`)) continue;
            expect(allowed).toContain(found.slice(figure.label.name.length + 2, -1));
          }
        }
        const known = new Set(
          labelled.flatMap(({ figure }) =>
            [...figure.label.values, otherValue].map((each) => `${figure.emf}.${each}`),
          ),
        );
        for (const { name } of one.minute()) expect(known).toContain(name);
      }),
      { seed: 7, numRuns: 50 },
    );
  });

  test('have names that differ, in both formats, and few enough series for what they cost', () => {
    const all = Object.values(figures);
    expect(new Set(all.map(({ emf }) => emf)).size).toBe(all.length);
    const series = all.reduce(
      (sum, figure) => sum + ('label' in figure ? figure.label.values.length + 1 : 1),
      0,
    );
    expect(series).toBeLessThan(150);
  });
});

describe('a minute', () => {
  test('has what happened since the last one, and gauges as they stand', () => {
    const one = metrics();
    let bytes = 100;
    one.read({ tunnels: () => 5, tunnel_bytes: () => ({ in: bytes, out: 0 }) });
    one.count('handshakes', { value: 'accepted' });
    one.observe('ping_rtt_seconds', 0.25);
    expect(minuteOf(one)).toEqual({
      Tunnels: 5,
      'TunnelBytes.in': 100,
      'Handshakes.accepted': 1,
      PingRtt: [0.25],
    });
    bytes = 140;
    one.count('handshakes', { value: 'accepted', by: 2 });
    expect(minuteOf(one)).toEqual({ Tunnels: 5, 'TunnelBytes.in': 40, 'Handshakes.accepted': 2 });
    expect(minuteOf(one)).toEqual({ Tunnels: 5 });
  });

  test('keeps up to 100 of however many observations, so that its memory does not grow', () => {
    const one = metrics();
    for (let index = 0; index < 10_000; index += 1) one.observe('ping_rtt_seconds', index);
    expect(minuteOf(one).PingRtt).toHaveLength(100);
  });

  test('leaves out what is no number', () => {
    const one = metrics();
    one.read({ tunnels: () => NaN, resident_memory_bytes: () => 1 });
    one.observe('ping_rtt_seconds', NaN);
    one.count('ingest_bytes', { by: -1 });
    expect(minuteOf(one)).toEqual({ ResidentMemory: 1 });
  });
});
