/** Plain kubectl with the kubeconfig that the API gives. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { kubectlBinaries } from '../kube/kubectl-binary.ts';
import { kubectlList } from './kubectl-list.ts';
import { eventually } from './poll.ts';
import { run, type Stack } from './stack.ts';

const newest = kubectlBinaries().at(-1);

const manifest = `apiVersion: v1
kind: ConfigMap
metadata: { name: applied, namespace: default }
data: { a: "1" }
`;

export function kubectl(stack: () => Stack): void {
  if (!newest) console.log('kubectl is not on the PATH: its tests through the tunnel are skipped');
  (newest ? describe : describe.skip)('kubectl, with the kubeconfig of the API', () => {
    let home: string;
    let environment: Record<string, string>;
    beforeAll(async () => {
      home = path.join(stack().process.data, 'kubectl');
      await mkdir(home, { recursive: true });
      const answer = await stack().api.get(`/v1/clusters/${stack().demoClusterId}/kubeconfig?embed=token`);
      expect(answer.status).toBe(200);
      await writeFile(path.join(home, 'config'), answer.text, { mode: 0o600 });
      await writeFile(path.join(home, 'map.yaml'), manifest);
      environment = { HOME: home, KUBECONFIG: path.join(home, 'config') };
    });

    const call = (...given: string[]) => run('kubectl', given, { cwd: home, environment });
    const kubectl = async (...given: string[]): Promise<string> => {
      const { code, stdout, stderr } = await call(...given);
      if (code !== 0) throw new Error(`kubectl ${given.join(' ')}: ${stderr}`);
      return stdout;
    };

    // All versions: test/interop/kubectl.interop.ts.
    if (newest) kubectlList(newest, () => ({ home, kubeconfig: path.join(home, 'config') }));

    test('rehearses on the server, applies, and sees the change in get -w', async () => {
      const child = spawn('kubectl', ['get', 'configmaps', '-n', 'default', '--watch', '-o', 'name'], {
        cwd: home,
        env: { ...process.env, ...environment },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      try {
        let seen = '';
        child.stdout.setEncoding('utf8').on('data', (text: string) => (seen += text));
        expect(await kubectl('apply', '--dry-run=server', '-f', 'map.yaml')).toContain(
          'created (server dry run)',
        );
        expect((await call('get', 'configmap', 'applied', '-n', 'default')).stderr).toContain('NotFound');
        expect(await kubectl('apply', '-f', 'map.yaml')).toContain('created');
        await eventually('get -w shows it', 10_000, () => seen.includes('configmap/applied'));
        expect(child.exitCode).toBeNull();
      } finally {
        child.kill();
        await once(child, 'exit');
      }
    });

    test('is told in words that a cluster is not its tenant’s', async () => {
      const config = path.join(home, 'other');
      const answer = await stack().api.get(`/v1/clusters/${stack().demoClusterId}/kubeconfig?embed=token`);
      const guessed = `c-${'a'.repeat(20)}`;
      await writeFile(
        config,
        answer.text.replaceAll(`/clusters/${stack().demoClusterId}`, `/clusters/${guessed}`),
      );
      const { code, stderr } = await call('--kubeconfig', config, 'get', '--raw', '/api/v1/pods');
      expect(code).not.toBe(0);
      expect(stderr).toContain('NOT_FOUND');
    });
  });
}
