import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes, X509Certificate } from 'node:crypto';
import type { ServerCertificates } from '../../../core/certificate/server-certificates.ts';
import { newClusterId, newTenantId } from '../../../core/tenant/identifier.ts';
import type { Dependencies } from '../../../functions/certificates/deps.ts';
import { ensureCertificates } from '../../../functions/certificates/ensure-certificates.ts';
import { beginningOf, makeClusterCertificate } from '../../../functions/registration/cluster-certificate.ts';
import { type Account, type Deployment, startAccount } from './deployment.ts';
import { handshake, split } from './handshake.ts';

const [day, year] = [86_400_000, 365.25 * 86_400_000];
const linseed = 'tigera-linseed.tigera-elasticsearch.svc';
const leaves = ['tunnel', 'logEndpoint', 'access', 'peer'] as const;

describe('our own certificates', () => {
  let account: Account;
  beforeAll(async () => {
    account = await startAccount();
  });
  afterAll(() => account.close());

  const ensured = async (overrides: Partial<Dependencies> = {}): Promise<Deployment> => {
    const deployment = account.deployment(overrides);
    await ensureCertificates(deployment.deps);
    return deployment;
  };
  const x509 = (pem: string) => new X509Certificate(pem);
  const again = ({ deps }: Deployment, overrides: Partial<Dependencies>) =>
    ensureCertificates({ ...deps, ...overrides });

  describe('the first run', () => {
    let made: Deployment;
    beforeAll(async () => {
      made = await ensured();
    });

    test('makes all, and says so without a secret', () => {
      expect(made.changes.map(({ what }) => what)).toEqual(['roots', ...leaves, 'trust']);
      expect(JSON.stringify(made.changes)).not.toMatch(/PRIVATE|BEGIN/);
    });

    test('is followed by runs that change nothing', async () => {
      const before = [await made.roots(), await made.served(), await made.trust()];
      expect(await ensureCertificates(made.deps)).toEqual({ changed: [] });
      expect([await made.roots(), await made.served(), await made.trust()]).toEqual(before);
    });

    test('begins the trust bundle with a certificate with exactly one DNS name, as an agent demands', async () => {
      const { trustBundle, hintName, roots } = await made.trust();
      const [hint = '', ...rest] = split(trustBundle);
      expect(hintName).toMatch(/^tunnel\.[a-z2-7]{20}\.cattery\.internal$/);
      expect(x509(hint).subjectAltName).toBe(`DNS:${hintName}`);
      expect(x509(hint).ca).toBe(false);
      expect(rest.join('')).toBe(roots);
      expect(rest).toHaveLength(2);
    });

    test('keeps no key of the hint, and publishes no key at all', async () => {
      const roots = await made.roots();
      expect(Object.keys(roots.hint).sort()).toEqual(['certificate', 'name']);
      for (const { key } of [roots.current, roots.next]) {
        expect(
          x509(roots.hint.certificate).checkPrivateKey((await import('node:crypto')).createPrivateKey(key)),
        ).toBe(false);
      }
      expect(JSON.stringify(await made.trust())).not.toContain('PRIVATE KEY');
    });

    test('lets a client with the bundle and the hint name connect to the tunnel, and no client with another name', async () => {
      const [{ tunnel }, { trustBundle, hintName }] = [await made.served(), await made.trust()];
      expect(await handshake(tunnel, { ca: trustBundle, servername: hintName })).toBe('accepted');
      expect(await handshake(tunnel, { ca: trustBundle, servername: 'tunnel.example' })).toBe(
        'ERR_TLS_CERT_ALTNAME_INVALID',
      );
      const other = await ensured();
      expect(
        await handshake(tunnel, { ca: (await other.trust()).trustBundle, servername: hintName }),
      ).toMatch(/UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER/);
    });

    test('lets producers connect to the log endpoint by any form of its name, with the roots alone', async () => {
      const [{ logEndpoint }, { roots }] = [await made.served(), await made.trust()];
      for (const servername of [
        linseed,
        'tigera-linseed',
        'tigera-linseed.tigera-elasticsearch',
        `${linseed}.cluster.local`,
      ]) {
        expect(await handshake(logEndpoint, { ca: roots, servername })).toBe('accepted');
      }
    });

    test('makes the access certificate for the host of its URL and nothing else', async () => {
      const [{ access }, { roots }] = [await made.served(), await made.trust()];
      expect(x509(access.certificate).subjectAltName).toBe('DNS:access.example');
      expect(await handshake(access, { ca: roots, servername: 'access.example' })).toBe('accepted');
    });

    test.each([
      ['https://127.0.0.1:9443', 'IP Address:127.0.0.1', '127.0.0.1'],
      ['https://[::1]:9443', 'IP Address:0:0:0:0:0:0:0:1', '::1'],
      ['https://localhost:9443', 'DNS:localhost', 'localhost'],
    ])('makes the access certificate of %s for %s', async (accessUrl, name, host) => {
      const { served, trust, deps } = await ensured({ accessUrl });
      expect(x509((await served()).access.certificate).subjectAltName).toBe(name);
      expect(await handshake((await served()).access, { ca: (await trust()).roots, host })).toBe('accepted');
      expect(await ensureCertificates(deps)).toEqual({ changed: [] });
    });

    test('lets tasks verify each other', async () => {
      const { peer, tunnel, roots } = await made.served();
      const servername = 'tunnel.peer.cattery.internal';
      expect(await handshake(peer, { ca: roots, servername, client: peer })).toBe('accepted');
      // Only the peer certificate is one for clients.
      expect(await handshake(peer, { ca: roots, servername, client: tunnel })).not.toBe('accepted');
    });

    test('issues leaves of 90 days by the current root, with P-256 keys and serials of their own', async () => {
      const [{ current }, served] = [await made.roots(), await made.served()];
      const certificates = leaves.map((name) => x509(served[name].certificate));
      for (const certificate of certificates) {
        expect(certificate.checkIssued(x509(current.certificate))).toBe(true);
        expect(certificate.ca).toBe(false);
        expect(certificate.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
        expect(Math.round((certificate.validToDate.getTime() - Date.now()) / day)).toBe(90);
        expect(certificate.validFromDate.getTime()).toBeLessThan(Date.now() - 3_000_000);
        expect(certificate.issuer).not.toMatch(/^CN=tigera-operator-signer/);
      }
      expect(new Set(certificates.map(({ serialNumber }) => serialNumber)).size).toBe(4);
      expect(served.roots).toBe((await made.trust()).roots);
    });

    test("publishes the certificate of the clusters' CA, which verifies what registration issues", async () => {
      const ca = x509((await made.trust()).clusterCa);
      expect([ca.subject, ca.issuer, ca.ca]).toEqual([
        'CN=Cattery cluster CA',
        'CN=Cattery cluster CA',
        true,
      ]);
      expect(ca.verify(ca.publicKey)).toBe(true);
      const spki = x509((await made.served()).tunnel.certificate).publicKey.export({
        format: 'der',
        type: 'spki',
      });
      const leaf = x509(
        await makeClusterCertificate(made.deps.clusterCa, {
          tenantId: newTenantId(),
          clusterId: newClusterId(),
          trustDomain: 'cattery.internal',
          spki,
          serial: '40'.padEnd(32, '1'),
          notBefore: beginningOf(Date.now()),
        }),
      );
      expect(leaf.checkIssued(ca)).toBe(true);
      expect(leaf.verify(ca.publicKey)).toBe(true);
    });
  });

  describe('rotation', () => {
    test('renews a leaf when 30 days are left, not before, and touches nothing else', async () => {
      const deployment = await ensured();
      const before = [await deployment.roots(), await deployment.trust()];
      const end = x509((await deployment.served()).tunnel.certificate).validToDate.getTime();
      expect(await again(deployment, { now: () => end - 30 * day })).toEqual({ changed: [] });
      expect(await again(deployment, { now: () => end - 30 * day + 3_000 })).toEqual({
        changed: [...leaves],
      });
      expect([await deployment.roots(), await deployment.trust()]).toEqual(before);
    });

    test('makes the access certificate anew, and it alone, when its URL has another host', async () => {
      const deployment = await ensured();
      const before = await deployment.served();
      expect(await again(deployment, { accessUrl: 'https://access.example:8443/' })).toEqual({ changed: [] });
      expect(await again(deployment, { accessUrl: 'https://other.example' })).toEqual({
        changed: ['access'],
      });
      const { access, ...rest } = await deployment.served();
      expect(x509(access.certificate).subjectAltName).toBe('DNS:other.example');
      expect(before).toMatchObject(rest);
    });

    test('makes unreadable, mismatched and missing leaves anew', async () => {
      const deployment = await ensured();
      const { deps, served } = deployment;
      const { tunnel, logEndpoint, ...rest } = await served();
      const stored = await deps.tunnelSecret.read();
      await deps.tunnelSecret.replace(
        stored?.version,
        JSON.stringify({
          ...rest,
          tunnel: { ...tunnel, certificate: 'cut' },
          logEndpoint: { ...logEndpoint, key: tunnel.key },
        }),
      );
      expect(await ensureCertificates(deps)).toEqual({ changed: ['tunnel', 'logEndpoint'] });
      await deps.tunnelSecret.replace((await deps.tunnelSecret.read())?.version, '{}');
      expect(await ensureCertificates(deps)).toEqual({ changed: [...leaves] });
    });

    test('lets the next root step up when the current one has less than 2 years, without cutting a cluster of the old bundle', async () => {
      // Eight years ago: what OpenSSL compares dates with is the real clock.
      const begun = Date.now() - 8 * year - day;
      const deployment = await ensured({ now: () => begun });
      const [old, oldTrust] = [await deployment.roots(), await deployment.trust()];
      expect(await again(deployment, { now: () => begun + 8 * year - day })).toEqual({
        changed: [...leaves],
      });
      const { changed } = await again(deployment, { now: Date.now });
      expect(changed).toEqual(['roots', ...leaves, 'trust']);

      const [roots, trust, { tunnel, logEndpoint }] = [
        await deployment.roots(),
        await deployment.trust(),
        await deployment.served(),
      ];
      expect(roots.current).toEqual(old.next);
      expect(roots.hint).toEqual(old.hint);
      expect(trust.hintName).toBe(oldTrust.hintName);
      for (const bundle of [oldTrust, trust]) {
        expect(await handshake(tunnel, { ca: bundle.trustBundle, servername: trust.hintName })).toBe(
          'accepted',
        );
        expect(await handshake(logEndpoint, { ca: bundle.roots, servername: linseed })).toBe('accepted');
      }
    });

    test('gives every root 8 years of being known and 8 of being current, over 40 years', async () => {
      let now = Date.parse('2026-11-23T00:00:00Z');
      const deployment = await ensured({ now: () => now });
      for (let term = 0; term < 5; term += 1) {
        const before = await deployment.roots();
        now += 8 * year + day;
        expect((await again(deployment, { now: () => now })).changed).toContain('roots');
        const { current, next } = await deployment.roots();
        expect(current).toEqual(before.next);
        expect(Math.round((x509(current.certificate).validToDate.getTime() - now) / year)).toBe(10);
        expect(Math.round((x509(next.certificate).validToDate.getTime() - now) / year)).toBe(18);
        // One rotation at a time.
        expect(await again(deployment, { now: () => now })).toEqual({ changed: [] });
      }
    });
  });

  describe('failures', () => {
    /** The nth write of a run is done, but its answer is lost; nothing gets out after it. */
    const dyingAfter = ({ deps }: Deployment, nth: number): Dependencies => {
      let writes = 0;
      const once = async <T>(write: () => Promise<T>): Promise<T> => {
        if (writes >= nth) throw new Error('does not get out');
        const result = await write();
        writes += 1;
        if (writes >= nth) throw new Error('the answer was lost');
        return result;
      };
      const secret = (to: Dependencies['rootsSecret']): Dependencies['rootsSecret'] => ({
        read: () => to.read(),
        replace: (version, text) => once(() => to.replace(version, text)),
      });
      return {
        ...deps,
        rootsSecret: secret(deps.rootsSecret),
        tunnelSecret: secret(deps.tunnelSecret),
        trust: { read: () => deps.trust.read(), write: (trust) => once(() => deps.trust.write(trust)) },
      };
    };

    test.each([1, 2, 3])(
      'after write %d the next run completes with the same hint and roots',
      async (nth) => {
        const deployment = account.deployment();
        await expect(ensureCertificates(dyingAfter(deployment, nth))).rejects.toThrow('the answer was lost');
        const roots = await deployment.roots();
        const served: ServerCertificates | undefined = nth > 1 ? await deployment.served() : undefined;
        await ensureCertificates(deployment.deps);
        expect(await deployment.roots()).toEqual(roots);
        if (served) expect(await deployment.served()).toEqual(served);
        const { trustBundle, hintName } = await deployment.trust();
        expect(hintName).toBe(roots.hint.name);
        expect(
          await handshake((await deployment.served()).tunnel, { ca: trustBundle, servername: hintName }),
        ).toBe('accepted');
      },
    );

    test('of racing first runs one makes the roots, and all end with them', async () => {
      const deployment = account.deployment();
      const results = await Promise.allSettled(
        Array.from({ length: 5 }, () => ensureCertificates(deployment.deps)),
      );
      expect(results.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
      expect(deployment.changes.filter(({ what }) => what === 'roots')).toHaveLength(1);
      const [roots, trust, served] = [
        await deployment.roots(),
        await deployment.trust(),
        await deployment.served(),
      ];
      expect(trust.hintName).toBe(roots.hint.name);
      expect(trust.roots).toBe(served.roots);
      expect(await handshake(served.tunnel, { ca: trust.trustBundle, servername: trust.hintName })).toBe(
        'accepted',
      );
      expect(await ensureCertificates(deployment.deps)).toEqual({ changed: [] });
    });

    test('never replaces roots that it cannot read, and does not show them', async () => {
      const deployment = await ensured();
      const { rootsSecret } = deployment.deps;
      await rootsSecret.replace((await rootsSecret.read())?.version, '{"current": "hunter2"');
      const failure = await ensureCertificates(deployment.deps).catch((error: unknown) => error as Error);
      expect(failure).toMatchObject({ message: expect.stringContaining('cannot be read') as unknown });
      expect(String((failure as Error).stack)).not.toContain('hunter2');
      expect((await rootsSecret.read())?.text).toBe('{"current": "hunter2"');
    });

    test('never makes roots while those of another secret are published', async () => {
      const [one, other] = [await ensured(), account.deployment()];
      const lost = { ...other.deps, trust: one.deps.trust };
      await expect(ensureCertificates(lost)).rejects.toThrow('restore it');
      expect(await other.deps.rootsSecret.read()).toBeUndefined();
      const swapped = { ...(await ensured()).deps, trust: one.deps.trust };
      await expect(ensureCertificates(swapped)).rejects.toThrow('restore it');
    });

    test('says what to do when a secret was moved back to an older version', async () => {
      const deployment = await ensured();
      const { rootsSecret } = deployment.deps;
      const stuck = { read: () => rootsSecret.read(), replace: () => Promise.resolve(false) };
      const late = Date.now() + 9 * year;
      await expect(again(deployment, { rootsSecret: stuck, now: () => late })).rejects.toThrow('AWSCURRENT');
    });
  });

  test('a hint of a deployment is not to be guessed', async () => {
    const names = new Set<string>();
    for (let at = 0; at < 2; at += 1)
      names.add((await (await ensured({ random: randomBytes })).trust()).hintName);
    expect(names.size).toBe(2);
  });
});
