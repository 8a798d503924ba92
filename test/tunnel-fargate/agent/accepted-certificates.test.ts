import { X509Certificate } from 'node:crypto';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { AcceptedCertificates } from '../../../tunnel-fargate/agent/accepted-certificates.ts';
import { identification } from '../../../tunnel-fargate/agent/identity.ts';
import { makeCa, type TestPair } from '../certificates.ts';
import { clusterA, FakeDirectory, tenantA } from '../tunnel-fixture.ts';

const minute = 60_000;

describe('while the directory does not answer', () => {
  let pair: TestPair;
  let directory: FakeDirectory;
  let accepted: AcceptedCertificates;
  let time: number;
  const now = () => time;

  beforeEach(async () => {
    pair = await (await makeCa()).issue({ usage: 'client' });
    directory = new FakeDirectory();
    directory.publish(pair, { notAfter: Date.now() + 24 * 60 * minute });
    time = Date.now();
    accepted = new AcceptedCertificates({ now });
  });

  const judge = async (changed: { lookupTimeoutMs?: number } = {}) => {
    const verdict = await identification({ directory, accepted, now, ...changed })(
      new X509Certificate(pair.certificate),
    );
    return verdict.kind === 'accepted' ? (verdict.stale ? 'from memory' : 'looked up') : verdict.reason;
  };
  /** Revocations are heard of all the while; `for` in ms. */
  const pass = (ms: number, hearing: boolean) => {
    time += ms;
    if (hearing) accepted.heard(time);
  };

  test('a certificate that was accepted a short while ago is admitted from memory, as whose it is', async () => {
    expect(await judge()).toBe('looked up');
    directory.failing = true;
    expect(await judge()).toBe('from memory');
    expect(accepted.recall(pair.fingerprint)).toMatchObject({ tenantId: tenantA, clusterId: clusterA });
  });

  test('one that this task has never accepted is refused: DIRECTORY_UNAVAILABLE', async () => {
    directory.failing = true;
    expect(await judge()).toBe('DIRECTORY_UNAVAILABLE');
  });

  test('15 minutes after its last look-up it is refused; an admission from memory does not prolong them', async () => {
    await judge();
    directory.failing = true;
    pass(10 * minute, true);
    expect(await judge()).toBe('from memory');
    pass(5 * minute, true);
    expect(await judge()).toBe('from memory');
    pass(1, true);
    expect(await judge()).toBe('DIRECTORY_UNAVAILABLE');
  });

  test('5 minutes after revocations were last heard of nothing is admitted from memory, until they are again', async () => {
    await judge();
    directory.failing = true;
    pass(5 * minute, false);
    expect(await judge()).toBe('from memory');
    pass(1, false);
    expect(await judge()).toBe('DIRECTORY_UNAVAILABLE');
    accepted.heard(time);
    expect(await judge()).toBe('from memory');
  });

  test('one that a revocation was heard of is refused', async () => {
    await judge();
    directory.failing = true;
    accepted.forget(pair.fingerprint);
    expect(await judge()).toBe('DIRECTORY_UNAVAILABLE');
  });

  test('one that was refused since it was accepted is refused', async () => {
    await judge();
    directory.revoke(pair);
    expect(await judge()).toBe('CERTIFICATE_REVOKED');
    directory.failing = true;
    expect(await judge()).toBe('DIRECTORY_UNAVAILABLE');
  });

  test('one that has expired meanwhile is refused: CERTIFICATE_EXPIRED', async () => {
    directory.publish(pair, { notAfter: time + minute });
    await judge();
    directory.failing = true;
    pass(minute + 1, true);
    expect(await judge()).toBe('CERTIFICATE_EXPIRED');
  });

  test('an answer that takes too long is none', async () => {
    await judge();
    directory.find = () => new Promise(() => undefined);
    expect(await judge({ lookupTimeoutMs: 5 })).toBe('from memory');
  });

  test('a bounded number is remembered: those looked up longest ago go', () => {
    const few = new AcceptedCertificates({ now, maxSize: 10 });
    const identity = (index: number) => ({
      tenantId: tenantA,
      clusterId: clusterA,
      fingerprint: String(index),
      notAfter: time + minute,
    });
    for (let index = 0; index < 1_000; index += 1) few.remember(identity(index), time);
    const known = Array.from({ length: 1_000 }, (_, index) => few.recall(String(index))).filter(Boolean);
    // The library keeps between one and two times its size.
    expect(known.length).toBeLessThanOrEqual(20);
    expect(few.recall('999')).toBeDefined();
    expect(few.recall('0')).toBeUndefined();
  });
});
