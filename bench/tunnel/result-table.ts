import type { ResultFile, ResultRow } from './results.ts';
import { verdicts } from './targets.ts';
import type { Work } from './works.ts';

type Described = Pick<Work, 'id' | 'title' | 'scale'>;

const begin = '<!-- npm run bench: begin -->';
const end = '<!-- npm run bench: end -->';

/** A table for each work, in Markdown. `notes`: what did not take part, and why. */
export function tablesOf(
  { date, machine, rows }: ResultFile,
  works: readonly Described[],
  method: string,
  notes: readonly string[] = [],
): string {
  const ids = [...new Set(works.map(({ id }) => id))].filter((id) => rows.some(({ work }) => work === id));
  const tables = ids.map((id) => {
    const parts = works.filter((work) => work.id === id);
    return [
      `### ${id}: ${parts.map(({ title }) => title).join('; ')}`,
      '',
      `${parts.map(({ scale }) => scale).join('; ')}.`,
      '',
      '| metric | unit | peer | median | beside the Go relay |',
      '|---|---|---|---|---|',
      ...byMetric(rows.filter(({ work }) => work === id)).map(
        ({ metric, unit, peer, value, ratioToGoRelay }) =>
          `| ${metric} | ${unit} | ${peer} | ${value} | ${ratioToGoRelay === null ? '' : ratioToGoRelay.toFixed(2)} |`,
      ),
    ].join('\n');
  });
  const head = `${date.slice(0, 10)}, ${machine}. ${method}`;
  return [head, ...notes.map((note) => `Not here: ${note}.`), verdictTable(rows), ...tables].join('\n\n');
}

function verdictTable(rows: readonly ResultRow[]): string {
  return [
    '### Targets',
    '',
    '| target | peer | metric | at most | measured | |',
    '|---|---|---|---|---|---|',
    ...verdicts(rows).map(
      ({ text, peer, metric, bound, measured, isMet }) =>
        `| ${text} | ${peer} | ${metric} | ${bound} | ${measured} | ${isMet ? 'met' : '**missed**'} |`,
    ),
  ].join('\n');
}

/** Rows of one metric beside each other, in the order in which metrics and peers first came. */
function byMetric(rows: readonly ResultRow[]): ResultRow[] {
  const metrics = [...new Set(rows.map(({ metric }) => metric))];
  return metrics.flatMap((metric) => rows.filter((row) => row.metric === metric));
}

/** Puts the tables between the marks of a document. Throws when it has no marks. */
export function withTables(document: string, tables: string): string {
  const from = document.indexOf(begin);
  const to = document.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the document has no ${begin} before ${end}`);
  return `${document.slice(0, from + begin.length)}\n\n${tables}\n\n${document.slice(to)}`;
}
