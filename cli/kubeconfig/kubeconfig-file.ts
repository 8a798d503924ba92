import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { withFileLock } from '../file-lock.ts';
import { errorCode, readIfPresent, writePrivateFile } from '../private-file.ts';
import type { Surroundings } from '../surroundings.ts';

/** As client-go: of `$KUBECONFIG` the first file that exists, else its last; without it ~/.kube/config. */
export function defaultKubeconfig({ env, home }: Pick<Surroundings, 'env' | 'home'>): string {
  const named = (env.KUBECONFIG ?? '').split(path.delimiter).filter(Boolean);
  return named.find((file) => existsSync(file)) ?? named.at(-1) ?? path.join(home, '.kube', 'config');
}

/**
 * Replaces a kubeconfig by what `change` makes of its text (empty when there is none): whole or not at all, 0600, and
 * with the lock that `kubectl config` takes. A link stays a link.
 */
export async function changeKubeconfig(file: string, change: (text: string) => string): Promise<void> {
  const target = await realpath(file).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return path.resolve(file);
    throw error;
  });
  await withFileLock(
    `${target}.lock`,
    async () => writePrivateFile(target, change((await readIfPresent(target)) ?? '')),
    // A lock of kubectl's says nothing of who holds it, so it is never taken for a dead one's.
    { waitMs: 5_000, staleMs: Infinity },
  );
}
