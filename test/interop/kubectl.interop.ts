/** The other versions of kubectl on this machine, through the whole stack to the demo cluster: `npm test` runs the newest. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { call, kubectlBinaries, minorOf } from '../kube/kubectl-binary.ts';
import { kubectlList } from '../stack/kubectl-list.ts';
import { type Stack, startStack } from '../stack/stack.ts';

const others = kubectlBinaries().slice(0, -1);
if (others.length === 0) console.log('Only one kubectl is here: npm test runs it');

(others.length === 0 ? describe.skip : describe)('through the tunnel to the demo cluster', () => {
  let home: string;
  let stack: Stack;
  const kubeconfig = () => path.join(home, 'config');
  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'cattery-kubectl-'));
    stack = await startStack({ data: path.join(home, 'data') });
    const config = await stack.api.get(`/v1/clusters/${stack.demoClusterId}/kubeconfig?embed=token`);
    await writeFile(kubeconfig(), config.text, { mode: 0o600 });
  }, 180_000);
  afterAll(async () => {
    stack.disconnect();
    await stack.process.destroy();
    await rm(home, { recursive: true, force: true });
  });

  for (const binary of others.filter((known) => minorOf(known) >= 29)) {
    describe(`kubectl ${binary.version}`, () => {
      kubectlList(binary, () => ({ home, kubeconfig: kubeconfig() }));
    });
  }

  test.each(others.filter((known) => minorOf(known) < 29))(
    'kubectl $version reads, and is told which version can apply',
    async ({ file }) => {
      const run = (given: string[], input = '') =>
        call(file, given, { home, environment: { KUBECONFIG: kubeconfig() }, input });
      expect((await run(['get', 'pods', '-n', 'shop'])).stdout).toContain('frontend-');
      const map = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: old, namespace: default }\n';
      const { code, stderr } = await run(['apply', '-f', '-'], map);
      expect(code).not.toBe(0);
      expect(stderr).toContain('1.29');
    },
  );
});
