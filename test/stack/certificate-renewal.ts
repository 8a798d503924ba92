/** A cluster that renews its certificate while it is used: by its own token, with a proof, and without a gap. */
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { certificateRenewed, cluster as clusterSchema } from '../../core/cluster/cluster-schema.ts';
import { type DemoAgent, startAgent } from '../../local/demo-cluster/agent.ts';
import type { Enrolment } from '../../local/demo-cluster/enrol.ts';
import { ecPair, makeRequest, type Pair } from '../functions/registration/certificate-requests.ts';
import { makeProof } from '../functions/registration/proofs.ts';
import { registerCluster } from './further-cluster.ts';
import type { Answer } from './https-client.ts';
import { eventually } from './poll.ts';
import { type RecordingKubeApi, startRecordingKubeApi } from './recording-kube-api.ts';
import type { Stack } from './stack.ts';

/** Asks for a certificate for `next`, as install.sh does. */
export function renew(
  stack: Stack,
  { clusterId, clusterToken, key }: Enrolment,
  next: Pair,
): Promise<Answer> {
  const current = { privateKey: createPrivateKey(key), publicKey: createPublicKey(key) };
  const csr = makeRequest(next);
  const proof = makeProof(current, { clusterId, csr, now: Date.now() });
  return stack.api.post(`/v1/clusters/${clusterId}/certificates`, { csr, proof }, { token: clusterToken });
}

export function certificateRenewal(stack: () => Stack): void {
  describe('a cluster that renews its certificate', () => {
    const next = ecPair();
    let kubeApi: RecordingKubeApi;
    let enrolment: Enrolment;
    const agents: DemoAgent[] = [];
    /** Answers to requests through its tunnel, one after the other, all the time. */
    const answers: Answer[] = [];
    /** How many of them had begun, and ended before their end, with the tunnel that was replaced meanwhile. */
    let cut = 0;
    const over = new AbortController();
    let user: Promise<void>;

    /** An agent that does not come back by itself once another has taken its place, as a pod that was replaced. */
    const connect = (own: Pick<Enrolment, 'key' | 'certificate'>): DemoAgent => {
      const agent = startAgent({ ...enrolment, ...own, kubeApi, sessionIntervalMs: 600_000 });
      agents.push(agent);
      return agent;
    };
    const own = () => ({ token: enrolment.clusterToken });
    const at = (path = '') => `/v1/clusters/${enrolment.clusterId}${path}`;
    const shown = async () => clusterSchema.parse((await stack().api.get(at(), own())).json).certificate;
    const untilConnectedWith = (fingerprint: string) =>
      eventually('its tunnel is up', 15_000, async () => (await shown()).connected === fingerprint);

    beforeAll(async () => {
      kubeApi = await startRecordingKubeApi();
      enrolment = await registerCluster(stack(), 'renewing');
      const { fingerprint } = await shown();
      connect(enrolment);
      await untilConnectedWith(fingerprint);
      user = (async () => {
        while (!over.signal.aborted) {
          const asked = stack().access.get(`/clusters/${enrolment.clusterId}/api/v1/pods`);
          await asked.then(
            (answer) => answers.push(answer),
            () => (cut += 1),
          );
          // Below the limit of its tenant, 200 requests a second.
          await delay(20);
        }
      })();
    });
    afterAll(async () => {
      over.abort();
      await user;
      await Promise.all(agents.map((agent) => agent.close()));
      await kubeApi.close();
    });

    test('is connected with the new one while the old runs, retires the old one, and its users notice nothing', async () => {
      const { api } = stack();
      const old = await shown();
      expect(old.daysLeft).toBe(397);
      const renewed = await renew(stack(), enrolment, next);
      expect(renewed.status).toBe(201);
      const { certificate, fingerprint } = certificateRenewed.parse(renewed.json);
      expect(await renew(stack(), enrolment, next)).toMatchObject({ status: 201, json: renewed.json });

      // Nothing has changed yet: the tunnel, the view and the manifest are those of the old one.
      const retire = (which: string) => api.send('DELETE', at(`/certificates/${which}`), own());
      const inUse = { status: 409, json: { code: 'CERTIFICATE_IN_USE' } };
      expect(await retire(old.fingerprint)).toMatchObject(inUse);
      expect(await shown()).toEqual({ ...old, connected: old.fingerprint });
      const carried = async (pem: string) =>
        (await api.get(at('/manifest'), own())).text.includes(Buffer.from(pem).toString('base64'));
      expect([await carried(enrolment.certificate), await carried(certificate)]).toEqual([true, false]);
      const asked = answers.length;
      await eventually('requests pass meanwhile', 10_000, () => answers.length > asked + 5);

      const key = next.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
      connect({ certificate, key });
      await untilConnectedWith(fingerprint);
      expect([await carried(enrolment.certificate), await carried(certificate)]).toEqual([false, true]);
      expect(await retire(fingerprint)).toMatchObject(inUse);
      expect((await retire(old.fingerprint)).status).toBe(204);
      expect((await retire(old.fingerprint)).status).toBe(404);
      // Longer than it takes the tunnel server to hear of a revocation.
      const [retired, revokedAt] = [answers.length, performance.now()];
      await eventually('requests pass after that', 15_000, () => {
        return answers.length > retired + 5 && performance.now() - revokedAt > 5_000;
      });

      expect((await shown()).connected).toBe(fingerprint);
      // Those too that were under way in the old tunnel when the new one took its place: they only read.
      const failed = answers.flatMap(({ status, json }) =>
        status === 200 ? [] : [`${status} ${(json as { code?: string } | undefined)?.code}`],
      );
      expect(failed).toEqual([]);
      // What has begun cannot be asked for again: one at most, as they come one after the other.
      expect(cut).toBeLessThanOrEqual(1);
    }, 60_000);

    test('is not let in with the old one any more, which proves nothing any more either', async () => {
      const { connected } = await shown();
      const late = connect(enrolment);
      await eventually('the old one is refused', 15_000, () => late.state.phase === 'waiting');
      expect(late.state.reason).toBeDefined();
      expect((await shown()).connected).toBe(connected);
      expect(await renew(stack(), enrolment, ecPair())).toMatchObject({
        status: 403,
        json: { code: 'PROOF_INVALID' },
      });
    }, 30_000);

    test('may disconnect itself: all its certificates, its token and its tunnel are gone', async () => {
      const { api } = stack();
      const connected = agents.find((agent) => agent.state.phase === 'connected');
      expect((await api.send('DELETE', at(), own())).status).toBe(204);
      over.abort();
      await eventually('its tunnel is cut', 10_000, () => connected?.state.phase !== 'connected');
      expect((await api.get(at())).status).toBe(404);
      await eventually(
        'its token is refused',
        6_000,
        async () => (await api.get(at(), own())).status === 401,
      );
    }, 30_000);
  });
}
