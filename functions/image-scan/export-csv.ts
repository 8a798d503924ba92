import type { ExportRow, FoundFinding } from '../../core/image/image-search-schema.ts';

type Value = string | number | boolean | undefined;

/** The columns of the export in their order, and what of a row stands there; part of the interface (docs/image-scans.md). */
const columns: Readonly<Record<string, (row: ExportRow, finding: Partial<FoundFinding>) => Value>> = {
  image: ({ image }) => image,
  digest: ({ digest }) => digest,
  verdict: ({ verdict }) => verdict,
  clusters: ({ clusters }) => clusters.join(' '),
  scanned_at: ({ scannedAt }) => scannedAt,
  scanner: (_, { scanner }) => scanner,
  vulnerability: (_, { vulnerability }) => vulnerability,
  aliases: (_, { aliases }) => aliases?.join(' '),
  package: (_, finding) => finding.package,
  version: (_, { version }) => version,
  purl: (_, { purl }) => purl,
  location: (_, { location }) => location,
  severity: (_, { severity }) => severity,
  score: (_, { score }) => score,
  epss: (_, { epss }) => epss?.score,
  known_exploited: (_, { knownExploited }) => knownExploited,
  fix: (_, { fix }) => fix?.state,
  fixed_versions: (_, { fix }) => fix?.versions.join(' '),
  published_at: (_, { publishedAt }) => publishedAt,
  finding_verdict: (_, { verdict }) => verdict,
  rules: (_, { rules }) => rules?.join(' '),
  suppressed: (_, { suppressed }) => suppressed?.status,
  justification: (_, { suppressed }) => suppressed?.justification,
  source: (_, { suppressed }) => suppressed?.source,
  exception_id: (_, { suppressed }) => suppressed?.exceptionId,
  exception_until: (_, { suppressed }) => suppressed?.until,
};

export const csvHeader = `${Object.keys(columns).join(',')}\r\n`;

/** One record (RFC 4180), with its line end; an image without a finding has nothing in the columns of findings. */
export const csvRecord = (row: ExportRow): string =>
  `${Object.values(columns)
    .map((of) => field(of(row, row.finding ?? {})))
    .join(',')}\r\n`;

/** Spreadsheets take what begins so for a formula, which what stands in a report must not become. */
const formula = /^[=+\-@\t\r\n]/;

/** In quotes where RFC 4180 §2.6 asks for them; what would be a formula is text by the apostrophe before it. */
function field(value: Value): string {
  if (value === undefined) return '';
  const text = String(value);
  const plain = typeof value === 'string' && formula.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}
