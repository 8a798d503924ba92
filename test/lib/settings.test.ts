import { describe, expect, test } from '@jest/globals';
import { readSettings, type Settings } from '../../lib/settings.ts';

const read = (context: Readonly<Record<string, unknown>>): Settings => readSettings((name) => context[name]);

describe('the settings of a deployment', () => {
  test('need nothing: without context there are defaults for all', () => {
    expect(read({})).toEqual({
      trustDomain: 'cattery.internal',
      logRetentionDays: 90,
      scanRetentionDays: 400,
    });
  });

  test('take numbers as the command line gives them, as text', () => {
    expect(read({ logRetentionDays: '30' }).logRetentionDays).toBe(30);
  });

  test.each([
    ['an issuer without an audience', { oidcIssuer: 'https://id.example.com' }, 'oidcAudience'],
    ['an audience without an issuer', { oidcAudience: 'cattery' }, 'oidcAudience'],
    ['a certificate without a domain', { certificateArn: 'arn:aws:acm:eu-west-1:1:certificate/x' }, 'domain'],
    ['a zone without a domain', { hostedZoneId: 'Z1' }, 'domain'],
    ['a URL that ends with a slash', { apiUrl: 'https://api.example.com/' }, 'apiUrl'],
    ['a tunnel address without a port', { tunnelAddress: 'tunnel.example.com' }, 'tunnelAddress'],
    ['a domain that is none', { domain: 'https://example.com' }, 'domain'],
    ['a trust domain with capitals', { trustDomain: 'Cattery.Internal' }, 'trustDomain'],
    ['no retention at all', { logRetentionDays: '0' }, 'logRetentionDays'],
    ['limits that are no JSON object', { tenantLimits: '[1]' }, 'tenantLimits'],
    ['limits that are no JSON', { tenantLimits: 'tunnels=1' }, 'tenantLimits'],
    ['a retention that is no number', { scanRetentionDays: 'long' }, 'scanRetentionDays'],
  ])('refuse %s and name it', (_what, context, name) => {
    expect(() => read(context)).toThrow(`-c ${name}:`);
  });
});
