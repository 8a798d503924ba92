import { createHash } from 'node:crypto';
import * as z from 'zod';
import type { KubeClient, KubeObject } from './kube-client.ts';

const groupList = z.object({
  groups: z.array(z.object({ preferredVersion: z.object({ groupVersion: z.string() }) })),
});
const resourceList = z.object({
  resources: z.array(z.object({ name: z.string(), verbs: z.array(z.string()) })),
});

/** Objects that change by themselves in any cluster: heartbeats and what tells of them. */
const restless = new Set(['events', 'leases', 'nodes', 'endpointslices', 'endpoints']);

/**
 * Every object of the cluster, `resource.group/namespace/name`, with a digest of what somebody decided about it: all but
 * its status, which a node that misses a heartbeat changes, too, and the bookkeeping of the API.
 */
export async function inventory(client: KubeClient): Promise<ReadonlyMap<string, string>> {
  const { groups } = groupList.parse(await client.document('/apis'));
  const roots = [
    '/api/v1',
    ...groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`),
  ];
  const found = new Map<string, string>();
  await Promise.all(
    roots.map(async (root) => {
      const { resources } = resourceList.parse((await client.document(root)) ?? { resources: [] });
      const group = root.split('/')[2] ?? '';
      const listed = resources.filter(
        ({ name, verbs }) => verbs.includes('list') && !name.includes('/') && !restless.has(name),
      );
      await Promise.all(
        listed.map(async ({ name: resource }) => {
          for (const object of await client.list(`${root}/${resource}`)) {
            const kind = group === 'v1' ? resource : `${resource}.${group}`;
            const { namespace = '', name } = object.metadata;
            found.set(`${kind}/${namespace}/${name}`, digest(object));
          }
        }),
      );
    }),
  );
  return found;
}

/** What became of a cluster: names that came, went, or are of another content. */
export function difference(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): { came: string[]; went: string[]; changed: string[] } {
  const names = (map: ReadonlyMap<string, string>) => [...map.keys()].sort();
  return {
    came: names(after).filter((name) => !before.has(name)),
    went: names(before).filter((name) => !after.has(name)),
    changed: names(after).filter((name) => before.has(name) && before.get(name) !== after.get(name)),
  };
}

function digest({ status: _, metadata, ...object }: KubeObject): string {
  const { resourceVersion: _version, managedFields: _fields, generation: _generation, ...decided } = metadata;
  return createHash('sha256')
    .update(JSON.stringify([object, decided]))
    .digest('hex');
}
