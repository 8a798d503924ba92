import type { Evidence, RestGroup } from './evidence.ts';
import type { JudgedFinding, Suppression } from './image-schema.ts';

/** The values of one row each stand in one of these; all of a table have the same length. */
type Columns = readonly (readonly unknown[])[];

/**
 * Evidence as columns: what findings have in common stands once, and values of one kind stand beside each other, so that
 * a compressor leaves little of it. Absent values are null in JSON.
 */
export type Packed = {
  readonly vulnerabilities: Columns;
  readonly packages: Columns;
  readonly fixes: Columns;
  readonly suppressions: Columns;
  /** For each finding its rows in these tables, each as the difference from that of the finding before. */
  readonly findings: readonly (readonly number[])[];
  readonly rest: Columns;
  readonly suppressedRest: number;
};

type Vulnerability = Pick<
  JudgedFinding,
  'vulnerability' | 'aliases' | 'severity' | 'score' | 'epss' | 'knownExploited' | 'publishedAt'
>;
type Package = Pick<JudgedFinding, 'package' | 'version' | 'purl' | 'location'>;

export function packed({ findings, rest, suppressedRest }: Evidence): Packed {
  const tables = [new Table(), new Table(), new Table(), new Table()] as const;
  const rows = findings.map((each) => {
    const { vulnerability, aliases, severity, score, epss, knownExploited, publishedAt, fix, suppressed } =
      each;
    const ofVulnerability = [vulnerability, aliases, severity, score, epss?.score, epss?.percentile];
    return [
      tables[0].rowOf([...ofVulnerability, knownExploited, publishedAt]),
      tables[1].rowOf([each.package, each.version, each.purl, each.location]),
      tables[2].rowOf([fix.state, fix.versions]),
      tables[3].rowOf(
        suppressed
          ? [
              suppressed.status,
              suppressed.justification,
              suppressed.source,
              suppressed.exceptionId,
              suppressed.until,
            ]
          : [],
      ),
    ];
  });
  return {
    vulnerabilities: tables[0].columns(8),
    packages: tables[1].columns(4),
    fixes: tables[2].columns(2),
    suppressions: tables[3].columns(5),
    findings: tables.map((_, table) => differences(rows.map((row) => row[table] ?? 0))),
    rest: [
      rest.map(({ count }) => count),
      rest.map(({ tenths }) => tenths),
      rest.map(({ severity }) => severity),
      rest.map(({ isFixable }) => isFixable),
      rest.map(({ isKnownExploited }) => isKnownExploited),
      rest.map(({ epss }) => epss),
    ],
    suppressedRest,
  };
}

/** Of what `packed` has made, and JSON has carried. */
export function unpacked(json: Packed): Evidence {
  const vulnerabilities = rowsOf(json.vulnerabilities, vulnerabilityOf);
  const packages = rowsOf(json.packages, packageOf);
  const fixes = rowsOf(json.fixes, ([state, versions]) => ({ state, versions }) as JudgedFinding['fix']);
  const suppressions = rowsOf(json.suppressions, suppressionOf);
  const [ofVulnerability = [], ofPackage = [], ofFix = [], ofSuppression = []] = json.findings.map(sums);
  const findings: JudgedFinding[] = [];
  for (const [index, row] of ofVulnerability.entries()) {
    const vulnerability = vulnerabilities[row];
    const inPackage = packages[ofPackage[index] ?? -1];
    const fix = fixes[ofFix[index] ?? -1];
    if (!vulnerability || !inPackage || !fix) throw new Error('Evidence names a row that it does not have');
    const suppressed = suppressions[ofSuppression[index] ?? -1];
    findings.push({ ...vulnerability, ...inPackage, fix, ...(suppressed ? { suppressed } : {}) });
  }
  return { findings, rest: rowsOf(json.rest, groupOf), suppressedRest: json.suppressedRest };
}

/** Rows, each once, in the order in which they are first met. */
class Table {
  readonly #rows: (readonly unknown[])[] = [];
  readonly #known = new Map<string, number>();

  rowOf(row: readonly unknown[]): number {
    const key = JSON.stringify(row);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    this.#known.set(key, this.#rows.length);
    return this.#rows.push(row) - 1;
  }

  columns(width: number): Columns {
    return Array.from({ length: width }, (_, column) => this.#rows.map((row) => row[column]));
  }
}

const rowsOf = <T>(columns: Columns, read: (row: readonly unknown[]) => T): T[] =>
  (columns[0] ?? []).map((_, row) => read(columns.map((column) => column[row])));

const differences = (values: readonly number[]): number[] =>
  values.map((value, index) => value - (values[index - 1] ?? 0));

function sums(values: readonly number[]): number[] {
  let sum = 0;
  return values.map((value) => (sum += value));
}

/** A member that is left out where its column has nothing. */
const given = <K extends string>(name: K, value: unknown): Partial<Record<K, unknown>> =>
  value === null || value === undefined ? {} : ({ [name]: value } as Record<K, unknown>);

function vulnerabilityOf(row: readonly unknown[]): Vulnerability {
  const [vulnerability, aliases, severity, score, epss, percentile, knownExploited, publishedAt] = row;
  return {
    vulnerability,
    aliases,
    severity,
    ...given('score', score),
    ...(typeof epss === 'number' ? { epss: { score: epss, ...given('percentile', percentile) } } : {}),
    ...given('knownExploited', knownExploited),
    ...given('publishedAt', publishedAt),
  } as Vulnerability;
}

const packageOf = ([name, version, purl, location]: readonly unknown[]): Package =>
  ({ package: name, version, ...given('purl', purl), location }) as Package;

function suppressionOf([status, justification, source, exceptionId, until]: readonly unknown[]):
  Suppression | undefined {
  if (typeof status !== 'string') return undefined;
  return {
    status,
    ...given('justification', justification),
    ...given('source', source),
    ...given('exceptionId', exceptionId),
    ...given('until', until),
  } as Suppression;
}

const groupOf = ([
  count,
  tenths,
  severity,
  isFixable,
  isKnownExploited,
  epss,
]: readonly unknown[]): RestGroup =>
  ({ count, tenths, severity, isFixable, isKnownExploited, ...given('epss', epss) }) as RestGroup;
