/** docs/connect-a-cluster.md, "By hand", followed to the letter; what it says of install.sh is followed in test/kube. */
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { startAgent } from '../../local/demo-cluster/agent.ts';
import { untilConnected } from './further-cluster.ts';
import { startRecordingKubeApi } from './recording-kube-api.ts';
import { blocksUnder, withOwnValues } from './document-commands.ts';
import { run, type Stack } from './stack.ts';

const tools = ['curl', 'openssl', 'awk', 'sed'];
const missing = tools.filter((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0);

/** Stands for kubectl: keeps the arguments of each call, the file that it applies and the patch that it reads. */
const stubKubectl = `#!/bin/sh
n=$(ls "$KUBECTL_CALLS" | wc -l | tr -d ' ')
previous=
for argument in "$@"; do
  printf '%s\\0' "$argument"
  if [ "$previous" = -f ]; then cp "$argument" "$KUBECTL_CALLS/../applied.yaml"; fi
  previous=$argument
done > "$KUBECTL_CALLS/$n"
case $previous in
--patch-file=/dev/stdin) cat > "$KUBECTL_CALLS/../patch.json" ;;
--from-file=token=/dev/stdin) cat > "$KUBECTL_CALLS/../token" ;;
esac
`;

const kubernetesObject = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
  data: z.record(z.string(), z.string()).optional(),
  spec: z.looseObject({ managementClusterAddr: z.string() }).optional(),
});

export function connectDocument(stack: () => Stack): void {
  if (missing.length > 0)
    console.log(`${missing.join(', ')} missing: docs/connect-a-cluster.md is not tried`);
  (missing.length > 0 ? describe.skip : describe)('docs/connect-a-cluster.md', () => {
    test('connects a further cluster with what its commands leave in the cluster', async () => {
      const { state, process: running } = stack();
      const directory = path.join(running.data, 'document');
      const calls = path.join(directory, 'calls');
      const bin = path.join(directory, 'bin');
      await mkdir(calls, { recursive: true });
      await mkdir(bin);
      await writeFile(path.join(bin, 'kubectl'), stubKubectl);
      await chmod(path.join(bin, 'kubectl'), 0o755);
      const [commands = '', lookedAt = ''] = await blocksUnder('By hand');
      const script = withOwnValues(commands, {
        api: state.apiUrl,
        ca: state.caFile,
        name: 'prod-1',
        token: state.adminToken,
      });
      const { code, stdout, stderr } = await run('sh', ['-euc', `${script}\n${lookedAt}`], {
        cwd: directory,
        environment: { PATH: `${bin}:${process.env.PATH ?? ''}`, KUBECTL_CALLS: calls },
      });
      expect({ code, stdout, stderr }).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('"clusterName":"prod-1"'),
      });

      // What kubectl was asked to do, done: the manifest's objects, and the merge patch on the tunnel's secret.
      const applied = parseAllDocuments(await readFile(path.join(directory, 'applied.yaml'), 'utf8')).map(
        (document) => kubernetesObject.parse(document.toJS()),
      );
      const named = (name: string) => applied.find(({ metadata }) => metadata.name === name);
      const files = (await readdir(calls)).sort();
      const asked = await Promise.all(
        files.map(async (file) => (await readFile(path.join(calls, file), 'utf8')).split('\0').slice(0, -1)),
      );
      expect(asked[0]).toEqual(['apply', '-f', 'connect.yaml']);
      expect(asked[1]).toEqual([
        ...['-n', 'tigera-operator', 'patch', 'secret', 'tigera-managed-cluster-connection'],
        ...['--type=merge', '--patch-file=/dev/stdin'],
      ]);
      // What install.sh finds there later.
      const registered = z
        .object({ clusterId: z.string(), clusterToken: z.string() })
        .parse(JSON.parse(await readFile(path.join(directory, 'registered.json'), 'utf8')));
      const { clusterId } = registered;
      expect(asked.slice(2)).toEqual([
        ['create', 'namespace', 'cattery-system'],
        ['label', 'namespace', 'cattery-system', 'app.kubernetes.io/managed-by=cattery'],
        [
          ...['-n', 'cattery-system', 'create', 'configmap', 'cattery-install'],
          ...[`--from-literal=apiUrl=${state.apiUrl}`, '--from-literal=clusterName=prod-1'],
          `--from-literal=clusterId=${clusterId}`,
        ],
        [
          ...['-n', 'cattery-system', 'create', 'secret', 'generic', 'cattery-identity'],
          ...['--from-file=managed-cluster.key=cluster.key', '--from-file=token=/dev/stdin'],
        ],
      ]);
      expect(await readFile(path.join(directory, 'token'), 'utf8')).toBe(registered.clusterToken);
      const patched = z
        .object({ data: z.record(z.string(), z.string()) })
        .parse(JSON.parse(await readFile(path.join(directory, 'patch.json'), 'utf8')));
      const secret = { ...named('tigera-managed-cluster-connection')?.data, ...patched.data };
      const inSecret = (file: string) => Buffer.from(secret[file] ?? '', 'base64').toString('utf8');
      expect(Object.keys(secret).sort()).toEqual([
        ...['managed-cluster.crt', 'managed-cluster.key', 'management-cluster.crt'],
      ]);
      const linseed = named('tigera-voltron-linseed-certs-public')?.data?.['tls.crt'] ?? '';

      const kubeApi = await startRecordingKubeApi();
      const agent = startAgent({
        key: inSecret('managed-cluster.key'),
        certificate: inSecret('managed-cluster.crt'),
        trustBundle: inSecret('management-cluster.crt'),
        logTrust: Buffer.from(linseed, 'base64').toString('utf8'),
        tunnelAddress: named('tigera-secure')?.spec?.managementClusterAddr ?? '',
        kubeApi,
      });
      try {
        await untilConnected(stack(), clusterId);
        expect((await stack().access.get(`/clusters/${clusterId}/api/v1/pods`)).status).toBe(200);
        expect(await agent.pushFlows([{ start_time: 1, end_time: 2 }])).toMatchObject({
          outcome: 'delivered',
        });
      } finally {
        await agent.close();
        await kubeApi.close();
      }
    });
  });
}
