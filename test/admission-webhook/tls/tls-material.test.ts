import { randomBytes, X509Certificate } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import {
  announcementMs,
  caTerm,
  caValidity,
  fromSecret,
  leafTerm,
  leafValidity,
  renewed,
  type TlsMaterial,
  toSecret,
  trustedCas,
} from '../../../admission-webhook/tls/tls-material.ts';

const day = 86_400_000;
const start = Date.parse('2026-11-23T12:00:00Z');
const names = ['cattery-admission.cattery-system.svc', '127.0.0.1'] as const;
const at = (now: number, trusted = '', its: readonly [string, ...string[]] = names) => ({
  names: its,
  now,
  random: randomBytes,
  trusted,
});
const due = async (material: TlsMaterial | undefined, circumstances: ReturnType<typeof at>) => {
  const renewal = await renewed(material, circumstances);
  if (!renewal) throw new Error('nothing is due');
  return renewal;
};
const first = async () => (await due(undefined, at(start))).material;

describe('the certificates of the webhook', () => {
  test('are a CA for two years and a leaf for 90 days with exactly the names by which API servers call', async () => {
    const { ca, leaf, former, next } = await first();
    const [issuer, shown] = [new X509Certificate(ca.certificate), new X509Certificate(leaf.certificate)];
    expect([issuer.ca, shown.ca, former, next]).toEqual([true, false, [], undefined]);
    expect(shown.verify(issuer.publicKey) && shown.checkIssued(issuer)).toBe(true);
    expect(shown.subjectAltName).toBe(`DNS:${names[0]}, IP Address:${names[1]}`);
    expect(shown.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(issuer.validToDate.getTime() - start).toBe(caValidity);
    expect(shown.validToDate.getTime() - start).toBe(leafValidity);
    // For clocks that are behind.
    expect(shown.validFromDate.getTime()).toBe(start - 3_600_000);
  });

  test('come back from the Secret as they went into it', async () => {
    const material = await first();
    expect(fromSecret(toSecret(material))).toEqual(material);
    const { material: announced } = await due(material, at(start + caTerm));
    const { material: promoted } = await due(
      announced,
      at(start + caTerm + announcementMs, trustedCas(announced)),
    );
    expect(promoted.former).toHaveLength(1);
    expect([fromSecret(toSecret(announced)), fromSecret(toSecret(promoted))]).toEqual([announced, promoted]);
  });

  test.each([
    ['is empty', () => ({})],
    ['lacks the key of the CA', (entries: Record<string, string>) => ({ ...entries, 'ca.key': undefined })],
    [
      'holds the key of another',
      (entries: Record<string, string>) => ({ ...entries, 'tls.key': entries['ca.key'] }),
    ],
    ['holds what is no PEM', (entries: Record<string, string>) => ({ ...entries, 'tls.crt': 'x' })],
  ])('are made anew where the Secret %s', async (_, spoil) => {
    const spoilt = Object.fromEntries(
      Object.entries(spoil(toSecret(await first()))).filter(
        (entry): entry is [string, string] => entry[1] !== undefined,
      ),
    );
    expect(fromSecret(spoilt)).toBeUndefined();
    expect((await due(undefined, at(start))).why).toBe('there was none');
  });

  test('stay as they are until something is due', async () => {
    const material = await first();
    for (const now of [start, start + 1, start + leafTerm - 1]) {
      expect(await renewed(material, at(now))).toBeUndefined();
    }
  });

  test('get a new leaf of the same CA when two thirds of its time are over, or when the names are others', async () => {
    const material = await first();
    const late = await due(material, at(start + leafTerm));
    const renamed = await due(material, at(start, '', ['other.svc']));
    expect([late.why, renamed.why]).toEqual(['the end of the leaf was near', 'the leaf was for other names']);
    for (const { material: fresh } of [late, renamed]) {
      expect(fresh.ca).toEqual(material.ca);
      expect(fresh.leaf.certificate).not.toBe(material.leaf.certificate);
      expect(trustedCas(fresh)).toBe(trustedCas(material));
    }
  });

  test('announce a next CA long before the end of the first, and show nothing of it until API servers trust it', async () => {
    const material = await first();
    const { material: announced, why } = await due(material, at(start + caTerm));
    expect(why).toBe('a next CA is announced');
    expect([announced.ca, announced.leaf]).toEqual([material.ca, material.leaf]);
    expect(trustedCas(announced)).toContain(announced.next?.certificate);

    // A day has gone by, but nobody has been told: the old CA signs on.
    const untold = await due(announced, at(start + caTerm + announcementMs, trustedCas(material)));
    expect([untold.why, untold.material.ca]).toEqual(['the end of the leaf was near', material.ca]);
    // It has been told, but not for a day.
    const young = await renewed(
      untold.material,
      at(start + caTerm + announcementMs - 1, trustedCas(announced)),
    );
    expect(young).toBeUndefined();

    const told = await due(announced, at(start + caTerm + announcementMs, trustedCas(announced)));
    expect(told.why).toBe('the next CA signs now');
    expect(told.material.ca).toEqual(announced.next);
    expect(told.material.former).toEqual([material.ca.certificate]);
    // Whoever has not read the new list yet trusts what is shown all the same, and the other way round.
    for (const leaf of [material.leaf, told.material.leaf])
      for (const trusted of [trustedCas(announced), trustedCas(told.material)])
        expect(isTrusted(leaf.certificate, trusted)).toBe(true);
  });

  test('forget a former CA when it has ended, and not before', async () => {
    const { material: announced } = await due(await first(), at(start + caTerm));
    const when = start + caTerm + announcementMs;
    const { material } = await due(announced, at(when, trustedCas(announced)));
    let kept = material;
    for (let now = when; now < start + caValidity; now += 30 * day) {
      kept = (await renewed(kept, at(now, trustedCas(kept))))?.material ?? kept;
      expect(kept.former).toHaveLength(1);
    }
    const late = start + caValidity + 1;
    for (let turn = 0; turn < 3; turn++) {
      kept = (await renewed(kept, at(late, trustedCas(kept))))?.material ?? kept;
    }
    expect(kept.former).toEqual([]);
  });

  test('are all made anew after a time without the webhook that its CA did not outlive', async () => {
    const material = await first();
    const { material: fresh, why } = await due(material, at(start + caValidity));
    expect(why).toBe('its CA has ended');
    expect(fresh.ca).not.toEqual(material.ca);
    expect(fresh.former).toEqual([]);
  });

  test('over ten years, looked at every week, never show what API servers do not trust', async () => {
    let material = await first();
    let trusted = trustedCas(material);
    const cas = new Set<string>();
    for (let now = start; now < start + 3_650 * day; now += 7 * day) {
      // As the keeper does: first the Secret, then what is trusted; an API server may still have the list before.
      const before = trusted;
      for (;;) {
        const renewal = await renewed(material, at(now, trusted));
        if (!renewal) break;
        material = renewal.material;
        expect([new Date(now), isTrusted(material.leaf.certificate, before)]).toEqual([new Date(now), true]);
        trusted = trustedCas(material);
      }
      cas.add(material.ca.certificate);
      const { validToDate } = new X509Certificate(material.leaf.certificate);
      expect(validToDate.getTime() - now).toBeGreaterThan(20 * day);
      expect(trusted.match(/BEGIN CERTIFICATE/g)?.length).toBeLessThanOrEqual(3);
    }
    expect(cas.size).toBeGreaterThanOrEqual(6);
  }, 60_000);
});

function isTrusted(leaf: string, cas: string): boolean {
  const pems = cas.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const shown = new X509Certificate(leaf);
  return pems.some((pem) => shown.verify(new X509Certificate(pem).publicKey));
}
