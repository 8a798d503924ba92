/**
 * Plays the kubelet for one pod of a test's cluster. SIMULATED: no image is pulled, the programs are this machine's. What
 * the pod's specification says of command, environment, user, volumes and root file system holds, by Linux namespaces;
 * so does what the API server's admission added, the account's own token among it.
 */
import { spawnSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import type { KubeClient } from './kube-client.ts';
import type { Kube } from './kube-process.ts';
import { call, type KubectlBinary, type Outcome } from './kubectl-binary.ts';

const items = z.array(z.object({ key: z.string(), path: z.string() }));
const projection = z.looseObject({
  serviceAccountToken: z.object({ path: z.string(), expirationSeconds: z.number().optional() }).optional(),
  configMap: z.object({ name: z.string(), items }).optional(),
  downwardAPI: z.object({ items: z.array(z.looseObject({ path: z.string() })) }).optional(),
});
const volume = z.looseObject({
  name: z.string(),
  configMap: z.object({ name: z.string(), defaultMode: z.number(), items: items.optional() }).optional(),
  secret: z.object({ secretName: z.string(), defaultMode: z.number(), items: items.optional() }).optional(),
  emptyDir: z.object({}).optional(),
  projected: z.object({ defaultMode: z.number(), sources: z.array(projection) }).optional(),
});
const podObject = z.looseObject({
  metadata: z.looseObject({ name: z.string(), namespace: z.string() }),
  spec: z.looseObject({
    serviceAccountName: z.string(),
    securityContext: z.looseObject({
      runAsUser: z.number(),
      runAsGroup: z.number(),
      fsGroup: z.number(),
    }),
    volumes: z.array(volume),
    containers: z.tuple([
      z.looseObject({
        command: z.array(z.string()),
        args: z.array(z.string()),
        env: z.array(z.object({ name: z.string(), value: z.string() })),
        securityContext: z.looseObject({ readOnlyRootFilesystem: z.literal(true) }),
        volumeMounts: z.array(
          z.looseObject({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().optional() }),
        ),
      }),
    ]),
  }),
});
type Pod = z.infer<typeof podObject>;
type Volume = z.infer<typeof volume>;

const entries = z.looseObject({ data: z.record(z.string(), z.string()).optional() });
const tokenAnswer = z.object({ status: z.object({ token: z.string() }) });

const isRoot = process.getuid?.() === 0;
/** A mount namespace of our own; who is not root becomes it, within a user namespace only. */
const unshare = ['--mount', ...(isRoot ? [] : ['--map-root-user'])];

/** Whether this machine lets a test have namespaces; said once when not. */
export const podsCanRun: boolean = (() => {
  const can = spawnSync('unshare', [...unshare, 'true']).status === 0;
  if (!can) console.log('unshare is not allowed here: no pod can be played, and its tests are skipped');
  return can;
})();

/** A file of the volume: what the kubelet would write. */
type File = { readonly name: string; readonly content: string | Buffer };
/** What keeps a pod from starting, as the kubelet's event FailedMount says it. */
class NotThere extends Error {}

type Options = { readonly kube: Kube; readonly client: KubeClient; readonly kubectl: KubectlBinary };

/** Ends a script that waits for what does not come, with 124; what it said until then is told. */
const withinS = 160;

/** Runs the pod's only container to its end; `waiting`: why it cannot start yet. */
export async function runPod(
  { kube, client, kubectl }: Options,
  object: unknown,
): Promise<Outcome | { readonly waiting: string }> {
  const pod = podObject.parse(object);
  const { containers, volumes, securityContext } = pod.spec;
  const [container] = containers;
  const home = await mkdtemp(path.join(tmpdir(), 'cattery-pod-'));
  try {
    const root = path.join(home, 'root');
    await mkdir(root);
    const mounts: string[] = [];
    for (const each of volumes) {
      const mount = container.volumeMounts.find(({ name }) => name === each.name);
      if (!mount) throw new Error(`volume ${each.name} is mounted nowhere`);
      const folder = path.join(home, each.name);
      await fill(folder, each, pod, client);
      mounts.push(folder, mount.mountPath, mount.readOnly ? 'ro' : 'rw');
    }
    const { hostname, port } = new URL(kube.url);
    const environment = [
      ...container.env.map(({ name, value }) => `${name}=${value}`),
      'PATH=/image/bin:/usr/local/bin:/usr/bin:/bin',
      `KUBERNETES_SERVICE_HOST=${hostname}`,
      `KUBERNETES_SERVICE_PORT=${port}`,
    ];
    const user = isRoot ? `${securityContext.runAsUser}:${securityContext.runAsGroup}` : '';
    const command = ['env', '-i', ...environment, ...container.command, ...container.args];
    const given = [
      '-k',
      '5',
      String(withinS),
      'unshare',
      ...unshare,
      'sh',
      '-c',
      inside,
      'sh',
      root,
      user,
      kubectl.file,
      ...mounts,
      '--',
      ...command,
    ];
    return await call('timeout', given, { home, environment: {} });
  } catch (error) {
    if (error instanceof NotThere) return { waiting: error.message };
    throw error;
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

/** The image: this machine's programs in a root of its own, which is read-only but for what is mounted. */
const inside = `
set -e
root=$1 user=$2 kubectl=$3
shift 3
mount -t tmpfs none "$root"
for each in bin sbin lib lib32 lib64 libx32 usr etc dev proc sys; do
  if [ -L /$each ]; then cp -P /$each "$root/$each"
  elif [ -d /$each ]; then mkdir "$root/$each" && mount --rbind /$each "$root/$each"
  fi
done
mkdir -p "$root/image/bin"
: > "$root/image/bin/kubectl"
mount --bind "$kubectl" "$root/image/bin/kubectl"
while [ "$1" != -- ]; do
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  [ "$3" = rw ] || mount -o remount,bind,ro "$root$2"
  shift 3
done
shift
mount -o remount,ro "$root"
exec chroot \${user:+--userspec="$user"} "$root" "$@"
`;

async function fill(folder: string, its: Volume, pod: Pod, client: KubeClient): Promise<void> {
  await mkdir(folder);
  await chmod(folder, its.emptyDir ? 0o777 : 0o755);
  const mode = its.configMap?.defaultMode ?? its.secret?.defaultMode ?? its.projected?.defaultMode ?? 0o644;
  for (const { name, content } of await filesOf(its, pod, client)) {
    const file = path.join(folder, name);
    await writeFile(file, content);
    // The kubelet gives the files to the group, and lets it read what their owner may.
    await chmod(file, isRoot ? mode | 0o040 : mode | 0o400);
    if (isRoot) await chown(file, 0, pod.spec.securityContext.fsGroup);
  }
}

async function filesOf(its: Volume, pod: Pod, client: KubeClient): Promise<File[]> {
  const { namespace } = pod.metadata;
  const data = async (kind: 'configmaps' | 'secrets', name: string, only?: z.infer<typeof items>) => {
    const found = await client.get(`/api/v1/namespaces/${namespace}/${kind}/${name}`);
    if (!found) throw new NotThere(`${kind.slice(0, -1)} "${name}" not found`);
    const all = entries.parse(found).data ?? {};
    return (only ?? Object.keys(all).map((key) => ({ key, path: key }))).map(({ key, path: to }) => {
      const value = all[key];
      if (value === undefined) throw new NotThere(`references non-existent ${kind.slice(0, -1)} key: ${key}`);
      return { name: to, content: kind === 'secrets' ? Buffer.from(value, 'base64') : value };
    });
  };
  if (its.configMap) return data('configmaps', its.configMap.name, its.configMap.items);
  if (its.secret) return data('secrets', its.secret.secretName, its.secret.items);
  const files: File[] = [];
  for (const source of its.projected?.sources ?? []) {
    if (source.configMap)
      files.push(...(await data('configmaps', source.configMap.name, source.configMap.items)));
    for (const { path: name } of source.downwardAPI?.items ?? []) files.push({ name, content: namespace });
    if (source.serviceAccountToken) {
      const account = `/api/v1/namespaces/${namespace}/serviceaccounts/${pod.spec.serviceAccountName}`;
      const request = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: source.serviceAccountToken.expirationSeconds },
      };
      const { status } = tokenAnswer.parse(await client.create(`${account}/token`, request));
      files.push({ name: source.serviceAccountToken.path, content: status.token });
    }
  }
  return files;
}
