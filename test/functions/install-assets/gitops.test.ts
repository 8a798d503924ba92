import { describe, expect, test } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import type { Dependencies } from '../../../functions/install-assets/deps.ts';
import { defaultImage } from '../../../functions/install-assets/gitops.ts';
import {
  connectingRules,
  installingRules,
  operatorRules,
  ownRules,
} from '../../../functions/install-assets/gitops-access.ts';
import { handlers } from '../../../functions/install-assets/routes.ts';
import { caller } from '../api-call.ts';
import { addresses, identity } from './deployment.ts';

/** As awkward for YAML as a script can be: tabs, trailing spaces, quotes, no indentation to rely on. */
const script = `#!/bin/sh
api='@CATTERY_API_URL@'
tunnel='@CATTERY_TUNNEL_ADDRESS@'
\tprintf '%s: "%s" # \\n' "$api" '---'   
cat <<EOF
  key: value

---
EOF
main "$@"
`;
const deployment = (text = script) =>
  ({ addresses, identity, script: () => Promise.resolve(text) }) as unknown as Dependencies;
const ask = (query: Record<string, string>, { text = script, headers = {} } = {}) => {
  const call = caller('install-assets', handlers(deployment(text)));
  return call({ path: '/v1/install/gitops.yaml', query, headers });
};

const metadata = z.looseObject({ name: z.string(), namespace: z.string().optional() });
const kubernetesObject = z.looseObject({ kind: z.string(), metadata });
const rule = z.object({
  apiGroups: z.array(z.string()),
  resources: z.array(z.string()),
  resourceNames: z.array(z.string()).optional(),
  verbs: z.array(z.string()),
});
const role = z.looseObject({ kind: z.enum(['Role', 'ClusterRole']), metadata, rules: z.array(rule) });
const job = z.looseObject({
  metadata,
  spec: z.looseObject({
    backoffLimit: z.number(),
    podFailurePolicy: z.looseObject({ rules: z.array(z.looseObject({ action: z.string() })) }),
    template: z.object({
      spec: z.looseObject({
        restartPolicy: z.string(),
        hostNetwork: z.boolean().optional(),
        volumes: z.array(z.looseObject({ name: z.string() })),
        containers: z.tuple([
          z.looseObject({
            image: z.string(),
            command: z.array(z.string()),
            args: z.array(z.string()),
            env: z.array(z.object({ name: z.string(), value: z.string() })),
            volumeMounts: z.array(z.looseObject({ name: z.string() })),
          }),
        ]),
      }),
    }),
  }),
});

const manifest = async (query: Record<string, string> = {}, text = script) => {
  const answer = await ask({ clusterName: 'shop-1', ...query }, { text });
  expect([answer.status, answer.text]).toEqual([200, answer.text]);
  const objects = parseAllDocuments(answer.text).map((document) => document.toJS() as unknown);
  const first = (kind: string) => objects.find((each) => kubernetesObject.parse(each).kind === kind);
  const its = job.parse(first('Job'));
  return {
    text: answer.text,
    objects: objects.map((each) => kubernetesObject.parse(each)),
    first,
    roles: objects.flatMap((each) => role.safeParse(each).data ?? []),
    job: its,
    pod: its.spec.template.spec,
    container: its.spec.template.spec.containers[0],
  };
};

describe('GET /v1/install/gitops.yaml', () => {
  test('answers YAML that may be cached, and 304 to whoever has it', async () => {
    const first = await ask({ clusterName: 'shop-1' });
    expect(first.status).toBe(200);
    expect(first.headers).toMatchObject({
      'Content-Type': 'application/yaml',
      'Cache-Control': 'public, max-age=300',
    });
    const headers = { 'If-None-Match': first.headers.ETag ?? '' };
    expect((await ask({ clusterName: 'shop-1' }, { headers })).status).toBe(304);
    expect((await ask({ clusterName: 'shop-2' }, { headers })).status).toBe(200);
  });

  test('brings the very script that /install.sh serves', async () => {
    const call = caller('install-assets', handlers(deployment()));
    const served = await call({ path: '/install.sh' });
    const { first } = await manifest();
    const map = z.looseObject({ data: z.object({ 'install.sh': z.string() }) }).parse(first('ConfigMap'));
    expect(map.data['install.sh']).toBe(served.text);
    expect(served.text).toContain(addresses.API_URL);
  });

  test('has no secret in it, only the name of the one that its owner makes', async () => {
    const { objects, text, pod } = await manifest({ imagePullSecret: 'registry-login' });
    expect(objects.map(({ kind }) => kind)).not.toContain('Secret');
    expect(text).not.toMatch(/crt_|ccr_|cak_|PRIVATE KEY/);
    expect(pod.volumes).toContainEqual(
      expect.objectContaining({
        name: 'token',
        // Not optional: the pod waits until it is there.
        secret: {
          secretName: 'cattery-registration-token',
          defaultMode: 0o440,
          items: [{ key: 'token', path: 'token' }],
        },
      }),
    );
  });

  test('runs the script without asking, with the token from its file and never as an argument', async () => {
    const { container, pod } = await manifest();
    expect(container.command).toEqual(['/bin/sh', '/cattery/install.sh']);
    expect(container.args).toEqual([
      ...['--yes', '--name', 'shop-1'],
      ...['--token-file', '/var/run/cattery/token/token'],
    ]);
    expect(container.env).toEqual([
      { name: 'HOME', value: '/tmp' },
      { name: 'TMPDIR', value: '/tmp' },
    ]);
    expect(pod.restartPolicy).toBe('Never');
  });

  test('hands all options of an installation to the script, and the proxy to its own requests', async () => {
    const { container, first } = await manifest({
      calico: 'install',
      calicoVersion: 'v3.31.7',
      podCidr: '10.244.0.0/16',
      registry: 'registry.example:5000',
      imagePath: 'mirror/calico',
      imagePullSecret: 'registry-login',
      httpProxy: 'http://proxy.example:3128',
      httpsProxy: 'http://proxy.example:3129',
      noProxy: '.svc,10.96.0.0/12',
      caConfigMap: 'our-ca',
    });
    expect(container.args).toEqual([
      ...['--yes', '--name', 'shop-1'],
      ...['--token-file', '/var/run/cattery/token/token'],
      ...['--ca-file', '/var/run/cattery/ca/ca.crt'],
      ...['--calico-version', 'v3.31.7', '--pod-cidr', '10.244.0.0/16'],
      ...['--registry', 'registry.example:5000', '--image-path', 'mirror/calico'],
      ...['--image-pull-secret', 'registry-login'],
      ...['--http-proxy', 'http://proxy.example:3128', '--https-proxy', 'http://proxy.example:3129'],
      ...['--no-proxy', '.svc,10.96.0.0/12'],
    ]);
    expect(container.env).toEqual(
      expect.arrayContaining([
        { name: 'HTTP_PROXY', value: 'http://proxy.example:3128' },
        { name: 'HTTPS_PROXY', value: 'http://proxy.example:3129' },
        { name: 'NO_PROXY', value: '.svc,10.96.0.0/12' },
      ]),
    );
    expect(container.volumeMounts).toContainEqual({
      name: 'ca',
      mountPath: '/var/run/cattery/ca',
      readOnly: true,
    });
    expect(first('ServiceAccount')).toMatchObject({ imagePullSecrets: [{ name: 'registry-login' }] });
  });

  test("leaves the Installation of a Calico that is present to its owner, and only the Job's own requests take the proxy", async () => {
    const { container } = await manifest({ httpsProxy: 'http://proxy.example:3129', noProxy: '.svc' });
    expect(container.args).not.toContain('--https-proxy');
    expect(container.env).toContainEqual({ name: 'HTTPS_PROXY', value: 'http://proxy.example:3129' });
    for (const more of [
      { registry: 'r.example' },
      { imagePath: 'a/b' },
      { calicoVersion: 'v3.32.1' },
      { podCidr: 'fd00::/64' },
    ]) {
      const answer = await ask({ clusterName: 'shop-1', ...more });
      expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
      expect(answer.json().errors).toMatchObject([{ path: `/${Object.keys(more).join()}` }]);
    }
  });

  test('names its image by digest, and takes another one that has a tag or a digest', async () => {
    expect(defaultImage).toMatch(/:[\w.-]+@sha256:[0-9a-f]{64}$/);
    expect((await manifest()).container.image).toBe(defaultImage);
    const digest = `sha256:${'0a'.repeat(32)}`;
    for (const image of [
      'registry.example:5000/team/tools:1.2',
      `registry.example/tools@${digest}`,
      `tools:1.2@${digest}`,
    ])
      expect((await manifest({ image })).container.image).toBe(image);
    for (const image of [
      'registry.example/tools',
      'registry.example:5000/tools',
      'tools:',
      'tools@sha256:0a',
      'Tools:1',
      'tools:1 --privileged',
      '',
    ]) {
      const answer = await ask({ clusterName: 'shop-1', image });
      expect([image, answer.status, answer.json().code]).toEqual([image, 400, 'INVALID_REQUEST']);
    }
  });

  test.each([{}, { clusterName: '' }, { clusterName: 'Shop' }, { clusterName: "x'; reboot" }])(
    'refuses %j, which names no cluster, with 400 INVALID_REQUEST',
    async (query: Record<string, string>) => {
      const answer = await ask(query);
      expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
    },
  );

  test('gives the Job another name when the script or an option changed, as a Job cannot be changed', async () => {
    const names = async (query: Record<string, string>, text?: string) => {
      const { first, job: its, pod } = await manifest(query, text);
      const map = kubernetesObject.parse(first('ConfigMap')).metadata.name;
      expect(its.metadata.name).toBe(map);
      expect(pod.volumes).toContainEqual({ name: 'script', configMap: { name: map } });
      expect(map).toMatch(/^cattery-install-[0-9a-f]{10}$/);
      return map;
    };
    const first = await names({});
    expect(await names({})).toBe(first);
    const others = [
      await names({}, `${script}\n`),
      await names({ clusterName: 'shop-2' }),
      await names({ calico: 'install' }),
      await names({ image: 'tools:2' }),
    ];
    expect(new Set([first, ...others]).size).toBe(5);
  });

  test('tries again for long, but not what was used wrongly, nor when it was merely moved', async () => {
    const { job: its } = await manifest();
    expect(its.spec.backoffLimit).toBeGreaterThanOrEqual(10);
    expect(its.spec.podFailurePolicy.rules).toMatchObject([
      { action: 'FailJob', onExitCodes: { operator: 'In', values: [2] } },
      { action: 'Ignore' },
    ]);
    expect(its.spec).not.toHaveProperty('ttlSecondsAfterFinished');
  });

  test('runs on the node network only where there is no other yet', async () => {
    const [connecting, installing] = [await manifest(), await manifest({ calico: 'install' })];
    expect(connecting.pod).not.toHaveProperty('hostNetwork');
    expect(connecting.pod).not.toHaveProperty('tolerations');
    expect(installing.pod).toMatchObject({ hostNetwork: true, dnsPolicy: 'Default' });
    const enforced = ({ first }: typeof connecting) =>
      z
        .looseObject({ metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }) })
        .parse(first('Namespace')).metadata.labels['pod-security.kubernetes.io/enforce'];
    expect([enforced(connecting), enforced(installing)]).toEqual(['restricted', 'privileged']);
  });

  describe('the rights', () => {
    const changing = (verbs: readonly string[]) =>
      verbs.some((verb) => !['get', 'list', 'watch'].includes(verb));

    test.each(['present', 'install'])(
      'of calico=%s have no wildcard, and no verb that removes',
      async (calico) => {
        const { roles } = await manifest({ calico });
        for (const { rules } of roles)
          for (const each of rules) {
            expect([...each.apiGroups, ...each.resources, ...each.verbs]).not.toContain('*');
            for (const verb of ['delete', 'deletecollection', 'impersonate', 'update'])
              expect(each.verbs).not.toContain(verb);
          }
      },
    );

    test('of connecting change named objects only, and reach secrets in two namespaces only', async () => {
      const { roles } = await manifest();
      for (const { kind, rules } of roles)
        for (const each of rules) {
          if (each.resources.includes('secrets')) expect(kind).toBe('Role');
          if (each.resources.includes('secrets') && each.verbs.includes('get'))
            expect(['cattery-identity', 'tigera-managed-cluster-connection']).toEqual(
              expect.arrayContaining([...(each.resourceNames ?? ['all'])]),
            );
          expect(each.resources).not.toEqual(expect.arrayContaining([expect.stringMatching(/role/)]));
          expect(each.verbs).not.toEqual(expect.arrayContaining([expect.stringMatching(/escalate|bind/)]));
          if (changing(each.verbs)) expect(each.resourceNames).toBeDefined();
        }
    });

    test('of installing add the operator and its two roles, by name', async () => {
      const { roles } = await manifest({ calico: 'install' });
      const escalating = roles.flatMap(({ rules }) =>
        rules.filter(({ verbs }) => verbs.includes('escalate')),
      );
      expect(escalating).toMatchObject([
        { resources: ['clusterroles'], resourceNames: ['tigera-operator', 'tigera-operator-secrets'] },
      ]);
      const unnamed = roles
        .filter(({ kind }) => kind === 'ClusterRole')
        .flatMap(({ rules }) => rules.filter((each) => changing(each.verbs) && !each.resourceNames));
      expect(unnamed.map(({ resources }) => resources.join())).toEqual(['customresourcedefinitions']);
    });

    test('of installing look for the pull secret where one is named, and at no other', async () => {
      const { roles } = await manifest({ calico: 'install', imagePullSecret: 'registry-login' });
      const reading = roles.flatMap(({ rules }) =>
        rules.filter(({ resources, verbs }) => resources.includes('secrets') && verbs.includes('get')),
      );
      expect(reading.flatMap(({ resourceNames }) => resourceNames)).toEqual([
        'cattery-identity',
        'tigera-managed-cluster-connection',
        'registry-login',
      ]);
    });

    test('are bound to the account of the Job, which hands its token to no other pod', async () => {
      const { objects, roles, first, pod } = await manifest({ calico: 'install' });
      const account = { kind: 'ServiceAccount', name: 'cattery-install', namespace: 'cattery-system' };
      const bindings = objects.filter(({ kind }) => kind.endsWith('Binding'));
      expect(bindings).toHaveLength(roles.length);
      for (const binding of bindings) expect(binding).toMatchObject({ subjects: [account] });
      expect(first('ServiceAccount')).toMatchObject({ automountServiceAccountToken: false });
      expect(pod).toMatchObject({ automountServiceAccountToken: true, serviceAccountName: account.name });
    });

    test('are those that docs/gitops.md lists', async () => {
      const text = await readFile(new URL('../../../docs/gitops.md', import.meta.url), 'utf8');
      for (const each of [...ownRules, ...operatorRules, ...connectingRules, ...installingRules]) {
        const row = `| ${each.resources.join(', ')} | ${each.resourceNames?.join(', ') ?? 'all'} | ${each.verbs.join(', ')} |`;
        expect(text).toContain(row);
      }
    });
  });
});
