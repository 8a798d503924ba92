import { describe, expect, test } from '@jest/globals';
import { parseTunnelAddress, readTrustBundle } from '../../../local/demo-cluster/agent-trust.ts';
import { hintCertificate, TestCa } from './tunnel-server.ts';

const codeOf = (run: () => unknown) => {
  try {
    run();
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error;
  }
  return 'nothing thrown';
};

describe('the trust bundle', () => {
  test('names the server by the only DNS name of its first certificate and trusts them all', async () => {
    const root = await TestCa.make('root');
    const other = await TestCa.make('other');
    const trust = readTrustBundle([await hintCertificate(['voltron']), root.pem, other.pem].join('\n'));
    expect(trust.name).toBe('voltron');
    expect(trust.roots).toHaveLength(3);
  });

  test('is refused with TRUST_BUNDLE_NAMES when that certificate has no name, or several', async () => {
    const root = await TestCa.make('root');
    const several = await hintCertificate(['a.test', 'b.test']);
    expect(codeOf(() => readTrustBundle(root.pem))).toBe('TRUST_BUNDLE_NAMES');
    expect(codeOf(() => readTrustBundle(`${several}\n${root.pem}`))).toBe('TRUST_BUNDLE_NAMES');
  });

  test('is refused with TRUST_BUNDLE_EMPTY when it holds no certificate', () => {
    expect(codeOf(() => readTrustBundle('nothing here'))).toBe('TRUST_BUNDLE_EMPTY');
  });
});

describe('the tunnel address', () => {
  test('is host:port, an IPv6 host in brackets', () => {
    expect(parseTunnelAddress('tunnel.test:9000')).toEqual({ host: 'tunnel.test', port: 9000 });
    expect(parseTunnelAddress('[::1]:9000')).toEqual({ host: '::1', port: 9000 });
  });

  test.each([
    'tunnel.test',
    'https://tunnel.test:9000',
    'tunnel.test:0',
    'tunnel.test:70000',
    '::1:9000',
    '',
  ])('is refused with TUNNEL_ADDRESS_INVALID: %j', (address) => {
    expect(codeOf(() => parseTunnelAddress(address))).toBe('TUNNEL_ADDRESS_INVALID');
  });
});
