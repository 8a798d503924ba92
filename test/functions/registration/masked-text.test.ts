import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { newToken } from '../../../core/credential/token.ts';
import { removed, withoutSecrets } from '../../../functions/registration/masked-text.ts';

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const sec1 = privateKey.export({ type: 'sec1', format: 'pem' }) as string;
const der = pem.split('\n').slice(1, -2).join('');
const base64 = (value: string) => Buffer.from(value).toString('base64');
const registries = '{"auths":{"r.example":{"auth":"amFuZTpzM2NyZXQ="}}}';
const jwt = `${base64('{"alg":"ES256"}')}.${randomBytes(60).toString('base64url')}.${randomBytes(64).toString('base64url')}`;
const [apiKey, registration, cluster] = (['api-key', 'registration-token', 'cluster'] as const).map((kind) =>
  newToken(kind),
);
const text = (token: typeof apiKey) => token?.text ?? '';

describe('a text without secrets', () => {
  // What is sent, and what must not be left of it.
  const cases: readonly (readonly [what: string, sent: string, secret: string])[] = [
    ['an API key', `key ${text(apiKey)} refused`, text(apiKey).slice(4)],
    ['a registration token', `--token=${text(registration)}`, text(registration).slice(4)],
    ['a cluster token', `"clusterToken":"${text(cluster)}"`, text(cluster).slice(4)],
    ['a token cut short', `got ${text(cluster).slice(0, 20)}`, text(cluster).slice(4, 20)],
    ['a token in capitals', text(cluster).toUpperCase(), text(cluster).slice(4).toUpperCase()],
    ['a private key, PKCS #8', `cannot read ${pem} at all`, der.slice(0, 40)],
    ['a private key, SEC 1', sec1, sec1.split('\n')[1] ?? ''],
    ['a private key whose end was cut off', pem.slice(0, 120), der.slice(0, 40)],
    ['a private key whose beginning was cut off', pem.slice(50), der.slice(70, 100)],
    ['a private key in one line of JSON', JSON.stringify({ key: pem }), der.slice(0, 40)],
    ['a private key as a Secret holds it', `managed-cluster.key: ${base64(pem)}`, base64(pem).slice(40, 80)],
    ['a JWT', `token ${jwt} expired`, jwt.slice(30, 60)],
    ['a bearer credential', 'Authorization: Bearer abc.def-123_456', 'abc.def'],
    ['a bearer credential in lower case', "header 'bearer 0123456789abcdef'", '0123456789abcdef'],
    ['basic credentials', `> Authorization: Basic ${base64('jane:s3cret')}`, base64('jane:s3cret')],
    ['a password in a URL', 'proxy http://jane:s3cret@proxy.example:3128 answered 407', 's3cret'],
    ['a password by its name', 'ran with --docker-password=s3cret --docker-username=jane', 's3cret'],
    ['a password with an @ in a URL', 'proxy http://jane:s3@cret-7@proxy.example:3128 failed', 'cret-7'],
    ['a password with a slash in a URL', 'http://jane:s3/cret-7@proxy.example:3128', 's3/cret-7'],
    ['a quoted password with spaces', 'password="s3 cret 7" failed', 's3 cret 7'],
    ['a password after its flag', 'ran --docker-password s3cret --docker-username jane', 's3cret'],
    ['a password after curl’s flag', 'curl -u jane:s3cret https://r.example', 's3cret'],
    ['a secret whose name goes on', 'aws_secret_access_key=s3cret/7/abc', 's3cret'],
    ['a password as YAML has it', 'data:\n  password: s3cret7\n', 's3cret7'],
    ['a private key in base64 of other alignment, once', base64(`x${pem}`), base64(`x${pem}`).slice(80, 120)],
    [
      'a private key in base64 of other alignment, twice',
      base64(`xx${pem}`),
      base64(`xx${pem}`).slice(80, 120),
    ],
    ['a whole line of a private key', `line 2: ${der.slice(0, 64)} is not understood`, der.slice(0, 64)],
    [
      'a registry’s credentials',
      `{"auths":{"r.example":{"auth":"${base64('jane:s3cret')}"}}}`,
      base64('jane:s3cret'),
    ],
    ['the same in base64', `.dockerconfigjson: ${base64(registries)}`, base64(registries).slice(20, 40)],
  ];
  test.each(cases)('holds no part of %s', (_what, sent, secret) => {
    expect(secret.length).toBeGreaterThan(5);
    expect(sent).toContain(secret);
    const left = withoutSecrets(sent);
    expect(left).toContain(removed);
    expect(left).not.toContain(secret);
  });

  test('keeps what stands around a secret, and removes every one of several', () => {
    expect(withoutSecrets(`before ${text(cluster)} between ${jwt} after`)).toBe(
      `before ${removed} between ${removed} after`,
    );
  });

  test.each([
    'error: timed out waiting for the condition on deployments/tigera-operator',
    'secrets "tigera-managed-cluster-connection" is forbidden: User "jane" cannot patch resource',
    'the token was spent by another cluster (TOKEN_SPENT)',
    'sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0ba2a52d1e0d9f3c4e5a6b of operator-crds.yaml',
    'https://raw.githubusercontent.com/projectcalico/calico/v3.32.1/manifests/operator-crds.yaml answered 404',
    'error: unable to read the token: open /var/run/Token1/token: no such file or directory',
    'Secret cattery-identity: not found in namespace cattery-system',
    'open /private/var/folders/zz/zyxvpxvq6csfxvn/T/cattery.x1: no space left on device',
    'Run it again with --token TOKEN, or with --token-file FILE.',
    'quay.io/tigera/operator:v1.42.3 cannot be pulled: unauthorized',
    '-----BEGIN CERTIFICATE----- is not where it was expected',
    '',
  ])('leaves as it is: %s', (harmless) => {
    expect(withoutSecrets(harmless)).toBe(harmless);
  });

  test('is found in a short time, whatever the text', () => {
    const began = performance.now();
    for (const nasty of [
      'A',
      '=',
      ' ',
      '\\n',
      'eyJ',
      '://',
      '-----BEGIN PRIVATE KEY-----',
      'token=',
      'token_',
      'a1B',
      '--password ',
      'Bearer ',
    ])
      withoutSecrets(nasty.repeat(512).slice(0, 512));
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});
