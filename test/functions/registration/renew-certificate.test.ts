import { createPublicKey, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { renewalsPerHour } from '../../../functions/registration/renew-certificate.ts';
import { unitsAreExact } from '../../engine.ts';
import { member } from '../api-call.ts';
import { ecPair, makeRequest } from './certificate-requests.ts';
import { makeProof } from './proofs.ts';
import { certificatesOf, itself, RenewingCluster } from './renewals.ts';
import { type Setting, start, startSetting, tenantA, tenantB } from './setting.ts';

const day = 86_400_000;

describe('a renewal', () => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await startSetting();
  });
  afterAll(() => setting.engine.close());
  const [first, second, third] = [ecPair(), ecPair(), ecPair()];
  let names = 0;
  const registered = (tenantId = tenantA) =>
    RenewingCluster.register(setting, `cluster-${(names += 1)}`, first, tenantId);

  test('answers 201 with a certificate for the new key, as a registration’s but for key, dates and number', async () => {
    const cluster = await registered();
    const old = await setting.deps.clusters.find(tenantA, cluster.clusterId);
    setting.clock.now += 100 * day;
    const answer = await cluster.renew(first, second);
    const renewed = await cluster.renewed(first, second);
    expect(answer.status).toBe(201);
    expect(answer.headers.Location).toBe(`certificates/${renewed.fingerprint}`);
    const [before, after] = [old?.certificate ?? '', renewed.certificate].map(
      (pem) => new X509Certificate(pem),
    );
    expect(after?.publicKey.equals(second.publicKey)).toBe(true);
    const ca = createPublicKey({
      key: Buffer.from(await setting.signer.publicKey()),
      format: 'der',
      type: 'spki',
    });
    expect(after?.verify(ca)).toBe(true);
    expect([after?.subject, after?.subjectAltName]).toEqual([before?.subject, before?.subjectAltName]);
    expect(after?.serialNumber).not.toBe(before?.serialNumber);
    expect(renewed.notAfter).toBe(after?.validToDate.toISOString());
    expect((after?.validToDate.getTime() ?? 0) - (before?.validToDate.getTime() ?? 0)).toBe(100 * day);
    expect(after?.fingerprint256.replaceAll(':', '').toLowerCase()).toBe(renewed.fingerprint);
    setting.clock.now = start;
  });

  test('leaves the current certificate valid beside the new one', async () => {
    const cluster = await registered();
    const { fingerprint } = await cluster.renewed(first, second);
    expect(await cluster.standing(cluster.fingerprint)).toBe('let in');
    expect(await cluster.standing(fingerprint)).toBe('let in');
  });

  test('for the same key is the same certificate again, and writes nothing new', async () => {
    const cluster = await registered();
    const renewed = await cluster.renewed(first, second);
    const before = await setting.dump();
    setting.clock.now += 60_000;
    expect(await cluster.renewed(first, second)).toEqual(renewed);
    // Either key proves whose it is: the new one is the cluster's, too.
    expect(await cluster.renewed(second, second)).toEqual(renewed);
    expect(await setting.dump()).toEqual(before);
  });

  test('for another key replaces one that no tunnel has come with, and revokes it', async () => {
    const cluster = await registered();
    await cluster.connect(cluster.fingerprint);
    const abandoned = await cluster.renewed(first, second);
    const { fingerprint } = await cluster.renewed(first, third);
    expect(await cluster.standing(abandoned.fingerprint)).toBe('revoked');
    expect(await cluster.standing(cluster.fingerprint)).toBe('let in');
    expect(await cluster.standing(fingerprint)).toBe('let in');
    const record = await setting.deps.clusters.find(tenantA, cluster.clusterId);
    expect(record).toMatchObject({ fingerprint: cluster.fingerprint, renewal: { fingerprint } });
    expect(record?.outdated).toBeUndefined();
  });

  test.each(['up', 'down'])(
    'for another key after the tunnel, now %s, came with the former renewal: that one stays, the oldest is revoked',
    async (tunnel) => {
      const cluster = await registered();
      const used = await cluster.renewed(first, second);
      await cluster.connect(used.fingerprint);
      if (tunnel === 'down') await cluster.disconnect();
      const { fingerprint } = await cluster.renewed(second, third);
      expect(await cluster.standing(cluster.fingerprint)).toBe('revoked');
      expect(await cluster.standing(used.fingerprint)).toBe('let in');
      expect(await cluster.standing(fingerprint)).toBe('let in');
      const record = await setting.deps.clusters.find(tenantA, cluster.clusterId);
      expect(record).toMatchObject({
        fingerprint: used.fingerprint,
        certificate: used.certificate,
        renewal: { fingerprint },
        renewedAt: setting.clock.now,
      });
      expect(record?.outdated).toBeUndefined();
    },
  );

  test('with a proof of another key is refused with 403 PROOF_INVALID, writes nothing, and is a security event', async () => {
    const cluster = await registered();
    const before = await setting.dump();
    setting.told.lines.length = 0;
    const answer = await cluster.renew(third, second);
    expect([answer.status, answer.json().code]).toEqual([403, 'PROOF_INVALID']);
    expect(setting.told.lines).toMatchObject([
      {
        level: 'warn',
        extra: { securityEvent: 'RENEWAL_PROOF_INVALID', tenantId: tenantA, clusterId: cluster.clusterId },
      },
    ]);
    expect(await setting.dump()).toEqual(before);
  });

  test('with another cluster’s proof, or one made for another request, is refused with 403 PROOF_INVALID', async () => {
    const [cluster, other] = [await registered(), await registered()];
    const [csr, otherCsr] = [makeRequest(second), makeRequest(third)];
    const { now } = setting.clock;
    const claims = [
      { clusterId: other.clusterId, csr, now },
      { clusterId: cluster.clusterId, csr: otherCsr, now },
    ];
    for (const claim of claims) {
      const proof = makeProof(first, claim);
      const body = { csr, proof };
      const answer = await certificatesOf(setting, cluster.clusterId, itself(cluster.clusterId), body);
      expect([answer.status, answer.json().code]).toEqual([403, 'PROOF_INVALID']);
    }
  });

  test('with a proof of a clock that is more than 5 minutes off is refused with 403 PROOF_STALE, which tells both times', async () => {
    const cluster = await registered();
    const csr = makeRequest(second);
    const seconds = Math.floor(setting.clock.now / 1000);
    setting.told.lines.length = 0;
    for (const off of [-302, 302]) {
      const now = setting.clock.now + off * 1_000;
      const proof = makeProof(first, { clusterId: cluster.clusterId, csr, now });
      const body = { csr, proof };
      const answer = await certificatesOf(setting, cluster.clusterId, itself(cluster.clusterId), body);
      expect([answer.status, answer.json().code]).toEqual([403, 'PROOF_STALE']);
      expect(answer.json().detail).toContain(String(seconds + off));
      expect(answer.json().detail).toContain(String(seconds));
    }
    expect(setting.told.lines).toEqual([]);
  });

  test('for a key that the cluster has in use already is refused with 409 CSR_KEY_REUSED', async () => {
    const cluster = await registered();
    const before = await setting.dump();
    const answer = await cluster.renew(first, first);
    expect([answer.status, answer.json().code]).toEqual([409, 'CSR_KEY_REUSED']);
    expect(await setting.dump()).toEqual(before);
  });

  test('for a twenty-first new key within an hour is 409 LIMIT_REACHED with Retry-After; the last one is given again', async () => {
    const cluster = await registered();
    for (let count = 1; count < renewalsPerHour; count += 1) await cluster.renewed(first);
    setting.clock.now += 3_540_000;
    const last = await cluster.renewed(first, second);
    const before = await setting.dump();
    const answer = await cluster.renew(first, third);
    expect([answer.status, answer.json().code, answer.headers['Retry-After']]).toEqual([
      409,
      'LIMIT_REACHED',
      '60',
    ]);
    expect(await cluster.renewed(first, second)).toEqual(last);
    expect(await setting.dump()).toEqual(before);
    setting.clock.now += 60_000;
    await cluster.renewed(first, third);
    setting.clock.now = start;
  });

  test('of a certificate that has ended is refused with 409 CERTIFICATE_EXPIRED, which says what to do', async () => {
    const cluster = await registered();
    setting.clock.now += 398 * day;
    const answer = await cluster.renew(first, second);
    expect([answer.status, answer.json().code]).toEqual([409, 'CERTIFICATE_EXPIRED']);
    expect(answer.json().detail).toContain('register it anew');
    setting.clock.now = start;
  });

  test('after the first has ended is still proven with the renewed one, and with nothing else', async () => {
    const cluster = await registered();
    setting.clock.now += 300 * day;
    const used = await cluster.renewed(first, second);
    await cluster.connect(used.fingerprint);
    setting.clock.now += 100 * day;
    expect((await cluster.renew(first, third)).json().code).toBe('PROOF_INVALID');
    const { fingerprint } = await cluster.renewed(second, third);
    expect(await cluster.standing(fingerprint)).toBe('let in');
    expect(await cluster.standing(used.fingerprint)).toBe('let in');
    setting.clock.now = start;
  });

  test.each([
    ['no PEM', 'CSR_MALFORMED', () => 'nothing'],
    ['signed by another key', 'CSR_SIGNATURE_INVALID', () => makeRequest(second, { signedBy: third })],
    ['of a weak curve', 'CSR_KEY_WEAK', () => makeRequest(ecPair('secp256k1'))],
  ])('with a request that is %s is refused with 400 %s, though well proven', async (_what, code, make) => {
    const cluster = await registered();
    const csr = make();
    const { clusterId } = cluster;
    const proof = makeProof(first, { clusterId, csr, now: setting.clock.now });
    const answer = await certificatesOf(setting, clusterId, itself(clusterId), { csr, proof });
    expect([answer.status, answer.json().code]).toEqual([400, code]);
  });

  test('is for the cluster itself only: 404 for a sibling, another tenant’s and a gone one, 403 for its owner', async () => {
    const [cluster, sibling, theirs] = [await registered(), await registered(), await registered(tenantB)];
    const csr = makeRequest(second);
    const ask = (of: string, caller = itself(cluster.clusterId)) =>
      certificatesOf(setting, of, caller, {
        csr,
        proof: makeProof(first, { clusterId: of, csr, now: setting.clock.now }),
      });
    for (const id of [sibling.clusterId, theirs.clusterId, 'c-guessedguessedguess2', 'x']) {
      const answer = await ask(id);
      expect([answer.status, answer.json().code]).toEqual([404, 'NOT_FOUND']);
    }
    const owner = await ask(cluster.clusterId, member(tenantA));
    expect([owner.status, owner.json().code]).toEqual([403, 'ACCESS_DENIED']);
    await setting.deps.registered.beginDisconnect(tenantA, cluster.clusterId, setting.clock.now);
    expect((await ask(cluster.clusterId)).status).toBe(404);
  });

  test('refuses what it does not know, and what is missing, with 400 INVALID_REQUEST', async () => {
    const { clusterId } = await registered();
    for (const body of [{}, { csr: 'x' }, { csr: 'x', proof: 'y', clusterId }]) {
      const answer = await certificatesOf(setting, clusterId, itself(clusterId), body);
      expect(answer.json().code).toBe('INVALID_REQUEST');
    }
  });

  test('leaves the registration’s answer what it was', async () => {
    const { caller } = await setting.newToken();
    const registration = await setting.register(caller, 'answered-before', first);
    const { clusterId } = registration.json() as { clusterId: string };
    const csr = makeRequest(second);
    const proof = makeProof(first, { clusterId, csr, now: setting.clock.now });
    expect((await certificatesOf(setting, clusterId, itself(clusterId), { csr, proof })).status).toBe(201);
    expect((await setting.register(caller, 'answered-before', first)).text).toBe(registration.text);
  });

  test('is no more possible once the cluster is disconnected, which revokes all its certificates', async () => {
    const cluster = await registered();
    const used = await cluster.renewed(first, second);
    await cluster.connect(used.fingerprint);
    const { fingerprint } = await cluster.renewed(second, third);
    const answer = await setting.call({
      method: 'DELETE',
      path: '',
      resource: '/v1/clusters/{clusterId}',
      params: { clusterId: cluster.clusterId },
      caller: itself(cluster.clusterId),
    });
    expect(answer.status).toBe(204);
    for (const each of [cluster.fingerprint, used.fingerprint, fingerprint]) {
      expect(await cluster.standing(each)).toBe('revoked');
    }
    expect((await cluster.renew(second, ecPair())).status).toBe(404);
  });
});

describe('what a cluster shows of its certificate', () => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await startSetting({ seed: 'shown' });
  });
  afterAll(() => setting.engine.close());

  test('is that of the live tunnel, while none is up the newest; days are whole ones', async () => {
    const [first, second] = [ecPair(), ecPair()];
    const cluster = await RenewingCluster.register(setting, 'shown', first);
    const shown = async () => (await cluster.show()).json().certificate;
    expect(await shown()).toMatchObject({ fingerprint: cluster.fingerprint, daysLeft: 397 });
    setting.clock.now = start + 10 * day;
    const { fingerprint, notAfter } = await cluster.renewed(first, second);
    expect(await shown()).toEqual({ fingerprint, notAfter, daysLeft: 397 });
    await cluster.connect(cluster.fingerprint);
    const own = { fingerprint: cluster.fingerprint, daysLeft: 387 };
    expect(await shown()).toMatchObject({ ...own, connected: cluster.fingerprint });
    await cluster.connect(fingerprint);
    expect(await shown()).toEqual({ fingerprint, notAfter, daysLeft: 397, connected: fingerprint });
    await cluster.disconnect();
    expect(await shown()).toEqual({ fingerprint, notAfter, daysLeft: 397 });
  });

  test('is told in a header, too, from 60 days before its end, to the cluster and to its tenant', async () => {
    const cluster = await RenewingCluster.register(setting, 'ending', ecPair());
    const { notAfter } = (await cluster.show()).json().certificate as { notAfter: string };
    const end = Date.parse(notAfter);
    const header = async () => (await cluster.show()).headers['Cattery-Certificate-Expires'];
    setting.clock.now = end - 60 * day - 1;
    expect(await header()).toBeUndefined();
    setting.clock.now = end - 60 * day;
    expect(await header()).toBe(notAfter);
    const owner = await setting.call({
      path: '',
      resource: '/v1/clusters/{clusterId}',
      params: { clusterId: cluster.clusterId },
      caller: member(tenantA),
    });
    expect(owner.headers['Cattery-Certificate-Expires']).toBe(notAfter);
    setting.clock.now = end + day;
    expect((await cluster.show()).json().certificate).toMatchObject({ notAfter, daysLeft: 0 });
    expect(await header()).toBe(notAfter);
    setting.clock.now = start;
  });

  test('is for no other cluster of the tenant: 404', async () => {
    const cluster = await RenewingCluster.register(setting, 'asking', ecPair());
    const sibling = await RenewingCluster.register(setting, 'sibling', ecPair());
    for (const method of ['GET', 'DELETE']) {
      const answer = await setting.call({
        method,
        path: '',
        resource: '/v1/clusters/{clusterId}',
        params: { clusterId: sibling.clusterId },
        caller: itself(cluster.clusterId),
      });
      expect([method, answer.status]).toEqual([method, 404]);
    }
    expect((await sibling.show()).status).toBe(200);
  });
});

(unitsAreExact ? test : test.skip)(
  'capacity units of a renewal are what its documentation says',
  async () => {
    const setting = await startSetting({ seed: 'units' });
    try {
      const [first, second, third] = [ecPair(), ecPair(), ecPair()];
      const cluster = await RenewingCluster.register(setting, 'priced', first);
      const units = async (work: () => Promise<{ status: number }>, status: number) => {
        const used = await setting.engine.units(async () => expect((await work()).status).toBe(status));
        return [used.read, used.write];
      };
      expect(await units(() => cluster.renew(third, second), 403)).toEqual([1, 0]);
      // The cluster, 3 KB with two certificates, and the directory.
      expect(await units(() => cluster.renew(first, second), 201)).toEqual([1, 4]);
      expect(await units(() => cluster.renew(first, second), 201)).toEqual([1, 1]);
      const { fingerprint } = await cluster.renewed(first, second);
      expect(await units(() => cluster.retire(cluster.fingerprint), 409)).toEqual([2, 0]);
      await cluster.connect(fingerprint);
      expect(await units(() => cluster.retire(fingerprint), 409)).toEqual([1, 0]);
      // The cluster, the tunnel, its lease; the cluster twice (3 and 2), the certificate, the revocation.
      expect(await units(() => cluster.retire(cluster.fingerprint), 204)).toEqual([3, 7]);
      expect(await units(() => cluster.retire(cluster.fingerprint), 404)).toEqual([1, 0]);
      await cluster.renewed(second, third);
      // The cluster and its tunnel; the cluster twice, certificate and revocation of the replaced one, the new one.
      expect(await units(() => cluster.renew(second), 201)).toEqual([2, 9]);
    } finally {
      await setting.engine.close();
    }
  },
);
