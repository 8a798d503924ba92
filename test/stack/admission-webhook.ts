/** The webhook of a cluster beside this control plane: what its manifest gives it, the real bundle, and a player of the Kubernetes API. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { bundleKeySet } from '../../core/admission/bundle-key.ts';
import { apiKeyIssued } from '../../core/credential/api-key-schema.ts';
import { configurationPath, freshlyApplied } from '../admission-webhook/kube-player.ts';
import { startKubeServer } from '../admission-webhook/kube-server.ts';
import type { ApiServer } from '../admission-webhook/kubernetes/api-server.ts';
import { webhookEnvironment, WebhookProcess } from '../admission-webhook/webhook-process.ts';
import { answerOfReview, podReview } from '../functions/admission/pod-review.ts';
import { digestOf } from '../functions/admission/scanned.ts';
import { scored, trivyReport } from '../functions/image-scan/reports.ts';
import { eventually } from './poll.ts';
import type { Stack } from './stack.ts';

const configMap = z.object({
  kind: z.literal('ConfigMap'),
  data: z.object({ 'bundle-keys.json': z.string() }),
});
const deployment = z.object({
  kind: z.literal('Deployment'),
  spec: z.object({
    template: z.object({
      spec: z.object({
        containers: z.tuple([z.object({ env: z.array(z.object({ name: z.string(), value: z.string() })) })]),
      }),
    }),
  }),
});
const trusting = z.object({
  webhooks: z.tuple([z.object({ clientConfig: z.object({ caBundle: z.string() }) })]),
});

export function admissionWebhook(stack: () => Stack): void {
  describe('the webhook in a cluster', () => {
    const name = (image: string) => `registry.example/webhook/${image}:1`;
    let directory: string;
    let token: string;
    let kube: ApiServer;
    let webhook: WebhookProcess;
    let ca: string;

    const scan = async (image: string, score: number): Promise<void> => {
      const report = trivyReport([scored('CVE-2026-8888', score)], {
        CreatedAt: new Date().toISOString(),
        ArtifactName: name(image),
      });
      const { status, text } = await stack().api.post(`/v1/scans?digest=${digestOf(image)}`, report);
      expect([status, text]).toEqual([201, text]);
    };
    const asked = async (images: readonly string[]) => {
      const [here, there] = await Promise.all([
        webhook.review(podReview(images), ca),
        stack().api.post('/v1/admission-reviews?timeout=10s', podReview(images), { token }),
      ]);
      expect([here.status, there.status]).toEqual([200, 200]);
      return { here: answerOfReview(here.json), there: answerOfReview(there.json) };
    };

    beforeAll(async () => {
      const { api, state } = stack();
      directory = await mkdtemp(path.join(tmpdir(), 'cattery-stack-webhook-'));
      for (const [image, score] of [
        ['a', 0],
        ['b', 5],
        ['c', 9.8],
      ] as const)
        await scan(image, score);
      const request = { name: 'webhook', scopes: ['admission:review'] };
      token = apiKeyIssued.parse((await api.post('/v1/api-keys', request)).json).key;

      const me = z.object({ tenantId: z.string() }).parse((await api.get('/v1/me')).json);
      const query = new URLSearchParams({ tenantId: me.tenantId, image: 'registry.example/cattery:1' });
      const manifest = await api.get(`/v1/install/admission-webhook.yaml?${query.toString()}`, {
        token: null,
      });
      const objects = parseAllDocuments(manifest.text).map((document) => document.toJS() as unknown);
      const [keys] = objects.flatMap((each) => configMap.safeParse(each).data ?? []);
      const [pod] = objects.flatMap((each) => deployment.safeParse(each).data ?? []);
      const env = Object.fromEntries(
        (pod?.spec.template.spec.containers[0].env ?? []).map((each) => [each.name, each.value]),
      );

      const kubeObjects = freshlyApplied();
      kube = await startKubeServer(kubeObjects);
      const environment = await webhookEnvironment({
        ...{ directory, kubeUrl: kube.url, accountDirectory: kube.accountDirectory, apiKey: token },
        ...{ apiUrl: env.API_URL ?? '', tenantId: env.TENANT_ID ?? '' },
        keys: bundleKeySet.parse(JSON.parse(keys?.data['bundle-keys.json'] ?? '{}')),
      });
      // As the manifest has it with caConfigMap: the laptop's API has a certificate of its own CA.
      webhook = new WebhookProcess({ ...environment, NODE_EXTRA_CA_CERTS: state.caFile });
      await webhook.ready(60_000);
      const { webhooks } = trusting.parse(kubeObjects.get(configurationPath));
      ca = Buffer.from(webhooks[0].clientConfig.caBundle, 'base64').toString('utf8');
    }, 120_000);
    afterAll(async () => {
      await webhook.kill();
      await kube.close();
      await rm(directory, { recursive: true, force: true });
    });

    test('answers what the control plane answers, word for word', async () => {
      for (const images of [
        [name('a')],
        [name('b')],
        [name('c')],
        [name('a'), name('b'), name('c'), name('none')],
        [`anywhere.example/copy@${digestOf('c')}`],
        ['Not An Image'],
      ]) {
        const { here, there } = await asked(images);
        expect([images, here]).toEqual([images, there]);
      }
      expect((await asked([name('a')])).here.allowed).toBe(true);
      expect((await asked([name('c')])).here.allowed).toBe(false);
    });

    test('learns of new scans and of a changed policy by itself', async () => {
      await scan('d', 0);
      await eventually('it knows the image', 30_000, async () => (await asked([name('d')])).here.allowed);
      const { api } = stack();
      const route = '/v1/image-policy';
      const put = async (policy: object) => {
        const headers = { 'content-type': 'application/json' };
        const { status, text } = await api.send('PUT', route, { body: JSON.stringify(policy), headers });
        expect([status, text]).toEqual([200, text]);
      };
      const before = (await api.get(route)).json as object;
      await put({ warnAt: 0, failAt: 4 });
      await eventually('it knows the policy', 30_000, async () => !(await asked([name('b')])).here.allowed);
      const { here, there } = await asked([name('a'), name('b'), name('c'), name('d')]);
      expect(here).toEqual(there);
      await put(before);
      await eventually(
        'it knows the former one',
        30_000,
        async () => (await asked([name('b')])).here.allowed,
      );
    }, 120_000);

    test('with a key that may not ask for bundles it answers from what it knows, until it is given another', async () => {
      const request = { name: 'no webhook', scopes: ['images:read'] };
      const other = apiKeyIssued.parse((await stack().api.post('/v1/api-keys', request)).json).key;
      const file = path.join(directory, 'key');
      const polls = async (outcome: string) => {
        const { text } = await webhook.internal('/metrics');
        return Number(new RegExp(`bundle_polls_total\\{outcome="${outcome}"\\} (\\d+)`).exec(text)?.[1]);
      };
      await writeFile(file, other);
      await eventually('it is refused', 30_000, async () => (await polls('unavailable')) > 0);
      await eventually('it says so', 5_000, () => webhook.output.includes('answered 403 ACCESS_DENIED'));
      expect((await asked([name('c')])).here.allowed).toBe(false);
      const before = await polls('unchanged');
      await writeFile(file, token);
      await eventually('it goes on', 60_000, async () => (await polls('unchanged')) > before);
      for (const key of [other, token]) expect(webhook.output).not.toContain(key);
    }, 120_000);
  });
}
