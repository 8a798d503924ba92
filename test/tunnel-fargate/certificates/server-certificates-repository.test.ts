import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ServerCertificatesRepository } from '../../../tunnel-fargate/certificates/server-certificates-repository.ts';

const pair = { certificate: 'certificate', key: 'very secret key' };
const whole = { tunnel: pair, logEndpoint: pair, access: pair, peer: pair, roots: 'roots' };

describe('the secret with our certificates', () => {
  let secrets: Server;
  let repository: ServerCertificatesRepository;
  let value = '';
  const asked: unknown[] = [];
  beforeAll(async () => {
    secrets = createServer((request, response) => {
      let body = '';
      request.on('data', (part: Buffer) => (body += part.toString()));
      request.on('end', () => {
        asked.push({ target: request.headers['x-amz-target'], ...(JSON.parse(body) as object) });
        response.setHeader('Content-Type', 'application/x-amz-json-1.1');
        response.end(JSON.stringify({ SecretString: value, VersionId: 'version-1' }));
      });
    }).listen(0, '127.0.0.1');
    await once(secrets, 'listening');
    const client = new SecretsManagerClient({
      region: 'us-east-1',
      endpoint: `http://127.0.0.1:${(secrets.address() as AddressInfo).port}`,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    });
    repository = new ServerCertificatesRepository(client, 'cattery/tunnel');
  });
  afterAll(() => {
    secrets.close();
    secrets.closeAllConnections();
  });

  test('is read with its version', async () => {
    value = JSON.stringify(whole);
    expect(await repository.read()).toEqual({ versionId: 'version-1', certificates: whole });
    expect(asked).toEqual([{ target: 'secretsmanager.GetSecretValue', SecretId: 'cattery/tunnel' }]);
  });

  test.each([
    ['not JSON', 'very secret key', 'is not JSON'],
    ['incomplete', JSON.stringify({ ...whole, peer: { key: 'very secret key' } }), 'peer.certificate'],
  ])('that is %s is refused in words that do not quote it', async (_case, text, words) => {
    value = text;
    const error = await repository.read().catch((failure: unknown) => failure);
    expect(String(error)).toContain(words);
    expect(String(error)).not.toContain('very secret');
  });
});
