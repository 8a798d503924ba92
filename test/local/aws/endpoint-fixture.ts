import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { KMSClient } from '@aws-sdk/client-kms';
import { S3Client } from '@aws-sdk/client-s3';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { startAwsEndpoint } from '../../../local/aws/endpoint.ts';
import type { AwsEndpoint, AwsEndpointOptions } from '../../../local/aws/endpoint.ts';
import type {
  PolicyDocument,
  PolicySource,
  PolicyStatement,
  RolePolicies,
} from '../../../local/aws/iam/policy-source.ts';
import type { Credentials } from '../../../local/aws/sessions.ts';

export const accountId = '111122223333';
export const region = 'eu-central-1';
export const tableArn = `arn:aws:dynamodb:${region}:${accountId}:table/tenants`;
export const bucketArn = 'arn:aws:s3:::logs-bucket';
export const signKeyArn = `arn:aws:kms:${region}:${accountId}:key/mrk-ca`;
export const macKeyArn = `arn:aws:kms:${region}:${accountId}:key/tokens`;
export const emptySecretArn = `arn:aws:secretsmanager:${region}:${accountId}:secret:roots-AbCdEf`;
export const generatedSecretArn = `arn:aws:secretsmanager:${region}:${accountId}:secret:generated-GhIjKl`;

const role = (name: string): string => `arn:aws:iam::${accountId}:role/${name}`;
export const functionRole = role('registration');
export const strangerRole = role('stranger');
export const tenantRole = role('tenant');
export const guardlessRole = role('guardless');

const allow = (action: string | string[], resource: string | string[], condition?: object) => ({
  Effect: 'Allow',
  Action: action,
  Resource: resource,
  ...(condition ? { Condition: condition } : {}),
});
const policy = (...statements: object[]): PolicyDocument => ({
  Version: '2012-10-17',
  Statement: statements as PolicyStatement[],
});
const trust = (principal: object, action: string | string[], condition?: object): PolicyDocument =>
  policy({
    Effect: 'Allow',
    Principal: principal,
    Action: action,
    ...(condition ? { Condition: condition } : {}),
  });

const dataActions = [
  'dynamodb:GetItem',
  'dynamodb:PutItem',
  'dynamodb:UpdateItem',
  'dynamodb:DeleteItem',
  'dynamodb:Query',
  'dynamodb:BatchGetItem',
  'dynamodb:BatchWriteItem',
  'dynamodb:Scan',
  'dynamodb:PartiQLSelect',
];
const ownKeys = { 'dynamodb:LeadingKeys': ['TENANT#${aws:PrincipalTag/TenantId}#*'] };
const lambda = trust({ Service: 'lambda.amazonaws.com' }, 'sts:AssumeRole');

export const roles: Record<string, RolePolicies> = {
  [functionRole]: {
    trust: lambda,
    inline: [
      policy(
        allow(['sts:AssumeRole', 'sts:TagSession'], [tenantRole, guardlessRole], {
          'ForAllValues:StringEquals': { 'aws:TagKeys': ['TenantId'] },
        }),
        allow('kms:Sign', signKeyArn, { StringEquals: { 'kms:SigningAlgorithm': 'ECDSA_SHA_256' } }),
        allow(['kms:GetPublicKey', 'kms:DescribeKey'], signKeyArn),
        allow(['kms:GenerateMac', 'kms:VerifyMac'], macKeyArn),
        allow(
          ['secretsmanager:GetSecretValue', 'secretsmanager:PutSecretValue', 'secretsmanager:DescribeSecret'],
          [emptySecretArn, generatedSecretArn],
        ),
      ),
    ],
  },
  [strangerRole]: { trust: lambda, inline: [policy(allow('sts:*', '*'))] },
  [tenantRole]: {
    trust: trust({ AWS: functionRole }, ['sts:AssumeRole', 'sts:TagSession'], {
      StringLike: { 'aws:RequestTag/TenantId': '?*' },
      'ForAllValues:StringEquals': { 'aws:TagKeys': ['TenantId'] },
    }),
    inline: [
      policy(
        allow(dataActions, [tableArn, `${tableArn}/index/*`], {
          'ForAllValues:StringLike': ownKeys,
          Null: { 'dynamodb:LeadingKeys': 'false' },
        }),
        allow(
          ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'],
          `${bucketArn}/tenant/\${aws:PrincipalTag/TenantId}/*`,
        ),
        allow('s3:ListBucket', bucketArn, {
          StringLike: { 's3:prefix': 'tenant/${aws:PrincipalTag/TenantId}/*' },
        }),
      ),
    ],
  },
  // The same without the Null guard: what the guard is for must be seen to go wrong without it.
  [guardlessRole]: {
    trust: trust({ AWS: functionRole }, ['sts:AssumeRole', 'sts:TagSession']),
    inline: [policy(allow(dataActions, tableArn, { 'ForAllValues:StringLike': ownKeys }))],
  },
};

const keyPolicy = policy({
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${accountId}:root` },
  Action: 'kms:*',
  Resource: '*',
});
const resourcePolicies: Record<string, PolicyDocument> = {
  [signKeyArn]: keyPolicy,
  [macKeyArn]: keyPolicy,
  [bucketArn]: policy(
    {
      Effect: 'Deny',
      Principal: { AWS: '*' },
      Action: 's3:*',
      Resource: [bucketArn, `${bucketArn}/*`],
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    },
    {
      Effect: 'Deny',
      Principal: { AWS: '*' },
      Action: 's3:*',
      Resource: [bucketArn, `${bucketArn}/*`],
      Condition: { NumericLessThan: { 's3:TlsVersion': '1.2' } },
    },
    {
      Effect: 'Deny',
      Principal: { AWS: '*' },
      Action: 's3:DeleteObject',
      Resource: `${bucketArn}/tenant/*/held/*`,
    },
  ),
};

export const policies: PolicySource = {
  rolePolicies: (arn) => roles[arn],
  resourcePolicy: (arn) => resourcePolicies[arn],
};

export type Logged = { level: 'info' | 'warn' | 'error'; fields: Record<string, unknown>; message: string };

/** The endpoint's options for a data directory, with one table, two buckets, two keys and two secrets. */
export const endpointOptions = (dataDir: string, logged: Logged[] = []): AwsEndpointOptions => ({
  dataDir,
  region,
  accountId,
  policies,
  tables: [
    {
      name: 'tenants',
      keySchema: [
        { attributeName: 'pk', keyType: 'HASH' },
        { attributeName: 'sk', keyType: 'RANGE' },
      ],
      attributeDefinitions: [
        { attributeName: 'pk', attributeType: 'S' },
        { attributeName: 'sk', attributeType: 'S' },
        { attributeName: 'gsiKey', attributeType: 'S' },
      ],
      globalSecondaryIndexes: [
        {
          indexName: 'by-index',
          keySchema: [{ attributeName: 'gsiKey', keyType: 'HASH' }],
          projection: { projectionType: 'ALL' },
        },
      ],
      ttlAttribute: 'expiresAt',
    },
  ],
  buckets: [{ name: 'logs-bucket' }, { name: 'versioned-bucket', versioned: true }],
  keys: [
    {
      keyId: 'mrk-ca',
      arn: signKeyArn,
      keySpec: 'ECC_NIST_P256',
      usage: 'SIGN_VERIFY',
      aliases: ['alias/ca'],
    },
    { keyId: 'tokens', arn: macKeyArn, keySpec: 'HMAC_256', usage: 'GENERATE_VERIFY_MAC' },
  ],
  secrets: [
    { name: 'roots', arn: emptySecretArn },
    { name: 'generated', arn: generatedSecretArn, generated: true },
  ],
  log: {
    info: (fields, message) => logged.push({ level: 'info', fields, message }),
    warn: (fields, message) => logged.push({ level: 'warn', fields, message }),
    error: (fields, message) => logged.push({ level: 'error', fields, message }),
  },
});

export const temporaryDir = (): Promise<string> => mkdtemp(path.join(tmpdir(), 'cattery-aws-'));

/** A running endpoint on a fresh directory, and SDK clients for whoever's credentials. */
export class EndpointUnderTest {
  readonly endpoint: AwsEndpoint;
  readonly logged: Logged[];
  private readonly dataDir: string;
  private readonly clients: { destroy(): void }[] = [];

  private constructor(endpoint: AwsEndpoint, dataDir: string, logged: Logged[]) {
    this.endpoint = endpoint;
    this.dataDir = dataDir;
    this.logged = logged;
  }

  static async start(more: Partial<AwsEndpointOptions> = {}): Promise<EndpointUnderTest> {
    const dataDir = await temporaryDir();
    const logged: Logged[] = [];
    try {
      const endpoint = await startAwsEndpoint({ ...endpointOptions(dataDir, logged), ...more });
      return new EndpointUnderTest(endpoint, dataDir, logged);
    } catch (error) {
      await rm(dataDir, { recursive: true, force: true });
      throw error;
    }
  }

  /** Credentials of the tenant role (or another) for a tenant, as the function would get them. */
  async tenant(tenantId: string, roleArn = tenantRole): Promise<Credentials> {
    const answer = await this.sts(this.endpoint.credentialsFor(functionRole)).send(
      new AssumeRoleCommand({
        RoleArn: roleArn,
        RoleSessionName: 'tenant-session',
        Tags: [{ Key: 'TenantId', Value: tenantId }],
      }),
    );
    return sdkCredentials(answer.Credentials);
  }

  dynamodb = (credentials: Credentials) => this.keep(new DynamoDBClient(this.config(credentials)));
  s3 = (credentials: Credentials) => this.keep(new S3Client(this.config(credentials)));
  kms = (credentials: Credentials) => this.keep(new KMSClient(this.config(credentials)));
  secrets = (credentials: Credentials) => this.keep(new SecretsManagerClient(this.config(credentials)));
  sts = (credentials: Credentials) => this.keep(new STSClient(this.config(credentials)));

  async stop(): Promise<void> {
    for (const client of this.clients) client.destroy();
    await this.endpoint.close();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  private config(credentials: Credentials) {
    return { endpoint: this.endpoint.url, region, credentials, maxAttempts: 1 };
  }

  private keep<T extends { destroy(): void }>(client: T): T {
    this.clients.push(client);
    return client;
  }
}

export function sdkCredentials(
  given:
    | {
        AccessKeyId: string | undefined;
        SecretAccessKey: string | undefined;
        SessionToken: string | undefined;
      }
    | undefined,
): Credentials {
  const {
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    SessionToken: sessionToken,
  } = given ?? {};
  if (!accessKeyId || !secretAccessKey || !sessionToken) throw new Error('no credentials in the answer');
  return { accessKeyId, secretAccessKey, sessionToken };
}
