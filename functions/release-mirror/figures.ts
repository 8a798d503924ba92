import type { Mirrored } from './mirror-releases.ts';

export const metricNamespace = 'Cattery';
/** The one dimension, `service`, of this function's metrics. */
export const serviceName = 'release-mirror';

/** What one run writes, zeros included: the alarm ends with the first run that refuses nothing. */
export const figures = ({
  stored,
  refused,
}: Pick<Mirrored, 'stored' | 'refused'>): { readonly name: string; readonly value: number }[] => [
  { name: 'ManifestsRefused', value: refused.length },
  { name: 'ManifestsStored', value: stored.length },
];

/** Names each refused file and why; undefined when there is none. */
export function refusalError(refused: Mirrored['refused']): Error | undefined {
  if (refused.length === 0) return undefined;
  const each = refused.map(({ version, name, code, why }) => `${version}/${name}: ${code}, ${why}`);
  return new Error(`Refused: ${each.join('; ')}.`);
}
