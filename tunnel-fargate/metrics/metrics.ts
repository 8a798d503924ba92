import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import {
  type CounterName,
  type Figure,
  type FigureName,
  figures,
  type GaugeName,
  type HistogramName,
  otherValue,
} from './figures.ts';
import { Sample } from './sample.ts';

/** A number, or one per value of the label. */
export type Reading = number | Readonly<Record<string, number>>;
/** How gauges are now, and what rooms have counted themselves since they began. */
export type Readings = Readonly<Partial<Record<GaugeName | CounterName, () => Reading>>>;

/** What happened since the last such answer, and how it is now; by name in CloudWatch. */
export type Minute = readonly {
  readonly name: string;
  readonly unit: Figure['unit'];
  /** A histogram has up to 100 observed values. */
  readonly value: number | readonly number[];
}[];

type Options = {
  /** 0 ≤ random() < 1: which of many observations the minute keeps. */
  readonly random: () => number;
};

const table: Readonly<Record<FigureName, Figure>> = figures;
const names = Object.keys(figures) as FigureName[];
const prefix = 'cattery_';

/**
 * The figures of one server. Rooms do not know it: what they report comes in through their own callbacks
 * (server.ts ties the two together), and what they hold is read when it is asked for.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #counters = new Map<FigureName, Counter>();
  readonly #histograms = new Map<FigureName, Histogram>();
  readonly #readings = new Map<FigureName, () => Reading>();
  readonly #random: () => number;
  /** Since the last minute line, by name in CloudWatch. */
  #counted = new Map<string, number>();
  #observed = new Map<string, Sample>();
  /** Totals of rooms at the last minute line, by name in CloudWatch. */
  readonly #told = new Map<string, number>();

  constructor({ random }: Options) {
    this.#random = random;
    for (const name of names) {
      const figure = table[name];
      if (figure.kind === 'counter') this.#addCounter(name, figure);
      else if (figure.kind === 'histogram') this.#addHistogram(name, figure);
    }
  }

  /** From now on these are read where they are. A gauge that nobody reads is left out. */
  read(readings: Readings): void {
    for (const [name, reading] of Object.entries(readings) as [FigureName, () => Reading][]) {
      this.#readings.set(name, reading);
      if (table[name].kind === 'gauge') this.#addGauge(name, table[name], reading);
    }
  }

  /** `value` of a figure with a label; what is not in its set counts as "other". */
  count(name: CounterName, { value, by = 1 }: { value?: string; by?: number } = {}): void {
    if (!(by > 0)) return;
    const { label, emf } = table[name];
    const known = label && knownValue(label, value);
    this.#counters.get(name)?.inc(labelsOf(label, known), by);
    const line = emfName(emf, known);
    this.#counted.set(line, (this.#counted.get(line) ?? 0) + by);
  }

  /** In the unit of the figure. */
  observe(name: HistogramName, observation: number, { value }: { value?: string } = {}): void {
    if (!Number.isFinite(observation)) return;
    const { label, emf } = table[name];
    const known = label && knownValue(label, value);
    this.#histograms.get(name)?.observe(labelsOf(label, known), observation);
    const line = emfName(emf, known);
    const sample = this.#observed.get(line) ?? new Sample(this.#random);
    sample.add(observation);
    this.#observed.set(line, sample);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** The exposition in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** What the minute line says; the next one starts from here. Counters that did not move are left out. */
  minute(): Minute {
    const lines = names.flatMap((name) => this.#minuteOf(table[name], name));
    this.#counted = new Map();
    this.#observed = new Map();
    return lines;
  }

  #minuteOf({ kind, label, emf, unit }: Figure, name: FigureName): Minute {
    const reading = this.#readings.get(name);
    if (reading) {
      return [...readingsOf(reading(), label)].flatMap(([value, total]) => {
        const key = emfName(emf, value);
        const moved = kind === 'gauge' ? total : this.#movedTo(key, total);
        return kind === 'gauge' || moved > 0 ? [{ name: key, unit, value: moved }] : [];
      });
    }
    return (label ? [...label.values, otherValue] : [undefined]).flatMap((value) => {
      const key = emfName(emf, value);
      const found = kind === 'counter' ? this.#counted.get(key) : this.#observed.get(key)?.values;
      return found === undefined ? [] : [{ name: key, unit, value: found }];
    });
  }

  /** By how much a room's total has grown since the last minute line. */
  #movedTo(key: string, total: number): number {
    const moved = total - (this.#told.get(key) ?? 0);
    this.#told.set(key, total);
    return moved;
  }

  #addCounter(name: FigureName, figure: Figure): void {
    const { label } = figure;
    const reading = () => this.#readings.get(name);
    const counter = new Counter({
      ...this.#shared(figure),
      name: `${prefix}${name}_total`,
      collect() {
        const read = reading();
        if (!read) return;
        this.reset();
        for (const [value, total] of readingsOf(read(), label)) this.inc(labelsOf(label, value), total);
      },
    });
    // From 0 on, so that a first event is an increase.
    for (const value of label?.values ?? [undefined]) counter.inc(labelsOf(label, value), 0);
    this.#counters.set(name, counter);
  }

  #addHistogram(name: FigureName, figure: Figure): void {
    const buckets = [...(figure.buckets ?? [])];
    this.#histograms.set(name, new Histogram({ ...this.#shared(figure), name: prefix + name, buckets }));
  }

  #addGauge(name: FigureName, figure: Figure, reading: () => Reading): void {
    const { label } = figure;
    new Gauge({
      ...this.#shared(figure),
      name: prefix + name,
      collect() {
        this.reset();
        for (const [value, number] of readingsOf(reading(), label)) this.set(labelsOf(label, value), number);
      },
    });
  }

  #shared({ help, label }: Figure) {
    return { help, registers: [this.#registry], labelNames: label ? [label.name] : [] };
  }
}

type Label = NonNullable<Figure['label']>;

const knownValue = ({ values }: Label, value: string | undefined): string =>
  value !== undefined && values.includes(value) ? value : otherValue;

const labelsOf = (label: Label | undefined, value: string | undefined): Record<string, string> =>
  label && value !== undefined ? { [label.name]: value } : {};

const emfName = (name: string, value: string | undefined): string =>
  value === undefined ? name : `${name}.${value}`;

/** By the values of the label's set; what a room says beyond it is dropped. */
function* readingsOf(
  reading: Reading | undefined,
  label: Label | undefined,
): Generator<[string | undefined, number]> {
  if (typeof reading === 'number') {
    if (Number.isFinite(reading)) yield [undefined, reading];
    return;
  }
  for (const [value, number] of Object.entries(reading ?? {})) {
    if (label?.values.includes(value) && Number.isFinite(number)) yield [value, number];
  }
}
