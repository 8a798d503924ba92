import { chooseClusters, listClusters } from '../clusters.ts';
import { openApi } from '../credential.ts';
import type { DeploymentOptions } from '../deployment.ts';
import { printable } from '../failure.ts';
import type { Surroundings } from '../surroundings.ts';
import { contextOf, entriesFor } from './entries.ts';
import { changeKubeconfig, defaultKubeconfig } from './kubeconfig-file.ts';

export type KubeconfigOptions = DeploymentOptions & {
  /** Into the kubeconfig that kubectl uses, or into `output`. */
  readonly merge?: boolean;
  /** File instead of standard output. */
  readonly output?: string;
  /** Make the first cluster's context the current one. */
  readonly use?: boolean;
};

/** Writes a kubeconfig for clusters, named by name or ID, or merges them into one that is there. */
export async function writeKubeconfig(
  surroundings: Surroundings,
  wanted: readonly string[],
  options: KubeconfigOptions,
): Promise<void> {
  const { deployment, api } = await openApi(surroundings, options);
  const clusters = chooseClusters(await listClusters(api), wanted);
  const entries = await entriesFor(surroundings, deployment, api, clusters);
  const { freshKubeconfig, mergedKubeconfig } = await import('./merge.ts');
  const first = entries.contexts[0]?.name;
  if (!options.merge && options.output === undefined) {
    surroundings.out(freshKubeconfig(entries));
    return;
  }
  const file = options.output ?? defaultKubeconfig(surroundings);
  await changeKubeconfig(file, (text) =>
    options.merge
      ? mergedKubeconfig(text, entries, options.use ? first : undefined)
      : freshKubeconfig(entries),
  );
  const contexts = clusters.map(contextOf);
  surroundings.err(printable(`${file} has the contexts ${contexts.join(', ')}.`) + '\n');
  surroundings.err(printable(`Try: kubectl --context ${contexts[0] ?? ''} get pods -A`) + '\n');
}
