import { beforeAll, describe, expect, test } from '@jest/globals';
import { Match } from 'aws-cdk-lib/assertions';
import { loopbackPorts } from '../../core/credential/sign-in-schema.ts';
import { synthesise, type Synthesis } from './synthesis.ts';

describe('what holds data', () => {
  let synthesis: Synthesis;
  beforeAll(async () => {
    synthesis = await synthesise();
  });
  const properties = (type: string) =>
    Object.values(synthesis.resources(type)).map((resource) => resource.Properties);

  test('lies in the data stack, and stays when a stack goes', () => {
    const kept = [
      'AWS::DynamoDB::Table',
      'AWS::S3::Bucket',
      'AWS::KMS::Key',
      'AWS::SecretsManager::Secret',
      'AWS::Cognito::UserPool',
      'AWS::Cognito::UserPoolClient',
      'AWS::Logs::LogGroup',
    ];
    for (const type of kept) {
      const everywhere = synthesis.resources(type);
      expect(Object.keys(everywhere).length).toBeGreaterThan(0);
      for (const { DeletionPolicy } of Object.values(everywhere)) expect(DeletionPolicy).toBe('Retain');
      if (type !== 'AWS::Logs::LogGroup') expect(synthesis.resources(type, 'data')).toEqual(everywhere);
    }
    expect(synthesis.stacks.data.terminationProtection).toBe(true);
  });

  test('tables: three, pk and sk, on demand, restorable to any second, protected, expiring by expiresAt, no index', () => {
    const tables = properties('AWS::DynamoDB::Table');
    expect(tables).toHaveLength(3);
    for (const table of tables) {
      expect(table).toEqual({
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        BillingMode: 'PAY_PER_REQUEST',
        DeletionProtectionEnabled: true,
        PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
        TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
      });
    }
  });

  test('buckets: encrypted, closed to the public, TLS only, and no upload abandoned for long', () => {
    const buckets = synthesis.resources('AWS::S3::Bucket');
    const policies = properties('AWS::S3::BucketPolicy');
    expect(Object.keys(buckets)).toHaveLength(4);
    for (const [name, { Properties }] of Object.entries(buckets)) {
      expect(Properties.PublicAccessBlockConfiguration).toEqual({
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      });
      expect(Properties.BucketEncryption).toBeDefined();
      expect(JSON.stringify(Properties.LifecycleConfiguration)).toContain('"DaysAfterInitiation":1');
      const policy = policies.find(({ Bucket }) => (Bucket as { Ref: string }).Ref === name);
      expect(JSON.stringify(policy)).toContain(
        '"Condition":{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny"',
      );
    }
  });

  test('buckets of tenants and of assets keep the old version for 30 days when an object is put over', () => {
    const versioned = properties('AWS::S3::Bucket').filter(
      ({ VersioningConfiguration }) => VersioningConfiguration,
    );
    expect(versioned).toHaveLength(3);
    for (const { LifecycleConfiguration } of versioned) {
      expect(JSON.stringify(LifecycleConfiguration)).toContain('"NoncurrentDays":30');
    }
  });

  test('buckets of tenants keep objects as long as the settings say', async () => {
    const { templates } = await synthesise({ logRetentionDays: '7', scanRetentionDays: '14' });
    for (const ExpirationInDays of [7, 14]) {
      templates.data.hasResourceProperties('AWS::S3::Bucket', {
        LifecycleConfiguration: { Rules: Match.arrayWith([Match.objectLike({ ExpirationInDays })]) },
      });
    }
  });

  test('the bucket of assets keeps its objects for ever: nobody fetches again what was mirrored', () => {
    const [assets] = Object.entries(synthesis.resources('AWS::S3::Bucket')).filter(([name]) =>
      name.startsWith('BucketsAssets'),
    );
    const { LifecycleConfiguration, VersioningConfiguration } = assets?.[1].Properties ?? {};
    expect(VersioningConfiguration).toEqual({ Status: 'Enabled' });
    const { Rules } = LifecycleConfiguration as { Rules: Record<string, unknown>[] };
    expect(Rules.length).toBeGreaterThan(0);
    expect(Rules.filter((rule) => 'ExpirationInDays' in rule || 'ExpirationDate' in rule)).toEqual([]);
  });

  test('keys: two sign with P-256 and may follow to another region, one makes MACs', () => {
    const keys = properties('AWS::KMS::Key').map(({ KeySpec, KeyUsage, MultiRegion }) => ({
      KeySpec,
      KeyUsage,
      MultiRegion,
    }));
    expect(keys).toEqual([
      { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY', MultiRegion: true },
      { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC', MultiRegion: undefined },
      { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY', MultiRegion: true },
    ]);
  });

  test('secrets: two, and born without a value', () => {
    const secrets = properties('AWS::SecretsManager::Secret');
    expect(secrets).toHaveLength(2);
    for (const secret of secrets) expect(Object.keys(secret)).toEqual(['Description']);
  });

  test('users: made by administrators only, who keep a verified address until the next one is verified', () => {
    synthesis.templates.data.hasResourceProperties('AWS::Cognito::UserPool', {
      AdminCreateUserConfig: { AllowAdminCreateUserOnly: true },
      AutoVerifiedAttributes: ['email'],
      UserAttributeUpdateSettings: { AttributesRequireVerificationBeforeUpdate: ['email'] },
      DeletionProtection: 'ACTIVE',
    });
    synthesis.templates.data.hasOutput('UserPoolId', {});
    synthesis.templates.data.hasOutput('UserPoolClientId', {});
  });

  test('users: sign in by code on every loopback port of the command line, with a refresh token for a day', () => {
    const { templates } = synthesis;
    templates.data.hasResourceProperties('AWS::Cognito::UserPoolClient', {
      GenerateSecret: false,
      AllowedOAuthFlows: ['code'],
      AllowedOAuthFlowsUserPoolClient: true,
      AllowedOAuthScopes: ['openid', 'email'],
      CallbackURLs: loopbackPorts.map((port) => `http://localhost:${port}/callback`),
      EnableTokenRevocation: true,
      RefreshTokenValidity: 1_440,
      IdTokenValidity: 60,
    });
    // Without a domain there is no page to sign in on. Its prefix is unique in a region, and has no reserved word.
    templates.data.hasResource('AWS::Cognito::UserPoolDomain', { DeletionPolicy: 'Retain' });
    const [domain] = properties('AWS::Cognito::UserPoolDomain');
    expect(JSON.stringify(domain?.Domain)).toMatch(/"cattery-",.*AWS::StackId/);
  });

  test('users: another issuer makes the pool go, and is what the functions are told', async () => {
    const { templates } = await synthesise({
      oidcIssuer: 'https://id.example.com:8443/r',
      oidcAudience: 'cattery',
    });
    templates.data.resourceCountIs('AWS::Cognito::UserPool', 0);
    templates.api.hasResourceProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: Match.objectLike({
          OIDC_ISSUER: 'https://id.example.com:8443/r',
          OIDC_AUDIENCE: 'cattery',
        }),
      },
    });
    // The tunnel server fetches the issuer's keys.
    templates.network.hasResourceProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupEgress: Match.arrayWith([Match.objectLike({ FromPort: 8443, ToPort: 8443 })]),
    });
  });
});
