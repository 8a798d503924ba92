import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { JSONWebKeySet } from 'jose';
import { pino } from 'pino';
import { bundleClient } from '../../admission-webhook/knowledge/bundle-client.ts';
import { BundleStore } from '../../admission-webhook/knowledge/bundle-store.ts';
import {
  type RunningWebhook,
  startWebhook,
  type WebhookDependencies,
} from '../../admission-webhook/webhook.ts';
import { eventually } from '../stack/poll.ts';
import { apiKey, ControlPlane, scanned, tenantId } from './control-plane.ts';
import { configurationPath, freshlyApplied, type KubePlayer, secretPath } from './kube-player.ts';

const hour = 3_600_000;
let directory: string;
let plane: ControlPlane;
let kube: KubePlayer;
let clock: number;
let running: RunningWebhook | undefined;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'cattery-webhook-'));
  plane = await ControlPlane.start();
  plane.scan(scanned('good', 'pass'), scanned('bad', 'fail'));
  kube = freshlyApplied();
  clock = Date.now();
});
afterEach(async () => {
  await running?.close(0);
  running = undefined;
  await plane.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Nothing happens on it until it is ended. */
async function* idleWatch(_path: string, { signal }: { signal: AbortSignal }): AsyncGenerator {
  yield { type: 'BOOKMARK', object: { metadata: { resourceVersion: '1' } } };
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
}

const start = async (more: Partial<WebhookDependencies> = {}) => {
  running = await startWebhook(
    {
      kube: {
        read: (resource) =>
          resource.startsWith('/api/v1/namespaces?')
            ? Promise.resolve({ metadata: { resourceVersion: '1' }, items: [] })
            : kube.read(resource),
        replace: (resource, object) => kube.replace(resource, object),
        patch: (resource, patch) => kube.patch(resource, patch),
        watch: idleWatch,
      },
      ask: bundleClient({ apiUrl: plane.url, readKey: () => Promise.resolve(apiKey) }),
      store: new BundleStore(directory),
      origin: () => Promise.resolve({ keys: plane.keys as JSONWebKeySet, issuer: plane.url, tenantId }),
      logger: pino({ level: 'silent' }),
      now: () => clock,
      random: () => 0,
      randomBytes,
      ...more,
    },
    {
      listen: { host: '127.0.0.1', reviewPort: 0, internalPort: 0 },
      tls: { secret: secretPath, configuration: configurationPath, names: ['127.0.0.1'] },
      tlsEveryMs: 30,
      pollEveryMs: 30,
    },
  );
  return running;
};

const internal = async (its: RunningWebhook, place: string) => {
  const answer = await fetch(`http://127.0.0.1:${its.internalPort}${place}`);
  return { status: answer.status, text: await answer.text() };
};
const ready = (its: RunningWebhook) =>
  eventually('ready', 10_000, async () => (await internal(its, '/readyz')).status === 200);

type Response = { allowed: boolean; warnings?: string[] };
const review = async (
  its: RunningWebhook,
  name: string,
): Promise<{ status: number; response?: Response }> => {
  const port = await its.reviewPort;
  const body = JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      ...{
        uid: 'u',
        kind: { group: '', version: 'v1', kind: 'Pod' },
        namespace: 'shop',
        operation: 'CREATE',
      },
      object: { spec: { containers: [{ name: 'c', image: `registry.example/${name}:1` }] } },
    },
  });
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json' };
    const options = {
      host: '127.0.0.1',
      port,
      path: '/review',
      method: 'POST',
      headers,
      rejectUnauthorized: false,
    };
    const outgoing = request(options, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode ?? 0, ...(JSON.parse(text) as { response?: Response }) }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
};

describe('the webhook', () => {
  test('is alive at once, and ready when it has a certificate and a bundle; then it answers', async () => {
    plane.fault = (_, outgoing) => {
      outgoing.writeHead(503).end();
      return true;
    };
    const its = await start();
    expect(await internal(its, '/livez')).toEqual({ status: 200, text: 'ok\n' });
    await eventually('a certificate', 10_000, () => its.reviewPort);
    await eventually('loaded', 5_000, async () =>
      (await internal(its, '/readyz')).text.includes('no bundle has been received yet'),
    );
    expect(await review(its, 'good')).toMatchObject({ status: 503 });
    plane.fault = undefined;
    await ready(its);
    expect((await review(its, 'good')).response).toEqual({ uid: 'u', allowed: true });
    expect((await review(its, 'bad')).response?.allowed).toBe(false);
  });

  test('without the Kubernetes API has no certificate and is not ready, and becomes so when that is back', async () => {
    kube.before = () => Promise.reject(new Error('away'));
    const its = await start();
    await eventually('it waits', 5_000, async () =>
      (await internal(its, '/readyz')).text.includes('there is no certificate yet'),
    );
    kube.before = undefined;
    await ready(its);
    expect((await review(its, 'bad')).response?.allowed).toBe(false);
  });

  test('a day without its control plane and without the Kubernetes API answers, is ready, and says how old it is', async () => {
    const its = await start();
    await ready(its);
    await plane.stop();
    kube.before = () => Promise.reject(new Error('away'));
    clock += 24 * hour;
    expect((await internal(its, '/readyz')).status).toBe(200);
    expect((await review(its, 'good')).response).toMatchObject({
      allowed: true,
      warnings: [expect.stringContaining('24 h old')],
    });
    expect((await review(its, 'bad')).response?.allowed).toBe(false);
    expect((await internal(its, '/metrics')).text).toMatch(/cattery_admission_knowledge_age_seconds 864\d\d/);
    kube.before = undefined;
    await plane.listen();
    await eventually(
      'it is young again',
      10_000,
      async () => (await review(its, 'good')).response?.warnings === undefined,
    );
  });

  test('a new process with the disk of the one before answers before it has reached its control plane', async () => {
    await ready(await start());
    await running?.close(0);
    await plane.stop();
    clock += 2 * hour;
    const its = await start();
    await ready(its);
    expect((await review(its, 'bad')).response).toMatchObject({
      allowed: false,
      warnings: [expect.stringContaining('2 h old')],
    });
  });

  test('tells its figures, from 0 on, and counts reviews by how they ended', async () => {
    const its = await start();
    const metric = async (name: string) =>
      new RegExp(`^cattery_admission_${name} (.*)$`, 'm').exec((await internal(its, '/metrics')).text)?.[1];
    expect(await metric('reviews_total{outcome="error"}'.replace(/[{}]/g, '\\$&'))).toBe('0');
    await ready(its);
    for (const name of ['good', 'bad', 'bad']) await review(its, name);
    expect(await metric('reviews_total\\{outcome="allowed"\\}')).toBe('1');
    expect(await metric('reviews_total\\{outcome="refused"\\}')).toBe('2');
    expect(await metric('review_seconds_count')).toBe('3');
    expect(await metric('images')).toBe('2');
    expect(Number(await metric('certificate_end_timestamp_seconds'))).toBeGreaterThan(
      clock / 1_000 + 80 * 86_400,
    );
    expect((await internal(its, '/else')).status).toBe(404);
    const page = await readFile(new URL('../../docs/admission-webhook.md', import.meta.url), 'utf8');
    const told = [...page.matchAll(/^\| `(cattery_admission_\w+)` \|/gm)].map(([, name]) => name);
    const shown = [...(await internal(its, '/metrics')).text.matchAll(/^# TYPE (\S+) /gm)].map(
      ([, name]) => name,
    );
    expect(told.sort()).toEqual(shown.sort());
  });

  test('shows a renewed certificate without a new start', async () => {
    const its = await start();
    await ready(its);
    const before = kube.get(secretPath).data;
    clock += 61 * 24 * hour;
    await eventually(
      'renewed',
      10_000,
      () => JSON.stringify(kube.get(secretPath).data) !== JSON.stringify(before),
    );
    const end = async () =>
      Number(/_certificate_end_timestamp_seconds (\d\S*)/.exec((await internal(its, '/metrics')).text)?.[1]);
    await eventually('shown', 10_000, async () => (await end()) * 1_000 > clock + 80 * 24 * hour);
    expect((await review(its, 'good')).status).toBe(200);
  });

  test('stopping is unready at once, answers on for the time it is given, and ends its connections', async () => {
    const its = await start();
    await ready(its);
    const closing = its.close(300);
    expect((await internal(its, '/readyz')).text).toBe('stopping\n');
    expect((await review(its, 'bad')).response?.allowed).toBe(false);
    await closing;
    running = undefined;
    await expect(review(its, 'good')).rejects.toThrow(/ECONNREFUSED/);
  });
});
