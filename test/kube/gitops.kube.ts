/**
 * The GitOps manifest on a real Kubernetes API: what admission makes of it, that its rights are enough, and that none is
 * too many. Simulated: the pods (KWOK writes that they ran; job-pod.ts runs the one that matters, without its image), the
 * Tigera operator and Guardian (operator-player.ts), and the GitOps controller (kubectl apply).
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import * as z from 'zod';
import {
  connectingRules,
  installingRules,
  operatorRules,
  ownRules,
} from '../../functions/install-assets/gitops-access.ts';
import type { PolicyRule } from '../../functions/install-assets/role-binding.ts';
import { eventually } from '../stack/poll.ts';
import { type Stack, startStack } from '../stack/stack.ts';
import { calicoManifests } from './calico-manifests.ts';
import { InstallSite } from './install-site.ts';
import { podsCanRun, runPod } from './job-pod.ts';
import { call, kubectlBinaries, type Outcome } from './kubectl-binary.ts';

const newest = kubectlBinaries().at(-1);
if (!newest) console.log('kubectl is not on the PATH: the GitOps manifest is not tried against a real API');
const kubectl = newest ?? { file: '', version: '' };

const namespace = 'cattery-system';
const account = 'system:serviceaccount:cattery-system:cattery-install';
/** A rule of RBAC, or one of those that a review tells. */
type RuleLike = { readonly [M in keyof PolicyRule]?: PolicyRule[M] | undefined };
const podList = z.object({
  items: z.array(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })),
});
const ruleList = z.looseObject({
  status: z.looseObject({
    resourceRules: z.array(
      z.looseObject({
        verbs: z.array(z.string()),
        apiGroups: z.array(z.string()).optional(),
        resources: z.array(z.string()).optional(),
        resourceNames: z.array(z.string()).optional(),
      }),
    ),
  }),
});

(newest && calicoManifests && podsCanRun ? describe : describe.skip)('gitops.yaml', () => {
  let home: string;
  let stack: Stack;
  let site: InstallSite;
  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'cattery-gitops-'));
    const given = ['--no-demo', '--manifests', calicoManifests ?? ''];
    stack = await startStack({ data: path.join(home, 'data'), arguments: given });
    site = await InstallSite.start(stack, { kubectl });
  }, 240_000);
  afterAll(async () => {
    stack.disconnect();
    await stack.process.destroy();
    await site.close();
    await rm(home, { recursive: true, force: true });
  });

  const manifest = async (query: Readonly<Record<string, string>>): Promise<string> => {
    const asked = new URLSearchParams({ caConfigMap: 'cattery-ca', ...query });
    const { status, text } = await stack.api.get(`/v1/install/gitops.yaml?${asked.toString()}`, {
      token: null,
    });
    expect([status, text]).toEqual([200, text]);
    return text;
  };

  /** What a controller would do, and what its user does beside it: the CA of this laptop's API. */
  const applyAll = async (text: string): Promise<void> => {
    await site.admin(['apply', '-f', '-'], text);
    const ca = [
      'create',
      'configmap',
      'cattery-ca',
      '-n',
      namespace,
      `--from-file=ca.crt=${stack.state.caFile}`,
    ];
    const made = await site.admin([...ca, '--dry-run=client', '-o', 'yaml']);
    await site.admin(['apply', '-f', '-'], made);
  };

  /** The pod that the cluster's own Job controller made, and admission let through. */
  const podOf = (text: string): Promise<unknown> => {
    const job = /^ {2}name: (cattery-install-[0-9a-f]{10})$/m.exec(text)?.[1] ?? '';
    return eventually(`the Job ${job} has a pod`, 30_000, async () => {
      const found = await site.admin([
        ...['get', 'pods', '-n', namespace],
        ...['-l', `batch.kubernetes.io/job-name=${job}`, '-o', 'json'],
      ]);
      return podList.parse(JSON.parse(found)).items[0];
    });
  };
  const run = async (text: string): Promise<Outcome> => {
    const outcome = await runPod({ kube: site.kube, client: site.client, kubectl }, await podOf(text));
    if ('waiting' in outcome) throw new Error(`the pod waits: ${outcome.waiting}`);
    return outcome;
  };
  /** What the script complained of: nothing when all is well; all it said when it failed. */
  const complaint = async (text: string): Promise<string> => {
    const { code, stdout, stderr } = await run(text);
    return code === 0 ? stderr : `it ended with ${code}:\n${stdout}${stderr}`;
  };

  /** As the manifest's comment has it. */
  const giveToken = async (text: string, token: string): Promise<void> => {
    const command = /^# {3}(kubectl create secret .*)$/m.exec(text)?.[1] ?? '';
    await writeFile(path.join(home, 'FILE'), token);
    const outcome = await call('sh', ['-ec', command], {
      home,
      environment: { KUBECONFIG: site.kube.kubeconfig },
    });
    expect([command, outcome.code, outcome.stderr]).toEqual([command, 0, '']);
  };

  describe('with calico=install, on a cluster without a network', () => {
    const query = { clusterName: 'gitops', calico: 'install' };

    test('waits for the Secret with the token, and for nothing else', async () => {
      const text = await manifest(query);
      await applyAll(text);
      const pod = await podOf(text);
      const outcome = await runPod({ kube: site.kube, client: site.client, kubectl }, pod);
      expect(outcome).toEqual({ waiting: 'secret "cattery-registration-token" not found' });
    }, 60_000);

    test('installs Calico and connects the cluster, by the rights of its account alone', async () => {
      const text = await manifest(query);
      await giveToken(text, await site.token('gitops'));
      expect(await complaint(text)).toBe('');
      const view = await site.cluster('gitops');
      expect(view.state).toBe('connected');
      expect(site.operator.running?.fingerprint).toBe(view.certificate.fingerprint);
      expect(await site.progress(view.clusterId)).toMatchObject({ state: 'succeeded' });
    }, 180_000);

    test('run again changes nothing, and needs the token no more', async () => {
      const before = await site.cluster('gitops');
      const outcome = await run(await manifest(query));
      expect(outcome).toMatchObject({ code: 0 });
      expect(outcome.stdout).toContain('the token was not used');
      expect((await site.cluster('gitops')).certificate).toEqual(before.certificate);
    }, 180_000);

    test('may then be given the few rights of connecting', async () => {
      const text = await manifest({ ...query, calico: 'present' });
      await applyAll(text);
      expect(await complaint(text)).toBe('');
      expect(await rightsOf(account)).toEqual(rulesInWords([...connectingRules]));
    }, 180_000);
  });

  describe('with calico=present, on a cluster that was never connected', () => {
    const query = { clusterName: 'gitops-2', calico: 'present' };
    let text: string;
    beforeAll(async () => {
      const { caFile, apiUrl } = stack.state;
      const gone = await site.workstation.run(
        'curl -fsSL --cacert "$1" "$2/install.sh" | sh -s -- --ca-file "$1" --uninstall --yes',
        [caFile, apiUrl],
      );
      expect([gone.code, gone.stderr]).toEqual([0, '']);
      text = await manifest(query);
      await applyAll(text);
      await giveToken(text, await site.token());
    }, 180_000);

    test('its account has the rights that are documented, in each namespace, and no other', async () => {
      const [cluster, own, operator] = [connectingRules, ownRules, operatorRules];
      expect(await rightsOf(account, 'default')).toEqual(rulesInWords(cluster));
      expect(await rightsOf(account, namespace)).toEqual(rulesInWords([...cluster, ...own]));
      expect(await rightsOf(account, 'tigera-operator')).toEqual(rulesInWords([...cluster, ...operator]));
      expect(await rightsOf(account, 'default')).not.toEqual(rulesInWords(installingRules));
    });

    /** Each verb that changes something, taken away alone: the script must say which is missing, and change nothing. */
    test.each([
      ['role', namespace, 'secrets', 'patch'],
      ['role', 'tigera-operator', 'secrets', 'create'],
      ['role', 'tigera-operator', 'secrets', 'get'],
      ['clusterrole', '', 'managementclusterconnections', 'patch'],
    ])(
      'without one verb of its %s in %j (%s, %s) it names what is missing, and registers nothing',
      async (kind, where, resource, verb) => {
        const within = where === '' ? [] : ['-n', where];
        const before = await site.admin(['get', kind, 'cattery-install', ...within, '-o', 'json']);
        const narrower = z
          .looseObject({
            rules: z.array(z.looseObject({ resources: z.array(z.string()), verbs: z.array(z.string()) })),
          })
          .parse(JSON.parse(before));
        for (const each of narrower.rules)
          if (each.resources.includes(resource)) each.verbs = each.verbs.filter((its) => its !== verb);
        await site.admin(
          ['replace', '-f', '-'],
          JSON.stringify({
            ...narrower,
            metadata: { name: 'cattery-install', ...(where === '' ? {} : { namespace: where }) },
          }),
        );
        try {
          await eventually('the right is gone', 10_000, async () => !(await may(verb, resource, where)));
          const { code, stdout, stderr } = await run(text);
          expect([code, stderr]).toEqual([3, expect.stringContaining('Nothing was changed')]);
          expect(stdout).toMatch(new RegExp(`FAIL  rights: missing: ${verb} ${resource}`));
          expect(await site.clusters('gitops-2')).toEqual([]);
        } finally {
          await site.admin(['apply', '-f', '-'], text);
          await eventually('the right is back', 10_000, () => may(verb, resource, where));
        }
      },
      180_000,
    );

    test('connects the cluster by them', async () => {
      expect(await complaint(text)).toBe('');
      expect((await site.cluster('gitops-2')).state).toBe('connected');
      // What it kept and what it did not: the key is where it belongs.
      expect(await site.secret(namespace, 'cattery-identity', 'managed-cluster.key')).toContain(
        'PRIVATE KEY',
      );
    }, 180_000);
  });

  const names: Readonly<Record<string, string>> = {
    secrets: 'tigera-managed-cluster-connection',
    managementclusterconnections: 'tigera-secure',
  };
  const may = async (verb: string, resource: string, where: string): Promise<boolean> => {
    const name = where === namespace ? 'cattery-identity' : (names[resource] ?? '');
    const thing = `${resource === 'secrets' ? resource : `${resource}.operator.tigera.io`}/${name}`;
    const asked = ['auth', 'can-i', verb, thing, `--as=${account}`, ...(where === '' ? [] : ['-n', where])];
    return (await site.through(site.kube.kubeconfig, asked)).code === 0;
  };

  /** The rules that apply to an account in a namespace, beyond those of everybody who is signed in. */
  const rightsOf = async (user: string, where = 'default'): Promise<string[]> => {
    const review = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectRulesReview',
      spec: { namespace: where },
    };
    const asked = async (as: string) => {
      const text = await site.admin(
        ['create', '--raw', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', `--as=${as}`, '-f', '-'],
        JSON.stringify(review),
      );
      return ruleList.parse(JSON.parse(text)).status.resourceRules;
    };
    const everybodys = new Set(rulesInWords(await asked('system:serviceaccount:default:nobody')));
    return rulesInWords(await asked(user)).filter((each) => !everybodys.has(each));
  };
  const rulesInWords = (rules: readonly RuleLike[]): string[] =>
    rules
      .flatMap(({ apiGroups = [], resources = [], resourceNames = [], verbs = [] }) =>
        resources.map(
          (resource) =>
            `${apiGroups.join()}/${resource} [${[...resourceNames].sort().join(' ')}] ${[...verbs].sort().join(' ')}`,
        ),
      )
      .sort();

  test('the script in it is the one that is served, unchanged', async () => {
    const { text } = await stack.api.get('/install.sh', { token: null });
    const inIt = await site.admin([
      ...['get', 'configmap', '-n', namespace, '-l', 'app.kubernetes.io/name=cattery-install'],
      ...['-o', 'jsonpath={.items[0].data.install\\.sh}'],
    ]);
    expect(inIt).toBe(text);
    expect(await readFile(stack.state.caFile, 'utf8')).toContain('BEGIN CERTIFICATE');
  });
});
