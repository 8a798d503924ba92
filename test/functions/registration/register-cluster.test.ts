import { createHash, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { registered } from '../../../core/cluster/cluster-schema.ts';
import { ecPair, makeRequest } from './certificate-requests.ts';
import { facts, type Setting, start, startSetting, tenantA, tenantB, trust } from './setting.ts';

describe('a registration', () => {
  let setting: Setting;
  beforeAll(async () => {
    setting = await startSetting();
  });
  afterAll(() => setting.engine.close());

  test('answers 201 with the certificate, the trust, the address and the cluster token', async () => {
    const { caller } = await setting.newToken();
    const pair = ecPair();
    const answer = await setting.register(caller, 'prod.eu-1', pair);
    expect(answer.status).toBe(201);
    const body = registered.parse(answer.json());
    expect(answer.headers.Location).toBe(`clusters/${body.clusterId}`);
    expect(new URL(answer.headers.Location ?? '', 'https://api.example/prod/v1/registrations').pathname).toBe(
      `/prod/v1/clusters/${body.clusterId}`,
    );
    expect(body).toMatchObject({
      clusterName: 'prod.eu-1',
      trustBundle: trust.trustBundle,
      logTrust: trust.roots,
      tunnelAddress: 'tunnel.example:9000',
    });
    const certificate = new X509Certificate(body.certificate);
    expect(certificate.publicKey.equals(pair.publicKey)).toBe(true);
    const fingerprint = createHash('sha256').update(certificate.raw).digest('hex');
    expect(await setting.deps.certificates.find(fingerprint)).toEqual({
      fingerprint,
      tenantId: tenantA,
      clusterId: body.clusterId,
      notAfter: certificate.validToDate.getTime(),
    });
    const credential = await setting.deps.identities.findCredential(
      createHash('sha256').update(body.clusterToken).digest('hex'),
    );
    expect(credential).toMatchObject({
      kind: 'cluster',
      tenantId: tenantA,
      clusterId: body.clusterId,
      scopes: 'cluster:report',
    });
    const shown = await setting.call({
      path: `/v1/clusters/${body.clusterId}`,
      resource: '/v1/clusters/{clusterId}',
      params: { clusterId: body.clusterId },
      caller: { ...caller, scopes: new Set(['clusters:read']) },
    });
    expect(shown.json()).toEqual({
      clusterId: body.clusterId,
      clusterName: 'prod.eu-1',
      state: 'pending',
      since: new Date(start).toISOString(),
      registeredAt: new Date(start).toISOString(),
      cluster: facts,
      impersonation: false,
      certificate: { fingerprint, notAfter: certificate.validToDate.toISOString(), daysLeft: 397 },
    });
  });

  test('asked for again with the same token and key gives the same bytes and writes nothing', async () => {
    const { caller } = await setting.newToken();
    const pair = ecPair();
    const first = await setting.register(caller, 'twice', pair);
    const before = await setting.dump();
    setting.clock.now += 60_000;
    // ECDSA signatures differ from one request to the next: only the key counts.
    const units = await setting.engine.units(async () => {
      const again = await setting.register(caller, 'twice', pair);
      expect(again.status).toBe(201);
      expect(again.text).toBe(first.text);
    });
    expect(units.write).toBe(0);
    expect(await setting.dump()).toEqual(before);
  });

  test('with a spent token and another key is refused with 409 TOKEN_SPENT, counted, and logged without the token', async () => {
    const { caller, tokenId, text } = await setting.newToken();
    await setting.register(caller, 'mine', ecPair());
    setting.told.lines.length = 0;
    const other = await setting.register(caller, 'theirs', ecPair());
    expect([other.status, other.json().code]).toEqual([409, 'TOKEN_SPENT']);
    expect(await setting.deps.tokens.find(tenantA, tokenId)).toMatchObject({ refusedUses: 1 });
    expect(setting.told.lines).toMatchObject([
      {
        level: 'warn',
        extra: { securityEvent: 'REGISTRATION_TOKEN_REUSED', tenantId: tenantA, tokenId },
      },
    ]);
    expect(JSON.stringify(setting.told.lines)).not.toContain(text.slice(20));
    expect(JSON.stringify(setting.told.lines)).not.toContain(caller.credentialHash);
  });

  test('once more under another name is refused with 409 CONFLICT and tells the name', async () => {
    const { caller } = await setting.newToken();
    const pair = ecPair();
    await setting.register(caller, 'first-name', pair);
    const again = await setting.register(caller, 'second-name', pair);
    expect([again.status, again.json().code]).toEqual([409, 'CONFLICT']);
    expect(again.json().detail).toContain('first-name');
  });

  test.each([
    ['', 'CLUSTER_NAME_INVALID'],
    ['Upper', 'CLUSTER_NAME_INVALID'],
    ['under_score', 'CLUSTER_NAME_INVALID'],
    ['a'.repeat(64), 'CLUSTER_NAME_INVALID'],
    ['new\nline', 'CLUSTER_NAME_INVALID'],
    ['line\n', 'CLUSTER_NAME_INVALID'],
    ['ümlaut', 'CLUSTER_NAME_INVALID'],
    ['#TENANT', 'CLUSTER_NAME_INVALID'],
  ])('under the name %j is refused with 400 %s and writes nothing', async (clusterName, code) => {
    const { caller } = await setting.newToken();
    const before = await setting.dump();
    const answer = await setting.register(caller, clusterName, ecPair());
    expect([answer.status, answer.json().code]).toEqual([400, code]);
    expect(await setting.dump()).toEqual(before);
  });

  test.each(['a', 'a'.repeat(63), '-.-', '0.9'])('under the name %j is taken', async (clusterName) => {
    const { caller } = await setting.newToken();
    expect((await setting.register(caller, clusterName, ecPair())).status).toBe(201);
  });

  test.each([
    ['CSR_MALFORMED', 'no request'],
    ['CSR_SIGNATURE_INVALID', makeRequest(ecPair(), { signedBy: ecPair() })],
    ['CSR_KEY_WEAK', makeRequest(ecPair('P-521'))],
  ])(
    'with a bad request is refused with 400 %s, writes nothing, and the token still works',
    async (code, csr) => {
      const { caller, tokenId } = await setting.newToken();
      const before = await setting.dump();
      const answer = await setting.register(caller, `bad-${tokenId}`, ecPair(), { csr });
      expect([answer.status, answer.json().code]).toEqual([400, code]);
      expect(await setting.dump()).toEqual(before);
      expect((await setting.register(caller, `bad-${tokenId}`, ecPair())).status).toBe(201);
    },
  );

  test('with unknown fields is refused with 400 INVALID_REQUEST', async () => {
    const { caller } = await setting.newToken();
    const answer = await setting.register(caller, 'unknown-field', ecPair(), { tenantId: tenantB });
    expect([answer.status, answer.json().code]).toEqual([400, 'INVALID_REQUEST']);
  });

  test('under a name of this tenant is refused with 409 CLUSTER_NAME_TAKEN and writes nothing; another tenant may have it', async () => {
    await setting.connect('shared-name');
    const { caller } = await setting.newToken();
    const before = await setting.dump();
    const pair = ecPair();
    const answer = await setting.register(caller, 'shared-name', pair);
    expect([answer.status, answer.json().code]).toEqual([409, 'CLUSTER_NAME_TAKEN']);
    expect(await setting.dump()).toEqual(before);
    expect((await setting.register(caller, 'a-free-name', pair)).status).toBe(201);
    expect((await setting.connect('shared-name', tenantB)).clusterName).toBe('shared-name');
  });

  test('with a token bound to a name takes that name only: 403 CLUSTER_NAME_NOT_ALLOWED', async () => {
    const { caller } = await setting.newToken({ clusterName: 'only-this' });
    const pair = ecPair();
    const other = await setting.register(caller, 'not-this', pair);
    expect([other.status, other.json().code]).toEqual([403, 'CLUSTER_NAME_NOT_ALLOWED']);
    expect((await setting.register(caller, 'only-this', pair)).status).toBe(201);
  });

  test('with a token that was revoked or has expired since it was authorised is refused with 401', async () => {
    const revoked = await setting.newToken();
    await setting.deps.identities.deleteCredential(revoked.caller.credentialHash ?? '');
    expect((await setting.register(revoked.caller, 'too-late', ecPair())).status).toBe(401);
    const expired = await setting.newToken({ ttlSeconds: 60 });
    setting.clock.now += 60_000;
    expect((await setting.register(expired.caller, 'too-late', ecPair())).status).toBe(401);
  });

  test('by an API key, were its scopes to allow it, is refused with 403: only a token can be claimed', async () => {
    const answer = await setting.register(
      { kind: 'api-key', tenantId: tenantA, principal: 'api-key:x', scopes: new Set(['registration:use']) },
      'by-key',
      ecPair(),
    );
    expect([answer.status, answer.json().code]).toEqual([403, 'ACCESS_DENIED']);
  });

  test('of a cluster that was disconnected is not repeated: 409 TOKEN_SPENT, and nothing comes back', async () => {
    const { caller } = await setting.newToken();
    const pair = ecPair();
    const { clusterId } = (await setting.register(caller, 'gone', pair)).json() as { clusterId: string };
    await setting.call({
      method: 'DELETE',
      path: `/v1/clusters/${clusterId}`,
      resource: '/v1/clusters/{clusterId}',
      params: { clusterId },
      caller: { ...caller, scopes: new Set(['clusters:disconnect']) },
    });
    const before = await setting.dump();
    const units = await setting.engine.units(async () => {
      const again = await setting.register(caller, 'gone', pair);
      expect([again.status, again.json().code]).toEqual([409, 'TOKEN_SPENT']);
    });
    expect(units.write).toBe(0);
    expect(await setting.dump()).toEqual(before);
  });
});

test('a registration before the certificates are made is refused with 503 UNAVAILABLE and leaves the token unused', async () => {
  const setting = await startSetting({ withTrust: false });
  try {
    const { caller } = await setting.newToken();
    const before = await setting.dump();
    const pair = ecPair();
    const answer = await setting.register(caller, 'early', pair);
    expect([answer.status, answer.json().code]).toEqual([503, 'UNAVAILABLE']);
    expect(await setting.dump()).toEqual(before);
    await setting.deps.trust.write(trust);
    expect((await setting.register(caller, 'early', pair)).status).toBe(201);
  } finally {
    await setting.engine.close();
  }
});
