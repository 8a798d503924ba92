import { randomBytes, X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { caTerm, leafTerm } from '../../../admission-webhook/tls/tls-material.ts';
import { keepTls, type TlsPlaces } from '../../../admission-webhook/tls/tls-keeper.ts';
import { configurationPath, freshlyApplied, type KubePlayer, secretPath } from '../kube-player.ts';

const day = 86_400_000;
const start = Date.parse('2026-11-23T12:00:00Z');
const places: TlsPlaces = {
  secret: secretPath,
  configuration: configurationPath,
  names: ['cattery-admission.cattery-system.svc'],
};
const silent = { info: () => undefined, warn: () => undefined };
const keep = (kube: KubePlayer, now = start) =>
  keepTls({ kube, logger: silent, now: () => now, random: randomBytes }, places);
const caBundleOf = (kube: KubePlayer): string => {
  const { webhooks } = kube.get(configurationPath) as unknown as {
    webhooks: { clientConfig: { caBundle?: string; service?: object } }[];
  };
  return Buffer.from(webhooks[0]?.clientConfig.caBundle ?? '', 'base64').toString('utf8');
};
const verifies = (kube: KubePlayer, leaf: string): boolean =>
  (caBundleOf(kube).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []).some((pem) =>
    new X509Certificate(leaf).verify(new X509Certificate(pem).publicKey),
  );
const changes = ({ requests }: KubePlayer) => requests.filter((each) => !each.startsWith('GET '));

describe('what the webhook keeps of itself in the cluster', () => {
  test('fills the empty Secret, tells API servers whom to trust, and then only reads', async () => {
    const kube = freshlyApplied();
    const { certificate } = await keep(kube);
    expect(changes(kube)).toEqual([`PUT ${secretPath}`, `PATCH ${configurationPath}`]);
    expect(verifies(kube, certificate)).toBe(true);
    expect(kube.get(configurationPath)).toMatchObject({
      webhooks: [{ clientConfig: { service: { name: 'x' } } }],
    });
    kube.requests.length = 0;
    expect((await keep(kube, start + day)).certificate).toBe(certificate);
    expect(kube.requests).toEqual([`GET ${configurationPath}`, `GET ${secretPath}`]);
  });

  test('two replicas that begin at once end with one Secret, one list and one certificate', async () => {
    const kube = freshlyApplied();
    const shown = await Promise.all([keep(kube), keep(kube), keep(kube)]);
    expect(new Set(shown.map(({ certificate }) => certificate)).size).toBe(1);
    expect(verifies(kube, shown[0].certificate)).toBe(true);
  });

  test('a replica that is slow to patch does not take back what a faster one has told', async () => {
    const kube = freshlyApplied();
    let isFirst = true;
    // Between its reading and its patch another replica has made everything anew.
    kube.before = async (method) => {
      if (method !== 'PATCH' || !isFirst) return;
      isFirst = false;
      kube.before = undefined;
      kube.put(secretPath, { type: 'Opaque' });
      await keep(kube);
    };
    const { certificate } = await keep(kube);
    expect(verifies(kube, certificate)).toBe(true);
    expect((await keep(kube)).certificate).toBe(certificate);
  });

  test('puts back a list that somebody has taken away or changed, such as by kubectl replace', async () => {
    const kube = freshlyApplied();
    const { certificate } = await keep(kube);
    for (const clientConfig of [{}, { caBundle: Buffer.from('other').toString('base64') }]) {
      kube.put(configurationPath, {
        webhooks: [{ name: 'cattery-admission.cattery-system.svc', clientConfig }],
      });
      await keep(kube);
      expect(verifies(kube, certificate)).toBe(true);
    }
  });

  test('makes certificates before its configuration is there, and tells it when it is', async () => {
    const kube = freshlyApplied();
    const configuration = kube.get(configurationPath);
    kube.delete(configurationPath);
    const { certificate } = await keep(kube);
    kube.put(configurationPath, configuration);
    expect((await keep(kube)).certificate).toBe(certificate);
    expect(verifies(kube, certificate)).toBe(true);
  });

  test('without a Secret says that the manifest is not applied', async () => {
    const kube = freshlyApplied();
    kube.delete(secretPath);
    await expect(keep(kube)).rejects.toThrow('apply the manifest');
    expect(changes(kube)).toEqual([]);
  });

  test('gives up after some tries when it is always too late, and changes nothing', async () => {
    const kube = freshlyApplied();
    kube.before = (method, path) => {
      if (method === 'PUT') kube.put(path, { type: 'Opaque' });
    };
    await expect(keep(kube)).rejects.toMatchObject({ status: 409 });
    expect(kube.get(secretPath)).not.toHaveProperty('data');
  });

  test('renews leaf and CA over years with two replicas, and what each shows is always trusted', async () => {
    const kube = freshlyApplied();
    const leaves = new Set<string>();
    for (let now = start; now < start + 3 * 365 * day; now += 5 * day) {
      for (const skew of [0, 7_000]) {
        const { certificate } = await keep(kube, now + skew);
        expect([new Date(now), verifies(kube, certificate)]).toEqual([new Date(now), true]);
        leaves.add(certificate);
      }
    }
    expect(leaves.size).toBeGreaterThanOrEqual(Math.floor((3 * 365 * day) / leafTerm));
    expect(caTerm).toBeLessThan(2 * 365 * day);
  }, 60_000);
});
