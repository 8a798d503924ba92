import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Assembly, type Knowledge } from '../../../admission-webhook/knowledge/knowledge.ts';
import {
  type ReviewOutcome,
  reviewServer,
  secureContext,
} from '../../../admission-webhook/review/review-server.ts';
import { renewed, type TlsMaterial } from '../../../admission-webhook/tls/tls-material.ts';
import { enforcing, scanned, tenantId } from '../control-plane.ts';

const made = async (): Promise<TlsMaterial> => {
  const renewal = await renewed(undefined, {
    ...{ names: ['127.0.0.1'], now: Date.now(), random: randomBytes, trusted: '' },
  });
  if (!renewal) throw new Error('no certificate');
  return renewal.material;
};

let material: TlsMaterial;
let server: ReturnType<typeof reviewServer>;
let port: number;
let outcomes: ReviewOutcome[];
let knowledge: Knowledge | undefined;
let agents: Agent[];
let isStopping: boolean;

beforeEach(async () => {
  const assembly = new Assembly(undefined);
  assembly.add({
    ...{ iss: 'https://api.example', sub: tenantId, iat: 1, kind: 'full', asOf: '1', part: 0 },
    revisions: { rules: 1, admission: 1 },
    rules: enforcing,
    policy: { exemptNamespaces: [], exemptImages: [], policies: [], unmatched: 'Verdict' },
    images: [scanned('good', 'pass'), scanned('bad', 'fail'), scanned('so-so', 'warn')],
  });
  knowledge = assembly.finish();
  material = await made();
  outcomes = [];
  agents = [];
  isStopping = false;
  server = reviewServer(material.leaf, {
    known: () => knowledge && { knowledge, ageMs: 0 },
    labels: () => Promise.resolve(undefined),
    now: Date.now,
    isStopping: () => isStopping,
    onReview: (outcome) => outcomes.push(outcome),
    logger: { warn: () => undefined, error: () => undefined },
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});
afterEach(async () => {
  for (const agent of agents) agent.destroy();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

type Answer = { status: number; headers: Record<string, unknown>; json: Record<string, unknown> };
type Asking = { method?: string; path?: string; type?: string; ca?: string; agent?: Agent };

function ask(body: string | Buffer, given: Asking = {}): Promise<Answer> {
  const {
    method = 'POST',
    path = '/review?timeout=5s',
    type = 'application/json',
    ca = material.ca.certificate,
  } = given;
  const agent = given.agent ?? new Agent({ keepAlive: true, ca });
  agents.push(agent);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port, path, method, agent, headers: { 'content-type': type } },
      (incoming) => {
        let text = '';
        incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        incoming.on('end', () =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            json: JSON.parse(text) as Record<string, unknown>,
          }),
        );
        incoming.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

const podReview = (name: string, padding = '') =>
  JSON.stringify({
    kind: 'AdmissionReview',
    apiVersion: 'admission.k8s.io/v1',
    request: {
      uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { group: '', version: 'v1', kind: 'Pod' },
      namespace: 'shop',
      operation: 'CREATE',
      object: {
        metadata: { name: 'p', annotations: { padding } },
        spec: { containers: [{ name: 'c', image: `registry.example/${name}:1` }] },
      },
    },
  });
const uid = '705ab4f5-6393-11e8-b7cc-42010a800002';

describe('the server that API servers ask', () => {
  test('answers POST /review over TLS with an AdmissionReview, and counts how', async () => {
    expect(await ask(podReview('good'))).toMatchObject({
      status: 200,
      json: { kind: 'AdmissionReview', response: { uid, allowed: true } },
    });
    expect((await ask(podReview('bad'))).json).toMatchObject({ response: { uid, allowed: false } });
    expect((await ask(podReview('so-so'))).json).toMatchObject({
      response: { allowed: true, warnings: [expect.stringContaining('so-so')] },
    });
    expect(outcomes).toEqual(['allowed', 'refused', 'warned']);
  });

  test.each<[string, Asking, string, number, string]>([
    ['another path', { path: '/' }, '{}', 404, 'NOT_FOUND'],
    ['a path that is none', { path: '//[' }, '{}', 404, 'NOT_FOUND'],
    ['another method', { method: 'PUT' }, '{}', 405, 'METHOD_NOT_ALLOWED'],
    ['another media type', { type: 'text/plain' }, '{}', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['no JSON', {}, '{"kind":', 400, 'INVALID_JSON'],
    ['no review', {}, '{"kind":"AdmissionReview"}', 400, 'INVALID_REQUEST'],
  ])('refuses %s with its problem code', async (_, given, body, status, code) => {
    const answer = await ask(body, given);
    expect([answer.status, answer.json.code, answer.headers['content-type']]).toEqual([
      ...[status, code, 'application/problem+json'],
    ]);
    expect(outcomes).toEqual(['error']);
  });

  test('refuses text that is not UTF-8 with 400 INVALID_JSON', async () => {
    const bytes = Buffer.from(podReview('go\u00f6d'), 'latin1');
    expect((await ask(bytes)).json).toMatchObject({ code: 'INVALID_JSON' });
  });

  test('answers 503 UNAVAILABLE while nothing is known', async () => {
    knowledge = undefined;
    const answer = await ask(podReview('good'));
    expect([answer.status, answer.json.code, answer.headers['retry-after']]).toEqual([
      503,
      'UNAVAILABLE',
      '5',
    ]);
  });

  test('judges a review just under 3 MB, and answers a larger one with a refusal instead of an error', async () => {
    const room = 3 * 1_048_576 - Buffer.byteLength(podReview('good'));
    expect((await ask(podReview('good', 'x'.repeat(room)))).json).toMatchObject({
      response: { allowed: true },
    });
    const larger = await ask(podReview('good', 'x'.repeat(room + 1)));
    expect(larger).toMatchObject({ status: 200, json: { response: { uid, allowed: false } } });
    // What is still being written is read first, so that the answer arrives.
    const muchLarger = await ask(podReview('good', 'x'.repeat(16 * 1_048_576)));
    expect(muchLarger).toMatchObject({ status: 200, json: { response: { uid, allowed: false } } });
  });

  test('answers 413 PAYLOAD_TOO_LARGE to what is too large and begins as no review does', async () => {
    const answer = await ask(`{"padding":"${'x'.repeat(4 * 1_048_576)}"}`);
    expect([answer.status, answer.json.code]).toEqual([413, 'PAYLOAD_TOO_LARGE']);
  });

  test('speaks TLS 1.2 and 1.3 only', async () => {
    const spoken = (version: 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3') =>
      new Promise<string | null>((resolve) => {
        const socket = connect({
          ...{ host: '127.0.0.1', port, ca: material.ca.certificate },
          ...{ minVersion: version, maxVersion: version, ciphers: 'DEFAULT@SECLEVEL=0' },
        });
        socket.on('secureConnect', () => {
          resolve(socket.getProtocol());
          socket.destroy();
        });
        socket.on('error', () => resolve(null));
      });
    expect(await Promise.all([spoken('TLSv1.1'), spoken('TLSv1.2'), spoken('TLSv1.3')])).toEqual([
      ...[null, 'TLSv1.2', 'TLSv1.3'],
    ]);
  });

  test('shows a new certificate to new connections, and ends none that is there', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: material.ca.certificate });
    expect((await ask(podReview('good'), { agent })).status).toBe(200);
    const next = await made();
    server.setSecureContext({ ...secureContext(next.leaf), minVersion: 'TLSv1.2' });
    expect((await ask(podReview('good'), { agent })).status).toBe(200);
    expect((await ask(podReview('good'), { ca: next.ca.certificate })).status).toBe(200);
    await expect(ask(podReview('good'))).rejects.toThrow(/certificate/);
  });

  test('sends API servers elsewhere when it is about to stop: each answer ends its connection', async () => {
    expect((await ask(podReview('good'))).headers.connection).not.toBe('close');
    isStopping = true;
    const answer = await ask(podReview('bad'));
    expect([answer.status, answer.headers.connection]).toEqual([200, 'close']);
  });

  test('takes 300 reviews at once', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 64, ca: material.ca.certificate });
    const names = Array.from({ length: 300 }, (_, n) => (n % 3 === 0 ? 'bad' : 'good'));
    const answers = await Promise.all(names.map((name) => ask(podReview(name), { agent })));
    const allowed = answers.map(({ json }) => (json.response as { allowed: boolean }).allowed);
    expect(allowed).toEqual(names.map((name) => name === 'good'));
  });
});
