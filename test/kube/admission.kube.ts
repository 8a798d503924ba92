/**
 * The admission webhook as a webhook of a real API server. Simulated: its pods (KWOK says that they run; two processes on
 * this host are it, with a token of its account), its Service (a relay on loopback, named by `clientConfig.url` instead
 * of `service`, as there is no pod network), and the control plane (a player that signs bundles, so that it can be
 * stopped; test/stack/admission-webhook.ts has the real one).
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import {
  announcementMs,
  fromSecret,
  leafTerm,
  renewed,
  toSecret,
} from '../../admission-webhook/tls/tls-material.ts';
import { bundleKeySet } from '../../core/admission/bundle-key.ts';
import { admissionWebhookQuery } from '../../core/release/admission-webhook-schema.ts';
import {
  admissionWebhookManifest,
  clusterRules,
  excludedNamespaces,
  ownRules,
} from '../../functions/install-assets/admission-webhook-manifest.ts';
import { apiKey, ControlPlane, scanned, tenantId } from '../admission-webhook/control-plane.ts';
import { configurationPath, secretPath } from '../admission-webhook/kube-player.ts';
import { webhookEnvironment, WebhookProcess } from '../admission-webhook/webhook-process.ts';
import { eventually } from '../stack/poll.ts';
import { KubeClient, KubeError } from './kube-client.ts';
import { type Kube, startKube } from './kube-process.ts';
import { call, kubectlBinaries, type Outcome } from './kubectl-binary.ts';
import { Relay } from './relay.ts';

const newest = kubectlBinaries().at(-1);
if (!newest) console.log('kubectl is not on the PATH: the admission webhook is not tried against a real API');
const kubectl = newest ?? { file: '', version: '' };

const namespace = 'cattery-system';
const day = 86_400_000;
const encoded = (entries: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(entries).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
  );
const decoded = (data: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]),
  );
const image = (name: string) => `registry.example/${name}:1`;

(newest ? describe : describe.skip)('the admission webhook of a real API server', () => {
  let home: string;
  let kube: Kube;
  let client: KubeClient;
  let plane: ControlPlane;
  let relay: Relay;
  const replicas: WebhookProcess[] = [];

  const manifest = (query: Readonly<Record<string, string>> = {}): string =>
    admissionWebhookManifest({
      query: admissionWebhookQuery.parse({ tenantId, image: 'registry.example/cattery:1', ...query }),
      keys: bundleKeySet.parse(plane.keys).keys,
      apiUrl: plane.url,
    });
  /** Without a pod network the API server cannot reach a Service: the relay is in its place, and nothing else differs. */
  const onLoopback = (text: string): string => {
    const service = stringify({
      service: { name: 'cattery-admission', namespace, path: '/review', port: 443 },
    }).replace(/^/gm, '      ');
    const url = `      url: https://127.0.0.1:${relay.port}/review\n`;
    const parts = text.split(service.trimEnd() + '\n');
    expect(parts).toHaveLength(2);
    return parts.join(url);
  };
  const run = (given: readonly string[], input?: string): Promise<Outcome> =>
    call(kubectl.file, given, {
      home,
      environment: { KUBECONFIG: kube.kubeconfig },
      ...(input === undefined ? {} : { input }),
    });
  const done = async (given: readonly string[], input?: string): Promise<Outcome> => {
    const outcome = await run(given, input);
    expect([given.join(' '), outcome.code, outcome.stderr]).toEqual([given.join(' '), 0, outcome.stderr]);
    return outcome;
  };
  const start = async (name: string): Promise<WebhookProcess> => {
    const { stdout: token } = await done(['create', 'token', 'cattery-admission', '-n', namespace]);
    const directory = path.join(home, name);
    await mkdir(directory, { recursive: true });
    for (const [file, text] of Object.entries({ token, 'ca.crt': kube.ca })) {
      await writeFile(path.join(directory, file), text);
    }
    const replica = new WebhookProcess(
      await webhookEnvironment({
        ...{ directory, accountDirectory: directory, kubeUrl: kube.url },
        ...{ apiUrl: plane.url, tenantId, apiKey, keys: plane.keys },
      }),
    );
    replicas.push(replica);
    return replica;
  };

  beforeAll(async () => {
    home = await mkdtemp(path.join(tmpdir(), 'cattery-admission-'));
    [kube, plane, relay] = await Promise.all([startKube(), ControlPlane.start(), Relay.start()]);
    client = await KubeClient.of(kube);
    plane.scan(scanned('good', 'pass'), scanned('bad', 'fail'), scanned('so-so', 'warn'));
    for (const each of ['shop', 'restricted', namespace]) await done(['create', 'namespace', each]);
    for (const each of ['shop', 'kube-system']) {
      await eventually(`${each} has an account`, 30_000, () =>
        client.get(`/api/v1/namespaces/${each}/serviceaccounts/default`),
      );
    }
  }, 120_000);
  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.kill()));
    await relay.close();
    await plane.stop();
    client.close();
    await kube.close();
    await rm(home, { recursive: true, force: true });
  });

  const pod = (name: string, images: readonly string[]) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { containers: images.map((text, n) => ({ name: `c${n}`, image: text })) },
  });
  /** `admitted`, or why not; nothing is made. */
  const tried = async (images: readonly string[], where = 'shop'): Promise<string> => {
    try {
      await client.create(`/api/v1/namespaces/${where}/pods?dryRun=All`, pod('tried', images));
      return 'admitted';
    } catch (error) {
      if (error instanceof KubeError && error.status === 403) return 'refused';
      throw error;
    }
  };
  const secretEntries = async (): Promise<Record<string, string>> => {
    const found = (await client.document(secretPath)) as { data?: Record<string, string> };
    return found.data ?? {};
  };
  const caBundle = async (): Promise<string> => {
    const found = (await client.document(configurationPath)) as {
      webhooks: { clientConfig: { caBundle?: string } }[];
    };
    return Buffer.from(found.webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString('utf8');
  };

  test('its manifest is taken strictly, and its pod fits Pod Security `restricted`', async () => {
    await done(['label', 'namespace', 'restricted', 'pod-security.kubernetes.io/enforce=restricted']);
    const tried = async (text: string): Promise<string> =>
      (await done(['apply', '--dry-run=server', '--validate=strict', '-f', '-'], text)).stderr;
    for (const query of [{}, { network: 'host', failurePolicy: 'Fail', replicas: '3' }]) {
      expect(await tried(manifest(query))).not.toMatch(/PodSecurity|unknown/i);
    }
    const restricted = (query: Readonly<Record<string, string>>) =>
      manifest(query).replaceAll('namespace: cattery-system', 'namespace: restricted');
    expect(await tried(restricted({}))).not.toMatch(/PodSecurity/);
    expect(await tried(restricted({ network: 'host' }))).toMatch(
      /would violate PodSecurity.*hostNetwork=true/,
    );
  }, 60_000);

  test('while no webhook answers, Ignore lets everything in and Fail nothing but what is excluded', async () => {
    await done(['apply', '-f', '-'], onLoopback(manifest({ failurePolicy: 'Fail' })));
    await eventually('Fail holds', 20_000, async () => {
      const refused = await client
        .create('/api/v1/namespaces/shop/pods?dryRun=All', pod('tried', [image('good')]))
        .catch((error: unknown) => String(error));
      return typeof refused === 'string' && refused.includes('failed calling webhook');
    });
    for (const excluded of ['kube-system', namespace]) {
      expect([excluded, await tried([image('bad')], excluded)]).toEqual([excluded, 'admitted']);
    }
    expect(excludedNamespaces).toEqual(expect.arrayContaining(['kube-system', namespace]));
    await done(['apply', '-f', '-'], onLoopback(manifest()));
    await eventually('Ignore holds', 20_000, async () => (await tried([image('bad')])) === 'admitted');
  }, 90_000);

  test('two replicas start with the rights of their account, agree on one Secret, and are believed by the API server', async () => {
    expect(await secretEntries()).toEqual({});
    const [one, two] = await Promise.all([start('one'), start('two')]);
    for (const replica of [one, two]) {
      await replica.ready();
      relay.add(await replica.port());
    }
    expect(Object.keys(await secretEntries()).sort()).toEqual(['ca.crt', 'ca.key', 'tls.crt', 'tls.key']);
    expect(await caBundle()).toBe(Buffer.from((await secretEntries())['ca.crt'] ?? '', 'base64').toString());
    await eventually('it refuses', 20_000, async () => (await tried([image('bad')])) === 'refused');
    expect(await one.shown()).toBe(await two.shown());
  }, 60_000);

  test('kubectl is told why a pod is refused and what to do, and what warns', async () => {
    const refused = await run(['run', 'web', '-n', 'shop', `--image=${image('bad')}`]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /admission webhook "cattery-admission\.cattery-system\.svc" denied the request: Cattery does not admit Pod shop\/web: registry\.example\/bad:1 \(container web\) failed its scan of 2026-11-20: cvss-fail, 1 finding \(CVE-2026-0001 in musl 1\.1, fixed in 1\.2\)\. Use an image that has the fixes/,
    );
    const warned = await done(['run', 'warned', '-n', 'shop', `--image=${image('so-so')}`]);
    expect(warned.stderr).toMatch(
      /^Warning: registry\.example\/so-so:1 \(container warned\) passed with warnings/,
    );
    const { stderr } = await done(['run', 'fine', '-n', 'shop', `--image=${image('good')}`]);
    expect(stderr).toBe('');
    const unscanned = await run(['run', 'new', '-n', 'shop', '--image=registry.example/new:7']);
    expect(unscanned.stderr).toContain(
      'registry.example/new:7 (container new) has no scan result under this name',
    );
  }, 60_000);

  test('whatever makes pods is judged by its template: workloads, init and ephemeral containers', async () => {
    const deployment = ['create', 'deployment', 'web', '-n', 'shop', '--dry-run=server'];
    expect((await run([...deployment, `--image=${image('bad')}`])).stderr).toContain(
      'does not admit Deployment shop/web',
    );
    expect((await run([...deployment, `--image=${image('good')}`])).code).toBe(0);
    const cron = ['create', 'cronjob', 'c', '-n', 'shop', '--schedule=0 0 * * *', '--dry-run=server'];
    expect((await run([...cron, `--image=${image('bad')}`])).stderr).toContain(
      'does not admit CronJob shop/c',
    );
    const init = pod('init', [image('good')]);
    Object.assign(init.spec, { initContainers: [{ name: 'first', image: image('bad') }] });
    const initial = await run(['create', '-n', 'shop', '--dry-run=server', '-f', '-'], JSON.stringify(init));
    expect(initial.stderr).toContain('(container first)');
    const debug = await run(['debug', '-n', 'shop', 'fine', '--attach=false', `--image=${image('bad')}`]);
    expect(debug.stderr).toContain('denied the request: Cattery does not admit Pod shop/fine');
    // An update that brings no other image is let through: else no label could be put on what has failed since.
    plane.scan(scanned('good', 'fail'));
    await eventually(
      'the new verdict holds',
      20_000,
      async () => (await tried([image('good')])) === 'refused',
    );
    const labelled = await done(['label', 'pod', '-n', 'shop', 'fine', 'a=b']);
    expect(labelled.stderr).toMatch(/stays, though a new one would be judged/);
    plane.scan(scanned('good', 'pass'));
    await eventually('it passes again', 20_000, async () => (await tried([image('good')])) === 'admitted');
  }, 90_000);

  test('a pod that is made so large that its review cannot be read is refused, not left to the failure policy', async () => {
    const large = pod('large', [image('bad')]);
    // API servers write each of these in six characters: a request of 1 MB becomes a review of 6.
    Object.assign(large.spec.containers[0] ?? {}, { env: [{ name: 'X', value: '<'.repeat(1_000_000) }] });
    // Not by kubectl, which writes them so itself, and is told that it is too large.
    await expect(client.create('/api/v1/namespaces/shop/pods', large)).rejects.toMatchObject({
      status: 403,
      message: expect.stringContaining('Cattery cannot judge this request: it is too large'),
    });
  }, 60_000);

  test('namespaces are selected by the labels that they have now', async () => {
    const rule = { action: 'Allow' as const };
    plane.policy = {
      ...plane.policy,
      policies: [{ name: 'trial', selector: 'all()', namespaceSelector: "stage == 'trial'", rules: [rule] }],
    };
    await eventually('the policy holds', 20_000, async () => {
      await run(['label', 'namespace', 'shop', 'stage=trial', '--overwrite']);
      return (await tried([image('bad')])) === 'admitted';
    });
    await done(['label', 'namespace', 'shop', 'stage-']);
    await eventually('the label is gone', 10_000, async () => (await tried([image('bad')])) === 'refused');
    // In a namespace that has just been made the first pod is judged rightly, whether the watch has told or not.
    const made = {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'young', labels: { stage: 'trial' } },
    };
    await client.create('/api/v1/namespaces', made);
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } };
    await client.create('/api/v1/namespaces/young/serviceaccounts', account).catch(() => undefined);
    expect(await tried([image('bad')], 'young')).toBe('admitted');
    plane.policy = { ...plane.policy, policies: [] };
    await eventually('no policy', 20_000, async () => (await tried([image('bad')], 'young')) === 'refused');
  }, 90_000);

  test('its account may do what is documented, and nothing else', async () => {
    const account = 'system:serviceaccount:cattery-system:cattery-admission';
    const rules = async (as: string, where: string): Promise<string[]> => {
      const review = {
        apiVersion: 'authorization.k8s.io/v1',
        kind: 'SelfSubjectRulesReview',
        spec: { namespace: where },
      };
      const { stdout } = await done(
        ['create', '--raw', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', `--as=${as}`, '-f', '-'],
        JSON.stringify(review),
      );
      const { status } = JSON.parse(stdout) as { status: { resourceRules: Rule[] } };
      return status.resourceRules.flatMap(inWords);
    };
    const everybodys = new Set(await rules('system:serviceaccount:default:nobody', 'default'));
    const own = async (where: string) =>
      (await rules(account, where)).filter((each) => !everybodys.has(each)).sort();
    expect(await own('shop')).toEqual(clusterRules.flatMap(inWords).sort());
    expect(await own(namespace)).toEqual([...clusterRules, ...ownRules].flatMap(inWords).sort());
  }, 60_000);

  test('applying the manifest again takes nothing away that the webhook has put there', async () => {
    const [entries, trusted] = [await secretEntries(), await caBundle()];
    const text = onLoopback(manifest());
    await done(['apply', '-f', '-'], text);
    await done(['apply', '--server-side', '--force-conflicts', '-f', '-'], text);
    expect([await secretEntries(), await caBundle()]).toEqual([entries, trusted]);
    // What is replaced as a whole is put back.
    const found = (await client.document(configurationPath)) as { webhooks: { clientConfig: object }[] };
    for (const { clientConfig } of found.webhooks) Reflect.deleteProperty(clientConfig, 'caBundle');
    await done(['replace', '-f', '-'], JSON.stringify(found));
    await eventually('the list is back', 20_000, async () => (await caBundle()) === trusted);
  }, 60_000);

  /** Asks without end; with Ignore a call that fails lets a pod in that must be refused. */
  const asking = () => {
    const state = { refused: 0, wrong: [] as string[], stop: false };
    const loop = async () => {
      while (!state.stop) {
        const answer = await tried([image('bad')]);
        if (answer === 'refused') state.refused += 1;
        else state.wrong.push(answer);
      }
    };
    const ended = Promise.all([loop(), loop(), loop()]);
    return {
      state,
      finish: async () => {
        state.stop = true;
        await ended;
        return state;
      },
    };
  };

  test('leaf and CA are rotated while reviews are answered, and not one call fails', async () => {
    const at = (now: number) => ({
      names: ['127.0.0.1'] as [string],
      now,
      random: randomBytes,
      trusted: '',
    });
    const inject = (entries: Readonly<Record<string, string>>) =>
      client.patch(secretPath, { data: encoded(entries) });
    const running = asking();
    const bothShowAnother = async (before: string | undefined) => {
      await eventually('both show another leaf', 30_000, async () => {
        const shown = await Promise.all(replicas.map((replica) => replica.shown()));
        return shown.every((each) => each !== before && each === shown[0]);
      });
      return replicas[0]?.shown();
    };
    const shown = [await replicas[0]?.shown()];

    // A leaf that was made two months ago.
    const current = fromSecret(decoded(await secretEntries()));
    if (!current) throw new Error('there is no material');
    const old = await renewed({ ...current, leaf: current.ca }, at(Date.now() - leafTerm - day));
    await inject(toSecret(old?.material ?? current));
    shown.push(await bothShowAnother(shown[0]));
    expect(fromSecret(decoded(await secretEntries()))?.ca).toEqual(current.ca);

    // A next CA that was made two days ago.
    const next = (await renewed(undefined, at(Date.now() - 2 * announcementMs)))?.material.ca;
    await inject({ 'next-ca.crt': next?.certificate ?? '', 'next-ca.key': next?.key ?? '' });
    // It sees the next CA among the trusted ones, and lets it sign.
    await eventually('the next CA signs', 30_000, async () => {
      const entries = await secretEntries();
      return entries['former-ca.crt'] !== undefined && entries['next-ca.crt'] === undefined;
    });
    shown.push(await bothShowAnother(shown[1]));
    expect(new Set(shown).size).toBe(3);
    const count = running.state.refused;
    await eventually('it goes on', 30_000, () => running.state.refused > count + 50);
    const { wrong } = await running.finish();
    expect(wrong).toEqual([]);
    expect((await caBundle()).match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
  }, 120_000);

  test('one replica is killed, another is stopped in order, and the answers go on', async () => {
    const running = asking();
    await eventually('it runs', 10_000, () => running.state.refused > 20);
    const [one, two] = replicas;
    if (!one || !two) throw new Error('there are no two replicas');
    // As kubelets do: out of the Service first; SIGTERM is answered by ten seconds of service.
    two.signal('SIGTERM');
    relay.remove(await two.port());
    expect([await two.exit(), two.output]).toEqual([0, expect.stringContaining('"event":"stopping"')]);
    const third = await start('three');
    await third.ready();
    relay.add(await third.port());
    const count = running.state.refused;
    await eventually('it goes on', 30_000, () => running.state.refused > count + 20);
    expect((await running.finish()).wrong).toEqual([]);
    // Killed, it takes the calls on its connections with it, and no more: the next ones go to the other.
    await one.kill();
    relay.remove(await one.port());
    await eventually('the other answers', 5_000, async () => (await tried([image('bad')])) === 'refused');
    for (let n = 0; n < 20; n++) expect(await tried([image('bad')])).toBe('refused');
  }, 120_000);

  test('without its control plane it answers on, also when it is started anew, and says so to whoever asks', async () => {
    await plane.stop();
    expect([await tried([image('bad')]), await tried([image('good')])]).toEqual(['refused', 'admitted']);
    const third = replicas.at(-1);
    if (!third) throw new Error('there is no replica');
    await third.kill();
    relay.remove(await third.port());
    // The same disk, as an emptyDir outlives a container; the control plane does not answer.
    const again = await start('three');
    await again.ready();
    relay.add(await again.port());
    expect([await tried([image('bad')]), await tried([image('good')])]).toEqual(['refused', 'admitted']);
    await eventually('it has tried', 20_000, async () =>
      /bundle_polls_total\{outcome="unavailable"\} [1-9]/.test((await again.internal('/metrics')).text),
    );
    expect((await again.internal('/metrics')).text).toMatch(/cattery_admission_images 3/);
    await plane.listen();
    plane.scan(scanned('bad', 'pass'));
    await eventually('it has learned', 60_000, async () => (await tried([image('bad')])) === 'admitted');
  }, 120_000);
});

type Rule = {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs?: readonly string[];
};
const inWords = ({ apiGroups = [], resources = [], resourceNames = [], verbs = [] }: Rule): string[] =>
  resources.map(
    (resource) =>
      `${apiGroups.join()}/${resource} [${resourceNames.join(' ')}] ${[...verbs].sort().join(' ')}`,
  );
