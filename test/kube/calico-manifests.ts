import { existsSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');

/**
 * Upstream's manifests, `<version>/operator-crds.yaml` and so on: CALICO_MANIFESTS, or what lies beside this repository
 * (`npm run releases -- check DIR` verifies such a directory). undefined: not here, which is said once.
 */
export const calicoManifests: string | undefined = (() => {
  const directory = path.resolve(root, process.env.CALICO_MANIFESTS ?? '../shared/calico');
  if (existsSync(directory)) return directory;
  console.log(
    `no Calico manifests in ${directory} (CALICO_MANIFESTS): the tests that apply them are skipped`,
  );
  return undefined;
})();
