import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { type Figure, figures } from '../../../tunnel-fargate/metrics/figures.ts';

test('docs/metrics.md lists every figure as it is, and no other', () => {
  const page = readFileSync(path.join(import.meta.dirname, '../../../docs/metrics.md'), 'utf8');
  const listed = page.split('\n').filter((line) => line.startsWith('| `cattery_'));
  const rows = Object.entries<Figure>(figures).map(([name, { kind, emf, unit, label, help }]) => {
    const values = label ? `\`${label.name}\`: ${label.values.map((value) => `\`${value}\``).join(' ')}` : '';
    const full = `cattery_${name}${kind === 'counter' ? '_total' : ''}`;
    return `| \`${full}\` | \`${emf}\` | ${kind}, ${unit} | ${values} | ${help} |`;
  });
  expect(listed.map((line) => line.replaceAll(/ +/g, ' '))).toEqual(
    rows.map((row) => row.replaceAll(/ +/g, ' ')),
  );
});
