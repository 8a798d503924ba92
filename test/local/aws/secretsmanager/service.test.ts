import { randomUUID } from 'node:crypto';
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
} from '@aws-sdk/client-secrets-manager';
import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import {
  EndpointUnderTest,
  emptySecretArn,
  functionRole,
  generatedSecretArn,
  strangerRole,
} from '../endpoint-fixture.ts';

let under: EndpointUnderTest;
let client: SecretsManagerClient;
beforeEach(async () => {
  under = await EndpointUnderTest.start();
  client = under.secrets(under.endpoint.credentialsFor(functionRole));
});
afterEach(() => under.stop());

const get = (more: object = {}) =>
  client.send(new GetSecretValueCommand({ SecretId: emptySecretArn, ...more }));
const put = (SecretString: string, more: object = {}) =>
  client.send(new PutSecretValueCommand({ SecretId: emptySecretArn, SecretString, ...more }));

test('a secret without a value is ResourceNotFoundException, as is one that does not exist', async () => {
  await expect(get()).rejects.toMatchObject({
    name: 'ResourceNotFoundException',
    message: expect.stringContaining('AWSCURRENT') as unknown,
  });
  await expect(get({ SecretId: 'none' })).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
});

test('a generated secret has its random value from the start', async () => {
  expect((await get({ SecretId: generatedSecretArn })).SecretString).toMatch(/^[A-Za-z0-9]{32}$/);
});

test('a new value is AWSCURRENT, the one before it AWSPREVIOUS, and older ones have no label', async () => {
  for (const value of ['1', '2', '3']) await put(value);
  expect(await get()).toMatchObject({
    ARN: emptySecretArn,
    Name: 'roots',
    SecretString: '3',
    VersionStages: ['AWSCURRENT'],
  });
  expect((await get({ VersionStage: 'AWSPREVIOUS' })).SecretString).toBe('2');
  const described = await client.send(new DescribeSecretCommand({ SecretId: 'roots' }));
  expect(Object.values(described.VersionIdsToStages ?? {})).toEqual([['AWSCURRENT'], ['AWSPREVIOUS']]);
});

test('a version with a label of its own leaves the current one alone', async () => {
  await put('1');
  const pending = await put('2', { VersionStages: ['AWSPENDING'] });
  expect((await get()).SecretString).toBe('1');
  expect((await get({ VersionStage: 'AWSPENDING' })).SecretString).toBe('2');
  expect((await get({ VersionId: pending.VersionId })).SecretString).toBe('2');
});

test('the same request token with the same value changes nothing, and with another is ResourceExistsException', async () => {
  const ClientRequestToken = randomUUID();
  await put('1', { ClientRequestToken });
  await put('1', { ClientRequestToken });
  await expect(put('2', { ClientRequestToken })).rejects.toMatchObject({ name: 'ResourceExistsException' });
  expect((await get()).SecretString).toBe('1');
});

test('bytes come back as bytes', async () => {
  const SecretBinary = Uint8Array.of(0, 255, 7);
  await client.send(new PutSecretValueCommand({ SecretId: emptySecretArn, SecretBinary }));
  expect(Array.from((await get()).SecretBinary ?? [])).toEqual([0, 255, 7]);
});

test('a role without the permission is refused', async () => {
  const stranger = under.secrets(under.endpoint.credentialsFor(strangerRole));
  await expect(stranger.send(new GetSecretValueCommand({ SecretId: emptySecretArn }))).rejects.toMatchObject({
    name: 'AccessDeniedException',
  });
});

test('no value appears in the log', async () => {
  await put('very-secret-value');
  await get();
  await expect(put('very-secret-value', { VersionStages: [] })).rejects.toThrow();
  expect(JSON.stringify(under.logged)).not.toContain('very-secret-value');
});
