import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { connect } from 'node:net';
import { GetItemCommand, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { ListKeysCommand } from '@aws-sdk/client-kms';
import { GetObjectCommand, ListBucketsCommand } from '@aws-sdk/client-s3';
import { GetCallerIdentityCommand } from '@aws-sdk/client-sts';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { EndpointUnderTest, accountId, functionRole } from './endpoint-fixture.ts';

let under: EndpointUnderTest;
beforeAll(async () => {
  under = await EndpointUnderTest.start();
});
afterAll(() => under.stop());

const answers = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

describe('listening', () => {
  test('is reached on 127.0.0.1 and on no other address of this machine', async () => {
    const { port } = under.endpoint;
    expect(under.endpoint.url).toBe(`http://127.0.0.1:${port}`);
    expect(await answers('127.0.0.1', port)).toBe(true);
    // 127.0.0.2 is this machine too, and would answer if anything listened on all addresses.
    const others = Object.values(networkInterfaces()).flatMap((list) =>
      (list ?? []).map((one) => one.address),
    );
    for (const host of ['127.0.0.2', '::1', ...others.filter((address) => address !== '127.0.0.1')]) {
      expect([host, await answers(host, port)]).toEqual([host, false]);
    }
  });

  test('fails clearly when the port is taken, and lets go of the data directory', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    const address = taken.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await expect(EndpointUnderTest.start({ port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await new Promise((resolve) => taken.close(resolve));
  });
});

describe('who signs', () => {
  const get = new GetItemCommand({ TableName: 'tenants', Key: { pk: { S: 'a' }, sk: { S: 'b' } } });
  const object = new GetObjectCommand({ Bucket: 'logs-bucket', Key: 'x' });

  test('an unknown access key is refused in the words of each service', async () => {
    const nobody = { accessKeyId: 'ASIAAAAAAAAAAAAAAAAA', secretAccessKey: 's', sessionToken: 't' };
    await expect(under.dynamodb(nobody).send(get)).rejects.toMatchObject({
      name: 'UnrecognizedClientException',
    });
    await expect(under.s3(nobody).send(object)).rejects.toMatchObject({
      name: 'InvalidAccessKeyId',
      $metadata: { httpStatusCode: 403 },
    });
    await expect(under.sts(nobody).send(new GetCallerIdentityCommand({}))).rejects.toMatchObject({
      name: 'InvalidClientTokenId',
      $metadata: { httpStatusCode: 403 },
    });
  });

  test('a known access key with another session token, or with none, is refused', async () => {
    const good = under.endpoint.credentialsFor(functionRole);
    await expect(under.dynamodb({ ...good, sessionToken: 'other' }).send(get)).rejects.toMatchObject({
      name: 'UnrecognizedClientException',
    });
    const { accessKeyId, secretAccessKey } = good;
    const bare = { accessKeyId, secretAccessKey } as typeof good;
    await expect(under.s3(bare).send(object)).rejects.toMatchObject({ name: 'InvalidAccessKeyId' });
  });

  test('a signature by another secret is refused by every protocol', async () => {
    const wrong = { ...under.endpoint.credentialsFor(functionRole), secretAccessKey: 'guessed' };
    await expect(under.dynamodb(wrong).send(get)).rejects.toMatchObject({
      name: 'InvalidSignatureException',
    });
    await expect(under.s3(wrong).send(object)).rejects.toMatchObject({ name: 'SignatureDoesNotMatch' });
    await expect(under.sts(wrong).send(new GetCallerIdentityCommand({}))).rejects.toMatchObject({
      name: 'SignatureDoesNotMatch',
    });
  });

  test('an unsigned request is refused with 403, in XML', async () => {
    const answer = await fetch(`${under.endpoint.url}/logs-bucket/x`);
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain('<Code>AccessDenied</Code>');
  });

  test('a role that the template does not have gets no credentials', () => {
    expect(() => under.endpoint.credentialsFor(`arn:aws:iam::${accountId}:role/nobody`)).toThrow(/no role/);
  });

  test('the operator may do everything', async () => {
    const { operator } = under.endpoint;
    expect((await under.dynamodb(operator).send(new ListTablesCommand({}))).TableNames).toEqual(['tenants']);
    expect(
      (await under.s3(operator).send(new ListBucketsCommand({}))).Buckets?.map((one) => one.Name),
    ).toEqual(['logs-bucket', 'versioned-bucket']);
    expect((await under.sts(operator).send(new GetCallerIdentityCommand({}))).Account).toBe(accountId);
  });

  test('an operation or a service that is not served says so with its own error', async () => {
    await expect(under.kms(under.endpoint.operator).send(new ListKeysCommand({}))).rejects.toMatchObject({
      name: 'UnknownOperationException',
      message: expect.stringContaining('ListKeys') as unknown,
    });
  });
});
