import { printable } from './failure.ts';

/** Rows under a heading, in columns as wide as they need, as kubectl prints them. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [heading, ...rows.map((row) => row.map(printable))];
  const widths = heading.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? '').length)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('   ')
          .trimEnd()}\n`,
    )
    .join('');
}

const units = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
] as const;

/** How long ago, or until when, in its largest unit: `5m`. */
export function span(ms: number): string {
  const [size, name] = units.find(([each]) => Math.abs(ms) >= each) ?? [1_000, 's'];
  return `${Math.floor(Math.abs(ms) / size)}${name}`;
}
