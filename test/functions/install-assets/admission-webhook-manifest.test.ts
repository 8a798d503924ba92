import { describe, expect, test } from '@jest/globals';
import { readFile } from 'node:fs/promises';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { environment } from '../../../admission-webhook/env.ts';
import { caValidity, leafTerm, leafValidity } from '../../../admission-webhook/tls/tls-material.ts';
import { admissionWebhookQuery } from '../../../core/release/admission-webhook-schema.ts';
import type { Dependencies } from '../../../functions/install-assets/deps.ts';
import {
  clusterRules,
  excludedNamespaces,
  ownRules,
} from '../../../functions/install-assets/admission-webhook-manifest.ts';
import { handlers } from '../../../functions/install-assets/routes.ts';
import { caller } from '../api-call.ts';
import { addresses, assets, identity } from './deployment.ts';

const tenantId = `t-${'a'.repeat(20)}`;
const image = 'registry.example:5000/cattery/tunnel:1.2';

const deployment = (more: Partial<Dependencies> = {}) =>
  ({ addresses, identity, ...assets, ...more }) as unknown as Dependencies;
const ask = (
  query: Record<string, string>,
  { more = {}, headers = {} }: { more?: Partial<Dependencies>; headers?: Record<string, string> } = {},
) => {
  const call = caller('install-assets', handlers(deployment(more)));
  return call({ path: '/v1/install/admission-webhook.yaml', query, headers });
};

const mount = z.object({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().optional() });
const container = z.looseObject({
  image: z.string(),
  command: z.array(z.string()),
  env: z.array(z.object({ name: z.string(), value: z.string() })),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number(), protocol: z.string() })),
  volumeMounts: z.array(mount),
});
const deploymentObject = z.looseObject({
  spec: z.looseObject({
    replicas: z.number(),
    template: z.looseObject({
      metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
      spec: z.looseObject({
        containers: z.tuple([container]),
        volumes: z.array(z.looseObject({ name: z.string() })),
      }),
    }),
  }),
});
const kubernetesObject = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});
const configuration = z.looseObject({
  webhooks: z.tuple([
    z.looseObject({
      clientConfig: z.record(z.string(), z.unknown()),
      failurePolicy: z.string(),
      rules: z.array(z.looseObject({ resources: z.array(z.string()), operations: z.array(z.string()) })),
    }),
  ]),
});

const manifest = async (query: Record<string, string> = {}) => {
  const answer = await ask({ tenantId, image, ...query });
  expect([answer.status, answer.text]).toEqual([200, answer.text]);
  const objects = parseAllDocuments(answer.text).map((document) => document.toJS() as unknown);
  const first = (kind: string) => objects.find((each) => kubernetesObject.parse(each).kind === kind);
  const { replicas, template } = deploymentObject.parse(first('Deployment')).spec;
  const [main] = template.spec.containers;
  return {
    text: answer.text,
    objects: objects.map((each) => kubernetesObject.parse(each)),
    first,
    replicas,
    labels: template.metadata.labels,
    pod: template.spec,
    container: main,
    env: Object.fromEntries(main.env.map(({ name, value }) => [name, value])),
    webhook: configuration.parse(first('ValidatingWebhookConfiguration')).webhooks[0],
  };
};

describe('GET /v1/install/admission-webhook.yaml', () => {
  test('answers YAML that may be cached, and 304 to whoever has it', async () => {
    const first = await ask({ tenantId, image });
    expect(first.headers).toMatchObject({
      'Content-Type': 'application/yaml',
      'Cache-Control': 'public, max-age=300',
    });
    const headers = { 'If-None-Match': first.headers.ETag ?? '' };
    expect((await ask({ tenantId, image }, { headers })).status).toBe(304);
    expect((await ask({ tenantId, image, replicas: '3' }, { headers })).status).toBe(200);
  });

  test('pins the key that bundles are signed by, the tenant and the address of the API', async () => {
    const { first, env } = await manifest();
    const { data } = z.looseObject({ data: z.record(z.string(), z.string()) }).parse(first('ConfigMap'));
    expect(JSON.parse(data['bundle-keys.json'] ?? '')).toEqual({ keys: [await assets.bundleSigner.key()] });
    expect(env).toMatchObject({ TENANT_ID: tenantId, API_URL: addresses.API_URL });
  });

  test('is answered 503 UNAVAILABLE while the key cannot be read, and never without one', async () => {
    const more = { bundleSigner: { key: () => Promise.reject(new Error('KMS is silent')) } };
    const answer = await ask({ tenantId, image }, { more });
    expect([answer.status, answer.json().code]).toEqual([503, 'UNAVAILABLE']);
    expect(answer.text).not.toContain('KMS is silent');
  });

  test('has no secret in it: one Secret is empty, the other is made by its owner', async () => {
    const { objects, text, pod } = await manifest({ imagePullSecret: 'registry-login' });
    const secrets = objects.filter(({ kind }) => kind === 'Secret');
    expect(secrets).toEqual([
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: expect.objectContaining({ name: 'cattery-admission-tls', namespace: 'cattery-system' }),
        type: 'Opaque',
      },
    ]);
    expect(text).not.toMatch(/crt_|ccr_|cak_|PRIVATE KEY/);
    expect(text).toContain(
      'kubectl create secret generic cattery-admission-key -n cattery-system --from-file=key=FILE',
    );
    // Not optional: the pod waits until it is there.
    expect(pod.volumes).toContainEqual({
      name: 'key',
      secret: {
        secretName: 'cattery-admission-key',
        defaultMode: 0o440,
        items: [{ key: 'key', path: 'key' }],
      },
    });
  });

  test('gives the container an environment that it starts with, and the files that this names', async () => {
    const { env, container: main, pod } = await manifest({ caConfigMap: 'our-ca' });
    const read = environment.parse({
      ...env,
      KUBERNETES_SERVICE_HOST: '10.96.0.1',
      KUBERNETES_SERVICE_PORT: '443',
    });
    expect(read.TLS_NAMES).toContain('cattery-admission.cattery-system.svc');
    expect(main.ports.map(({ name, containerPort }) => [name, containerPort])).toEqual([
      ['review', read.REVIEW_PORT],
      ['internal', read.INTERNAL_PORT],
    ]);
    const files = [
      read.API_KEY_FILE,
      read.BUNDLE_KEYS_FILE,
      read.DATA_DIRECTORY,
      env.NODE_EXTRA_CA_CERTS ?? '',
    ];
    for (const file of files) {
      expect(main.volumeMounts.filter(({ mountPath }) => file.startsWith(`${mountPath}/`))).toHaveLength(1);
    }
    expect(main.volumeMounts.map(({ name }) => name).sort()).toEqual(
      pod.volumes.map(({ name }) => name).sort(),
    );
    expect(main.command).toEqual([
      'node',
      '--enable-source-maps',
      '--max-old-space-size=384',
      'admission-webhook.mjs',
    ]);
  });

  test('runs it without any privilege, on a root file system that it cannot write', async () => {
    const { pod, container: main } = await manifest();
    expect(pod).toMatchObject({
      securityContext: { runAsNonRoot: true, runAsUser: 1_000, seccompProfile: { type: 'RuntimeDefault' } },
    });
    expect(main).toMatchObject({
      securityContext: {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        readOnlyRootFilesystem: true,
      },
      livenessProbe: { httpGet: { path: '/livez' } },
      readinessProbe: { httpGet: { path: '/readyz' } },
      resources: { requests: { cpu: expect.any(String), memory: expect.any(String) } },
    });
    expect(main.volumeMounts.filter(({ readOnly }) => readOnly !== true).map(({ name }) => name)).toEqual([
      'data',
    ]);
    // The image's own user.
    const dockerfile = await readFile(new URL('../../../tunnel-fargate/Dockerfile', import.meta.url), 'utf8');
    expect(dockerfile).toMatch(/^USER node$/m);
  });

  test('starts two replicas apart from each other, of which one may be taken away', async () => {
    const { replicas, pod, first, labels } = await manifest();
    expect(replicas).toBe(2);
    expect(pod).toMatchObject({
      topologySpreadConstraints: [
        { topologyKey: 'kubernetes.io/hostname' },
        { topologyKey: 'topology.kubernetes.io/zone' },
      ],
    });
    const selector = { 'app.kubernetes.io/name': 'cattery-admission' };
    expect(labels).toMatchObject(selector);
    expect(first('PodDisruptionBudget')).toMatchObject({
      spec: { maxUnavailable: 1, selector: { matchLabels: selector } },
    });
    expect(first('Service')).toMatchObject({
      spec: { selector, ports: [{ port: 443, targetPort: 'review' }] },
    });
    expect((await manifest({ replicas: '3' })).replicas).toBe(3);
  });

  test('asks about all that makes pods, in all namespaces but those without which nobody could answer', async () => {
    const { webhook } = await manifest();
    expect(webhook.rules.flatMap(({ resources }) => resources).sort()).toEqual([
      ...['cronjobs', 'daemonsets', 'deployments', 'jobs', 'pods', 'pods/ephemeralcontainers'],
      ...['podtemplates', 'replicasets', 'replicationcontrollers', 'statefulsets'],
    ]);
    for (const { operations } of webhook.rules) expect(operations).toEqual(['CREATE', 'UPDATE']);
    expect(webhook).toMatchObject({
      matchPolicy: 'Equivalent',
      sideEffects: 'None',
      timeoutSeconds: 5,
      admissionReviewVersions: ['v1'],
      failurePolicy: 'Ignore',
      namespaceSelector: {
        matchExpressions: [
          { key: 'kubernetes.io/metadata.name', operator: 'NotIn', values: excludedNamespaces },
        ],
      },
    });
    expect(excludedNamespaces).toContain('cattery-system');
    expect((await manifest({ failurePolicy: 'Fail' })).webhook.failurePolicy).toBe('Fail');
  });

  test('leaves the caBundle to the webhook, and has no level of Pod Security for a namespace with others in it', async () => {
    const { webhook, first } = await manifest();
    expect(webhook.clientConfig).not.toHaveProperty('caBundle');
    expect(first('Namespace')).toEqual({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'cattery-system' },
    });
  });

  test('grants what it needs by name, and no way to make, list or remove a Secret', async () => {
    const { objects, first } = await manifest();
    expect(objects.filter(({ kind }) => kind.endsWith('Role'))).toMatchObject([
      { kind: 'Role', metadata: { namespace: 'cattery-system' }, rules: ownRules },
      { kind: 'ClusterRole', rules: clusterRules },
    ]);
    for (const each of [...ownRules, ...clusterRules]) {
      expect([...each.apiGroups, ...each.resources, ...each.verbs]).not.toContain('*');
      for (const verb of ['create', 'delete', 'deletecollection', 'escalate', 'bind', 'impersonate'])
        expect(each.verbs).not.toContain(verb);
      if (!each.resources.includes('namespaces')) expect(each.resourceNames).toHaveLength(1);
    }
    const account = { kind: 'ServiceAccount', name: 'cattery-admission', namespace: 'cattery-system' };
    for (const binding of objects.filter(({ kind }) => kind.endsWith('Binding')))
      expect(binding).toMatchObject({ subjects: [account] });
    expect(first('ServiceAccount')).toMatchObject({ automountServiceAccountToken: false });
  });

  test('has the options, rights, namespaces and lives of certificates that docs/admission-webhook.md tells', async () => {
    const text = await readFile(new URL('../../../docs/admission-webhook.md', import.meta.url), 'utf8');
    const [, table = ''] = /^(\| parameter [^]*?)\n\n/m.exec(text) ?? [];
    const told = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name);
    expect(told.sort()).toEqual(Object.keys(admissionWebhookQuery.shape).sort());
    for (const each of [...ownRules, ...clusterRules]) {
      const names = each.resourceNames?.join(', ') ?? 'all';
      expect(text).toContain(`| ${each.resources.join(', ')} | ${names} | ${each.verbs.join(', ')} |`);
    }
    for (const each of excludedNamespaces) expect(text).toContain(`\`${each}\``);
    const day = 86_400_000;
    expect([leafValidity / day, leafTerm / day, caValidity / day]).toEqual([90, 60, 730]);
  });

  test('in the nodes’ network takes other ports, and waits for a free one before it starts another pod', async () => {
    const { pod, first, env, container: main } = await manifest({ network: 'host' });
    expect(pod).toMatchObject({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' });
    expect([env.REVIEW_PORT, env.INTERNAL_PORT]).toEqual(
      main.ports.map(({ containerPort }) => String(containerPort)),
    );
    expect(env.REVIEW_PORT).not.toBe((await manifest()).env.REVIEW_PORT);
    expect(first('Deployment')).toMatchObject({ spec: { strategy: { rollingUpdate: { maxSurge: 0 } } } });
  });

  test('sends only the questions for bundles through a proxy', async () => {
    const { env } = await manifest({ httpsProxy: 'http://proxy.example:3128' });
    expect(env).toMatchObject({ HTTPS_PROXY: 'http://proxy.example:3128', NODE_USE_ENV_PROXY: '1' });
    expect((await manifest()).env).not.toHaveProperty('NODE_USE_ENV_PROXY');
  });

  test.each<[string, Record<string, string>]>([
    ['no tenant', { image }],
    ['no tenant’s ID', { image, tenantId: 'acme' }],
    ['no image: there is none that all clusters can pull', { tenantId }],
    ['an image without tag or digest', { tenantId, image: 'registry.example/cattery' }],
    ['an image with what is none', { tenantId, image: 'a:1 --privileged' }],
    ['another failure policy', { tenantId, image, failurePolicy: 'Maybe' }],
    ['no replica', { tenantId, image, replicas: '0' }],
    ['a crowd', { tenantId, image, replicas: '6' }],
    ['a proxy with a password', { tenantId, image, httpsProxy: 'http://u:p@proxy.example:1' }],
    ['a name that is none', { tenantId, image, caConfigMap: 'a\nb' }],
    ['what it does not know', { tenantId, image, mode: 'audit' }],
  ])('refuses %s with 400 INVALID_REQUEST', async (_, query) => {
    const answer = await ask(query);
    expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
  });

  test('says in its first lines what it is, and what its failure policy means', async () => {
    for (const [failurePolicy, words] of [
      ['Ignore', 'everything is let in'],
      ['Fail', 'nothing that makes pods is let in'],
    ] as const) {
      const { text } = await manifest({ failurePolicy });
      const [head = ''] = text.split('---\n');
      expect(head).toContain(words);
      expect(head).toContain(tenantId);
      for (const line of head.trimEnd().split('\n')) expect(line).toMatch(/^#/);
    }
  });
});
