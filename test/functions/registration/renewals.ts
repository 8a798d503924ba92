import type { CertificateRenewed } from '../../../core/cluster/cluster-schema.ts';
import type { Caller } from '../../../core/credential/caller.ts';
import { fingerprintOfPem } from '../../../functions/registration/cluster-certificate.ts';
import type { Answered } from '../api-call.ts';
import { ecPair, makeRequest, type Pair } from './certificate-requests.ts';
import { makeProof } from './proofs.ts';
import { type Setting, tenantA } from './setting.ts';

/** A cluster as its own token's caller. */
export const itself = (clusterId: string, tenantId = tenantA): Caller => ({
  kind: 'cluster',
  tenantId,
  principal: `cluster:${clusterId}`,
  scopes: new Set(['cluster:report']),
  clusterId,
});

export const certificatesOf = (setting: Setting, clusterId: string, caller: Caller, body: object) =>
  setting.call({
    method: 'POST',
    path: `/v1/clusters/${clusterId}/certificates`,
    resource: '/v1/clusters/{clusterId}/certificates',
    params: { clusterId },
    body: JSON.stringify(body),
    caller,
  });

/** A registered cluster that renews and retires as install.sh does. */
export class RenewingCluster {
  readonly clusterId: string;
  readonly tenantId: string;
  /** Of its first certificate. */
  readonly fingerprint: string;
  readonly #setting: Setting;
  #nonce = 0;

  constructor(setting: Setting, tenantId: string, clusterId: string, certificate: string) {
    this.#setting = setting;
    this.tenantId = tenantId;
    this.clusterId = clusterId;
    this.fingerprint = fingerprintOfPem(certificate);
  }

  static async register(
    setting: Setting,
    clusterName: string,
    pair: Pair,
    tenantId = tenantA,
  ): Promise<RenewingCluster> {
    const { clusterId, certificate } = await setting.connect(clusterName, tenantId, pair);
    return new RenewingCluster(setting, tenantId, clusterId, certificate);
  }

  /** Asks for a certificate for `next`, proven with `current`. */
  async renew(current: Pair, next: Pair = ecPair()): Promise<Answered> {
    const csr = makeRequest(next);
    const proof = makeProof(current, { clusterId: this.clusterId, csr, now: this.#setting.clock.now });
    return certificatesOf(this.#setting, this.clusterId, itself(this.clusterId, this.tenantId), {
      csr,
      proof,
    });
  }

  /** The same, where it must succeed. */
  async renewed(current: Pair, next?: Pair): Promise<CertificateRenewed> {
    const answer = await this.renew(current, next);
    if (answer.status !== 201) throw new Error(answer.text);
    return answer.json() as CertificateRenewed;
  }

  retire(fingerprint: string): Promise<Answered> {
    const { clusterId } = this;
    return this.#setting.call({
      method: 'DELETE',
      path: `/v1/clusters/${clusterId}/certificates/${fingerprint}`,
      resource: '/v1/clusters/{clusterId}/certificates/{fingerprint}',
      params: { clusterId, fingerprint },
      caller: itself(clusterId, this.tenantId),
    });
  }

  /** A tunnel of it comes up with this certificate; the task's lease lasts 10 s. */
  async connect(fingerprint: string): Promise<void> {
    const { deps, clock } = this.#setting;
    this.#nonce += 1;
    await deps.tunnels.renewLease({ taskId: 'task', address: '', validUntil: clock.now + 10_000 });
    const entry = { clusterId: this.clusterId, fingerprint, taskId: 'task', nonce: this.#nonce };
    await deps.tunnels.announce({ ...entry, now: clock.now });
  }

  async disconnect(): Promise<void> {
    const { deps, clock } = this.#setting;
    const entry = { clusterId: this.clusterId, taskId: 'task', nonce: this.#nonce };
    await deps.tunnels.withdraw({ ...entry, now: clock.now });
  }

  /** What a tunnel that comes with this certificate would meet. */
  async standing(fingerprint: string): Promise<'let in' | 'revoked' | 'unknown'> {
    const found = await this.#setting.deps.certificates.find(fingerprint);
    if (!found) return 'unknown';
    if (found.revokedAt !== undefined) return 'revoked';
    return found.clusterId === this.clusterId && found.tenantId === this.tenantId ? 'let in' : 'unknown';
  }

  async show(): Promise<Answered> {
    return this.#setting.call({
      path: `/v1/clusters/${this.clusterId}`,
      resource: '/v1/clusters/{clusterId}',
      params: { clusterId: this.clusterId },
      caller: itself(this.clusterId, this.tenantId),
    });
  }
}
