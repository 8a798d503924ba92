import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { get } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { PutCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { clusterKey } from '../../core/cluster/cluster-repository.ts';
import { IdentityRepository } from '../../core/credential/identity-repository.ts';
import { newToken } from '../../core/credential/token.ts';
import { CertificateDirectoryRepository } from '../../core/directory/certificate-directory-repository.ts';
import { TunnelDirectoryRepository } from '../../core/directory/tunnel-directory-repository.ts';
import { documentClient } from '../../core/tenant/tenant-access.ts';
import { type AwsEndpoint, startAwsEndpoint } from '../../local/aws/endpoint.ts';
import type { PolicyDocument, RolePolicies } from '../../local/aws/iam/policy-source.ts';
import { trailInBucket } from '../../scripts/audit-source.ts';
import { verifyTrail } from '../../scripts/audit-verification.ts';
import { makeCa, makeServerCertificates, type TestCa } from './certificates.ts';
import { TestGuardian } from './guardian.ts';
import { clusterA, tenantA, until } from './tunnel-fixture.ts';

const accountId = '111122223333';
const region = 'eu-central-1';
const taskRole = `arn:aws:iam::${accountId}:role/task`;
const tenantRole = `arn:aws:iam::${accountId}:role/tenant`;
const secretArn = `arn:aws:secretsmanager:${region}:${accountId}:secret:tunnel-AbCdEf`;
const tableArn = (name: string) => `arn:aws:dynamodb:${region}:${accountId}:table/${name}`;
const policy = (...Statement: object[]) => ({ Version: '2012-10-17', Statement }) as PolicyDocument;
const allow = (Action: string[], Resource: string, Condition?: object) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...(Condition ? { Condition } : {}),
});

/** What the deployed service is allowed, and no more. */
const roles: Record<string, RolePolicies> = {
  [taskRole]: {
    trust: policy({ ...allow(['sts:AssumeRole'], '*'), Principal: { Service: 'ecs-tasks.amazonaws.com' } }),
    inline: [
      policy(
        allow(['sts:AssumeRole', 'sts:TagSession'], tenantRole),
        allow(
          ['dynamodb:GetItem', 'dynamodb:PutItem', 'dynamodb:UpdateItem', 'dynamodb:Query'],
          tableArn('directory'),
        ),
        allow(['dynamodb:GetItem'], tableArn('identities')),
        allow(['secretsmanager:GetSecretValue'], secretArn),
      ),
    ],
  },
  [tenantRole]: {
    trust: policy({
      Effect: 'Allow',
      Principal: { AWS: taskRole },
      Action: ['sts:AssumeRole', 'sts:TagSession'],
    }),
    inline: [
      policy(
        allow(['dynamodb:GetItem'], tableArn('tenants'), {
          'ForAllValues:StringLike': {
            'dynamodb:LeadingKeys': ['TENANT#${aws:PrincipalTag/TenantId}#CLUSTERS'],
          },
          Null: { 'dynamodb:LeadingKeys': 'false' },
        }),
        allow(['s3:PutObject'], 'arn:aws:s3:::logs/tenant/${aws:PrincipalTag/TenantId}/*'),
      ),
    ],
  },
};

const table = (name: string) => ({
  name,
  keySchema: [
    { attributeName: 'pk', keyType: 'HASH' as const },
    { attributeName: 'sk', keyType: 'RANGE' as const },
  ],
  attributeDefinitions: [
    { attributeName: 'pk', attributeType: 'S' as const },
    { attributeName: 'sk', attributeType: 'S' as const },
  ],
});

type Line = Record<string, unknown> & { event?: string };

describe('the container process', () => {
  let dataDir: string;
  let aws: AwsEndpoint;
  let ca: TestCa;
  let environment: Record<string, string>;
  let operator: { region: string; endpoint: string; credentials: AwsEndpoint['operator'] };
  const children: ChildProcess[] = [];

  beforeAll(async () => {
    dataDir = await mkdtemp(path.join(tmpdir(), 'cattery-tunnel-'));
    ca = await makeCa();
    aws = await startAwsEndpoint({
      dataDir,
      region,
      accountId,
      policies: { rolePolicies: (arn) => roles[arn], resourcePolicy: () => undefined },
      tables: ['tenants', 'directory', 'identities'].map(table),
      buckets: [{ name: 'logs' }],
      keys: [],
      secrets: [{ name: 'tunnel', arn: secretArn }],
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
    });
    operator = { region, endpoint: aws.url, credentials: aws.operator };
    const { accessKeyId, secretAccessKey, sessionToken } = aws.credentialsFor(taskRole);
    environment = {
      PATH: process.env.PATH ?? '',
      AWS_ENDPOINT_URL: aws.url,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_SESSION_TOKEN: sessionToken,
      TENANT_TABLE: 'tenants',
      DIRECTORY_TABLE: 'directory',
      IDENTITIES_TABLE: 'identities',
      TENANT_ROLE_ARN: tenantRole,
      LOG_BUCKET: 'logs',
      TUNNEL_SECRET_ID: secretArn,
      OIDC_ISSUER: 'http://127.0.0.1:9/nobody',
      OIDC_AUDIENCE: 'cattery',
      ACCESS_URL: 'https://127.0.0.1',
      LISTEN_ADDRESS: '127.0.0.1',
      TUNNEL_PORT: '0',
      ACCESS_PORT: '0',
      HEALTH_PORT: '0',
      METRICS_PORT: '0',
    };
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });
  afterAll(async () => {
    await aws.close();
    await rm(dataDir, { recursive: true });
  });

  function run(env: Record<string, string>) {
    const child = spawn(process.execPath, ['tunnel-fargate/main.ts'], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    const lines: Line[] = [];
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) lines.push(JSON.parse(part) as Line);
    });
    const exited = once(child, 'exit').then(([code]) => code as number | null);
    const find = (event: string) => lines.find((line) => line.event === event);
    return { child, lines, exited, find };
  }

  test('without its environment says what is missing and exits with 1', async () => {
    const { lines, exited } = run({ PATH: environment.PATH ?? '' });
    expect(await exited).toBe(1);
    expect(lines).toHaveLength(1);
    expect(lines[0]?.message).toMatch(/TUNNEL_SECRET_ID/);
  });

  test('with limits that are none says which and exits with 1', async () => {
    const { lines, exited } = run({ ...environment, TENANT_LIMITS: '{"tunnel":1}' });
    expect(await exited).toBe(1);
    expect(lines.at(-1)?.message).toMatch(/TENANT_LIMITS does not fit[^]*"tunnel"/);
  });

  test('without its secret says so and exits with 1', async () => {
    const { lines, exited } = run(environment);
    expect(await exited).toBe(1);
    expect(lines.at(-1)).toMatchObject({
      message: 'could not start',
      err: { type: 'ResourceNotFoundException' },
    });
  });

  test('serves clusters and users with its own rights, and stops in order on SIGTERM', async () => {
    await new SecretsManagerClient(operator).send(
      new PutSecretValueCommand({
        SecretId: secretArn,
        SecretString: JSON.stringify(await makeServerCertificates(ca)),
      }),
    );
    const { child, lines, exited, find } = run(environment);
    await until(() => find('started') !== undefined);
    const ports = find('started')?.ports as { tunnel: number; access: number; health: number };
    const [ready] = (await once(get({ port: ports.health, path: '/ready', agent: false }), 'response')) as [
      IncomingMessage,
    ];
    ready.resume();
    expect(ready.statusCode).toBe(200);

    const dynamo = documentClient(new DynamoDBClient(operator));
    const pair = await ca.issue({ usage: 'client' });
    const certificates = new CertificateDirectoryRepository(dynamo, 'directory');
    const notAfter = Date.now() + 3_600_000;
    await certificates.publish({
      fingerprint: pair.fingerprint,
      tenantId: tenantA,
      clusterId: clusterA,
      notAfter,
    });
    await dynamo.send(
      new PutCommand({
        TableName: 'tenants',
        Item: { ...clusterKey(tenantA, clusterA), clusterId: clusterA, clusterName: 'one', facts: {} },
      }),
    );
    const key = newToken('api-key');
    await new IdentityRepository(dynamo, 'identities').putCredential({
      hash: key.hash,
      kind: 'api-key',
      tokenId: key.id,
      tenantId: tenantA,
      scopes: 'clusters:access',
    });

    const guardian = await TestGuardian.connect({ port: ports.tunnel, roots: ca.certificate, pair });
    let failure: unknown;
    guardian.socket.on('error', (error: Error) => void (failure = error));
    await until(() => find('tunnel opened') !== undefined);

    const answer = await call(
      ports.access,
      ca.certificate,
      key.text,
      `/clusters/${clusterA}/api/v1/namespaces`,
    );
    expect(answer).toEqual({ status: 200, body: 'hello /api/v1/namespaces' });

    expect((await guardian.post('{"Key":{},"start_time":1,"end_time":2}')).status).toBe(200);
    const s3 = new S3Client({ ...operator, forcePathStyle: true });
    const clusters = { Bucket: 'logs', Prefix: `tenant/${tenantA}/cluster/` };
    const { Contents } = await s3.send(new ListObjectsV2Command(clusters));
    expect(Contents?.map(({ Key }) => Key)).toEqual([
      expect.stringMatching(
        new RegExp(
          `^tenant/${tenantA}/cluster/${clusterA}/kind/flows/date=[0-9-]{10}/[0-9a-f]{64}\\.ndjson\\.gz$`,
        ),
      ),
    ]);

    child.kill('SIGTERM');
    await guardian.ended;
    expect(await exited).toBe(0);
    expect(failure).toBeUndefined();
    expect(lines.map(({ event }) => event)).toEqual(
      expect.arrayContaining([
        'certificates loaded',
        'started',
        'tunnel opened',
        'draining',
        'tunnel closed',
        'stopped',
      ]),
    );
    expect(find('tunnel closed')).toMatchObject({ reason: 'SHUTDOWN', clusterId: clusterA });
    // The last minute line, of which CloudWatch makes metrics.
    expect(lines.find((line) => '_aws' in line)).toMatchObject({
      TunnelsOpened: 1,
      'TunnelsClosed.SHUTDOWN': 1,
    });
    const directory = new TunnelDirectoryRepository(dynamo, 'directory');
    expect((await directory.locate(clusterA))?.state).toBe('disconnected');
    const [chain, ...others] = await verifyTrail(
      await trailInBucket(s3, { bucket: 'logs', tenantId: tenantA }),
    );
    // The day's start, the request, the chain's end.
    expect([chain, others]).toMatchObject([{ records: 3, fromStart: true, end: 'closed', faults: [] }, []]);
    expect(find('audit head')).toMatchObject({ tenantId: tenantA, hash: chain?.head });
    const said = JSON.stringify(lines);
    expect(said).not.toContain('PRIVATE KEY');
    expect(said).not.toContain(key.text);

    // A second signal does not wait for what is still open.
    const second = run(environment);
    await until(() => second.find('started') !== undefined);
    const { tunnel, access } = second.find('started')?.ports as { tunnel: number; access: number };
    const again = await TestGuardian.connect({
      port: tunnel,
      roots: ca.certificate,
      pair,
      serve: (stream) => stream.respond({ ':status': 200 }),
    });
    await until(() => second.find('tunnel opened') !== undefined);
    const watch = httpsRequest(
      target(access, ca.certificate, key.text, `/clusters/${clusterA}/api/v1/pods?watch=1`),
    );
    watch.on('error', () => undefined).end();
    await once(watch, 'response');
    second.child.kill('SIGTERM');
    await until(() => second.find('draining') !== undefined);
    expect(again.session.closed).toBe(false);
    second.child.kill('SIGTERM');
    expect(await second.exited).toBe(1);
    await until(() => again.socket.destroyed);
  });
});

const target = (port: number, roots: string, token: string, where: string) => ({
  host: '127.0.0.1',
  port,
  path: where,
  ca: roots,
  agent: false as const,
  headers: { Authorization: `Bearer ${token}` },
});

async function call(port: number, roots: string, token: string, where: string) {
  const request = httpsRequest(target(port, roots, token, where)).end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let body = '';
  response.setEncoding('utf8').on('data', (part: string) => (body += part));
  await once(response, 'end');
  return { status: response.statusCode, body };
}
