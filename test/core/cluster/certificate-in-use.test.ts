import { describe, expect, test } from '@jest/globals';
import {
  certificateInUse,
  connectedWith,
  daysUntil,
  expiryNotice,
  findCertificateInUse,
} from '../../../core/cluster/certificate-in-use.ts';
import type { ClusterRecord, Renewal } from '../../../core/cluster/cluster-repository.ts';
import type { TunnelEntry } from '../../../core/directory/tunnel-directory-repository.ts';

const now = Date.UTC(2026, 10, 23, 8);
const day = 86_400_000;
const clusterId = 'c-aaaaaaaaaaaaaaaaaaaa';
const renewal: Renewal = { certificate: 'B', fingerprint: 'b', notAfter: now + 398 * day, keyHash: 'k' };
const single: ClusterRecord = {
  clusterId,
  clusterName: 'one',
  registeredAt: now,
  facts: { kubernetesVersion: 'v1', calicoVersion: 'v3', distribution: 'd', nodeCount: 0 },
  certificate: 'A',
  fingerprint: 'a',
  notAfter: now + 10 * day,
  tokenHash: 'h',
};
const renewing = { ...single, renewal };
const tunnel = (state: TunnelEntry['state'], fingerprint?: string): TunnelEntry => ({
  clusterId,
  taskId: 'task',
  nonce: 1,
  state,
  since: now,
  ...(fingerprint === undefined ? {} : { fingerprint }),
});

describe('the certificate that a cluster depends on', () => {
  test.each<[string, ClusterRecord, TunnelEntry | undefined, string]>([
    ['its only one, never connected', single, undefined, 'A'],
    ['its only one, connected', single, tunnel('connected', 'a'), 'A'],
    ['the newest, never connected', renewing, undefined, 'B'],
    ['that of the live tunnel, the old one', renewing, tunnel('connected', 'a'), 'A'],
    ['that of the live tunnel, the new one', renewing, tunnel('connected', 'b'), 'B'],
    ['the newest, while no tunnel is up', renewing, tunnel('disconnected', 'a'), 'B'],
    ['the old one, while a live tunnel does not say which', renewing, tunnel('connected'), 'A'],
  ])('is %s', (_which, cluster, entry, certificate) => {
    expect(certificateInUse(cluster, entry).certificate).toBe(certificate);
  });

  test('is asked for in the directory only where there are two', async () => {
    const asked: (readonly string[])[] = [];
    const tunnels = {
      locateAll: (ids: readonly string[]) => {
        asked.push(ids);
        return Promise.resolve(new Map([[clusterId, tunnel('connected', 'a')]]));
      },
    };
    expect((await findCertificateInUse(tunnels, single, now)).certificate).toBe('A');
    expect(asked).toEqual([]);
    expect((await findCertificateInUse(tunnels, renewing, now)).certificate).toBe('A');
    expect(asked).toEqual([[clusterId]]);
  });
});

test('a tunnel that is down is connected with nothing', () => {
  expect(connectedWith(tunnel('disconnected', 'a'))).toBeUndefined();
  expect(connectedWith(tunnel('connected', 'a'))).toBe('a');
  expect(connectedWith(undefined)).toBeUndefined();
});

test.each([
  [398 * day - 1, 397],
  [day, 1],
  [day - 1, 0],
  [0, 0],
  [-5 * day, 0],
])('%d ms are %d whole days', (left, days) => {
  expect(daysUntil(now + left, now)).toBe(days);
});

test.each([
  [60 * day + 1, {}],
  [60 * day, { 'Cattery-Certificate-Expires': '2027-01-22T08:00:00.000Z' }],
  [-day, { 'Cattery-Certificate-Expires': '2026-11-22T08:00:00.000Z' }],
])('%d ms before its end the notice is %j', (left, headers) => {
  expect(expiryNotice({ notAfter: now + left }, now)).toEqual(headers);
});
