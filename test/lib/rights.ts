import { beforeAll, describe, expect, test } from '@jest/globals';
import type { PolicyDocument, PolicySource } from '../../local/aws/iam/policy-source.ts';
import { type Access, Authoriser, type Context } from '../../local/aws/iam/authoriser.ts';
import { accountId, region, resolver } from './resolution.ts';
import { synthesise, type Synthesis } from './synthesis.ts';

const [ours, theirs] = ['t-aaaaaaaaaaaaaaaaaaaa', 't-bbbbbbbbbbbbbbbbbbbb'];
const roles = [
  'Admission',
  'Authorizer',
  'Certificates',
  'ImageScan',
  'InstallAssets',
  'Operator',
  'Registration',
  'ReleaseMirror',
  'Tunnel',
] as const;
type Owner = (typeof roles)[number];
/** Those that reach tenant data. */
const tenantOwners = [
  'Admission',
  'ImageScan',
  'InstallAssets',
  'Operator',
  'Registration',
  'Tunnel',
] as const;

/** Every role of the templates with its policies, every name filled in. */
class Policies implements PolicySource {
  readonly #roles = new Map<string, { trust: PolicyDocument; inline: PolicyDocument[] }>();

  readonly #keys = new Map<string, PolicyDocument>();

  constructor(synthesis: Synthesis) {
    const resolve = resolver(synthesis);
    const resolved = (type: string) =>
      Object.entries(synthesis.resources(type)).map(
        ([name, { Properties }]) => [name, resolve(Properties) as Record<string, unknown>] as const,
      );
    for (const [name, { AssumeRolePolicyDocument }] of resolved('AWS::IAM::Role')) {
      this.#roles.set(`arn:aws:iam::${accountId}:role/${name}`, {
        trust: AssumeRolePolicyDocument as PolicyDocument,
        inline: [],
      });
    }
    for (const [name, { KeyPolicy }] of resolved('AWS::KMS::Key')) {
      this.#keys.set(resolve({ 'Fn::GetAtt': [name, 'Arn'] }) as string, KeyPolicy as PolicyDocument);
    }
    for (const [, { Roles, PolicyDocument }] of resolved('AWS::IAM::Policy')) {
      for (const role of Roles as string[]) {
        this.#roles
          .get(`arn:aws:iam::${accountId}:role/${role}`)
          ?.inline.push(PolicyDocument as PolicyDocument);
      }
    }
  }

  rolePolicies(roleArn: string) {
    return this.#roles.get(roleArn);
  }
  resourcePolicy(resourceArn: string) {
    return this.#keys.get(resourceArn);
  }
  /** The role whose logical ID begins so; a function's role is `<Owner>FunctionRole…`, the task's `TunnelRole…`. */
  arn(owner: Owner, kind: 'own' | 'tenant'): string {
    const prefix =
      kind === 'tenant' ? `${owner}TenantRole` : owner === 'Tunnel' ? 'TunnelRole' : `${owner}FunctionRole`;
    const found = [...this.#roles.keys()].find((arn) => arn.includes(`role/${prefix}`));
    if (!found) throw new Error(`no role ${prefix}`);
    return found;
  }
}

describe('what the synthesised policies allow', () => {
  let synthesis: Synthesis;
  let policies: Policies;
  let authoriser: Authoriser;
  let table: Readonly<Record<'tenant' | 'identities' | 'directory', string>>;
  let bucket: Readonly<Record<'logs' | 'scans' | 'assets', string>>;

  beforeAll(async () => {
    synthesis = await synthesise();
    policies = new Policies(synthesis);
    const broken = () => {
      throw new Error('the policies cannot be evaluated');
    };
    authoriser = new Authoriser({
      policies,
      accountId,
      region,
      log: { info: () => undefined, warn: () => undefined, error: broken },
    });
    const named = (type: string, part: string) => {
      const name = Object.keys(synthesis.resources(type)).find((id) => id.includes(part));
      if (!name) throw new Error(`no ${part}`);
      return name;
    };
    const tableArn = (part: string) =>
      `arn:aws:dynamodb:${region}:${accountId}:table/${named('AWS::DynamoDB::Table', part)}`;
    table = {
      tenant: tableArn('TablesTenant'),
      identities: tableArn('TablesIdentities'),
      directory: tableArn('TablesDirectory'),
    };
    const bucketArn = (part: string) => `arn:aws:s3:::${named('AWS::S3::Bucket', part).toLowerCase()}`;
    bucket = {
      logs: bucketArn('BucketsLogs'),
      scans: bucketArn('BucketsScans'),
      assets: bucketArn('BucketsAssets'),
    };
  });

  const may = async (roleArn: string, access: Access, tags: Readonly<Record<string, string>> = {}) => {
    const name = roleArn.slice(roleArn.indexOf('/') + 1);
    const decision = await authoriser.decide(
      {
        kind: 'role',
        roleArn,
        principalArn: `arn:aws:sts::${accountId}:assumed-role/${name}/test`,
        userId: 'AROAEXAMPLE:test',
        tags,
      },
      access,
    );
    return decision.allowed;
  };
  const item = (action: string, resource: string, ...keys: readonly string[]): Access => ({
    action: `dynamodb:${action}`,
    resource,
    ...(keys.length > 0 ? { context: { 'dynamodb:LeadingKeys': [...keys] } } : {}),
  });
  const asTenant = (owner: Owner, access: Access) =>
    may(policies.arn(owner, 'tenant'), access, { TenantId: ours });
  const itself = (owner: Owner, access: Access) => may(policies.arn(owner, 'own'), access);

  describe('a tenant’s session', () => {
    const collections = {
      Registration: ['CLUSTERS', 'CLUSTER_NAMES', 'REGISTRATIONS', 'REGISTRATION_TOKENS', 'PROGRESS'],
      ImageScan: ['SCAN_UPLOADS', 'IMAGES', 'IMAGE_FINDINGS', 'IMAGE_POLICY', 'CLUSTERS'],
      Admission: ['IMAGE_POLICY', 'ADMISSION_POLICY'],
      InstallAssets: ['CLUSTERS'],
      Tunnel: ['CLUSTERS'],
    } as const;
    const rows = Object.entries(collections).flatMap(([owner, names]) =>
      names.map((name) => [owner as keyof typeof collections, name] as const),
    );

    test.each(rows)('of %s reads its own %s and nobody else’s', async (owner, collection) => {
      const get = (...keys: readonly string[]) => asTenant(owner, item('GetItem', table.tenant, ...keys));
      expect(await get(`TENANT#${ours}#${collection}`)).toBe(true);
      expect(await get(`TENANT#${theirs}#${collection}`)).toBe(false);
      // One tenant's ID is the beginning of another's, or holds a wildcard.
      expect(await get(`TENANT#${ours}b#${collection}`)).toBe(false);
      expect(await get(`TENANT#*#${collection}`)).toBe(false);
      expect(await get(`TENANT#${ours}#${collection}`, `TENANT#${theirs}#${collection}`)).toBe(false);
      // Without a leading key `ForAllValues` alone would hold.
      expect(await get()).toBe(false);
    });

    test.each(rows)('of %s with no tag, or another one, reads no %s', async (owner, collection) => {
      const arn = policies.arn(owner, 'tenant');
      const access = item('GetItem', table.tenant, `TENANT#${ours}#${collection}`);
      expect(await may(arn, access)).toBe(false);
      expect(await may(arn, access, { TenantId: theirs })).toBe(false);
      expect(await may(arn, access, { Tenant: ours })).toBe(false);
    });

    test.each(['Scan', 'PartiQLSelect', 'PartiQLUpdate', 'DeleteTable', 'UpdateTimeToLive'])(
      'of no function may %s',
      async (action) => {
        for (const owner of tenantOwners) {
          expect(await asTenant(owner, item(action, table.tenant, `TENANT#${ours}#CLUSTERS`))).toBe(false);
          expect(await asTenant(owner, item(action, table.tenant))).toBe(false);
        }
      },
    );

    test('of Admission reads in one batch what a review needs, of its own tenant only', async () => {
      const needed = ['IMAGES', 'IMAGE_NAMES', 'IMAGE_POLICY', 'ADMISSION_POLICY'];
      const batch = (...keys: readonly string[]) =>
        asTenant('Admission', item('BatchGetItem', table.tenant, ...keys));
      const keys = needed.map((collection) => `TENANT#${ours}#${collection}`);
      expect(await batch(...keys)).toBe(true);
      expect(await batch(...keys, `TENANT#${theirs}#IMAGES`)).toBe(false);
      expect(await batch(...keys, `TENANT#${ours}#CLUSTERS`)).toBe(false);
    });

    test('of Admission writes its policy and nothing that verdicts follow; nobody else writes that policy', async () => {
      const writes = ['PutItem', 'UpdateItem', 'DeleteItem'];
      const collections = ['IMAGES', 'IMAGE_NAMES', 'IMAGE_CARDS', 'IMAGE_POLICY', 'ADMISSION_POLICY'];
      const found = [];
      for (const owner of tenantOwners) {
        for (const collection of collections) {
          for (const action of writes) {
            const access = item(action, table.tenant, `TENANT#${ours}#${collection}`);
            const isAllowed = await asTenant(owner, access);
            if (isAllowed && (owner === 'Admission' || collection === 'ADMISSION_POLICY'))
              found.push(`${owner} ${action} ${collection}`);
          }
        }
      }
      expect(found).toEqual(['Admission UpdateItem ADMISSION_POLICY']);
    });

    test('of ImageScan does to what it keeps of images what its repositories do, of its own tenant only', async () => {
      const expected = {
        IMAGES: ['GetItem', 'BatchGetItem', 'Query', 'PutItem'],
        IMAGE_NAMES: ['UpdateItem'],
        IMAGE_CARDS: ['Query', 'PutItem'],
        IMAGE_FINDINGS: ['GetItem', 'BatchWriteItem'],
        IMAGE_HISTORY: ['Query', 'BatchWriteItem'],
        IMAGE_CHANGES: ['PutItem'],
        CLUSTERS: ['GetItem'],
      };
      const actions = [
        'GetItem',
        'BatchGetItem',
        'Query',
        'PutItem',
        'UpdateItem',
        'DeleteItem',
        'BatchWriteItem',
      ];
      for (const [collection, allowed] of Object.entries(expected)) {
        const may = (action: string, tenantId: string) =>
          asTenant('ImageScan', item(action, table.tenant, `TENANT#${tenantId}#${collection}`));
        const found = [];
        for (const action of actions) {
          if (await may(action, ours)) found.push(action);
          expect(await may(action, theirs)).toBe(false);
        }
        expect([collection, found]).toEqual([collection, allowed]);
      }
    });

    test('of ImageScan alone writes the rules that verdicts follow, item by item, of its own tenant only', async () => {
      const found = [];
      for (const owner of tenantOwners) {
        for (const action of ['PutItem', 'UpdateItem', 'DeleteItem', 'Query', 'BatchWriteItem']) {
          const on = (tenantId: string) =>
            asTenant(owner, item(action, table.tenant, `TENANT#${tenantId}#IMAGE_POLICY`));
          if (await on(ours)) found.push(`${owner} ${action}`);
          expect(await on(theirs)).toBe(false);
        }
      }
      expect(found).toEqual(['ImageScan PutItem', 'ImageScan DeleteItem']);
    });

    test('puts scan reports and logs under its own prefix only, and reads, lists and deletes none', async () => {
      const object = (action: string, resource: string): Access => ({ action: `s3:${action}`, resource });
      const places = [
        ['ImageScan', bucket.scans, 'scans/sha256:00/11.json.gz'],
        ['Tunnel', bucket.logs, 'cluster/c-aaaaaaaaaaaaaaaaaaaa/kind/flows/x.gz'],
        ['Tunnel', bucket.logs, 'audit/date=2026-11-23/task/000000000001.ndjson.gz'],
      ] as const;
      for (const [owner, where, what] of places) {
        expect(await asTenant(owner, object('PutObject', `${where}/tenant/${ours}/${what}`))).toBe(true);
        expect(await asTenant(owner, object('PutObject', `${where}/tenant/${theirs}/${what}`))).toBe(false);
        expect(await asTenant(owner, object('PutObject', `${where}/tenant/${ours}b/${what}`))).toBe(false);
        expect(await asTenant(owner, object('PutObject', `${where}/${what}`))).toBe(false);
        expect(await asTenant(owner, object('DeleteObject', `${where}/tenant/${ours}/${what}`))).toBe(false);
        expect(await asTenant(owner, object('ListBucket', where))).toBe(false);
      }
      expect(await asTenant('ImageScan', object('PutObject', `${bucket.logs}/tenant/${ours}/scans/x`))).toBe(
        false,
      );
    });

    test('of ImageScan puts and reads uploads under its own prefix only, which no other does', async () => {
      const object = (action: string, key: string): Access => ({
        action: `s3:${action}`,
        resource: `${bucket.scans}/uploads/tenant/${key}`,
      });
      const found = [];
      for (const owner of tenantOwners) {
        for (const action of ['GetObject', 'PutObject', 'DeleteObject', 'PutObjectTagging', 'PutObjectAcl']) {
          if (await asTenant(owner, object(action, `${ours}/u-1`))) found.push(`${owner} ${action}`);
          for (const not of [`${theirs}/u-1`, `${ours}b/u-1`, ours, `*/u-1`])
            expect(await asTenant(owner, object(action, not))).toBe(false);
        }
      }
      expect(found).toEqual(['ImageScan GetObject', 'ImageScan PutObject']);
    });

    test('reaches neither identities nor directory', async () => {
      for (const owner of tenantOwners) {
        expect(await asTenant(owner, item('GetItem', table.identities, 'CREDENTIAL#00'))).toBe(false);
        expect(await asTenant(owner, item('GetItem', table.directory, 'TRUST'))).toBe(false);
      }
    });
  });

  describe('the tenant role', () => {
    const assume = (
      caller: Owner,
      owner: Owner,
      tags: Readonly<Record<string, string>>,
    ): Promise<boolean[]> => {
      const context: Context = {
        ...Object.fromEntries(Object.entries(tags).map(([name, value]) => [`aws:RequestTag/${name}`, value])),
        ...(Object.keys(tags).length > 0 ? { 'aws:TagKeys': Object.keys(tags) } : {}),
      };
      const resource = policies.arn(owner, 'tenant');
      return Promise.all(
        ['sts:AssumeRole', 'sts:TagSession'].map((action) => itself(caller, { action, resource, context })),
      );
    };
    const owners = tenantOwners;

    test.each(owners)('of %s is assumed by it with exactly the tenant as tag', async (owner) => {
      expect(await assume(owner, owner, { TenantId: ours })).toEqual([true, true]);
      expect(await assume(owner, owner, {})).toEqual([false, false]);
      expect(await assume(owner, owner, { TenantId: ours, Other: 'x' })).toEqual([false, false]);
      expect(await assume(owner, owner, { Other: ours })).toEqual([false, false]);
      for (const TenantId of ['', 't-', `${ours}b`, '*', 't-*', `x${ours.slice(1)}`]) {
        expect(await assume(owner, owner, { TenantId })).toEqual([false, false]);
      }
    });

    test('of one function is assumed by no other', async () => {
      for (const owner of owners) {
        for (const caller of roles.filter((role) => role !== owner)) {
          expect(await assume(caller, owner, { TenantId: ours })).toEqual([false, false]);
        }
      }
    });
  });

  describe('a function’s own role', () => {
    test.each(roles)('of %s reads no tenant data', async (owner) => {
      for (const action of ['GetItem', 'Query', 'BatchGetItem', 'PutItem', 'Scan']) {
        expect(await itself(owner, item(action, table.tenant, `TENANT#${ours}#CLUSTERS`))).toBe(false);
      }
      for (const where of [bucket.logs, bucket.scans]) {
        expect(await itself(owner, { action: 's3:GetObject', resource: `${where}/tenant/${ours}/x` })).toBe(
          false,
        );
      }
    });

    test('reaches the mirrored manifests where its task is that: one puts, one reads, nobody deletes', async () => {
      const key = `releases/v3.32.1/${'0'.repeat(64)}/operator-crds.yaml`;
      const things = [
        ['GetObject', `/${key}`, undefined, ['InstallAssets']],
        ['PutObject', `/${key}`, undefined, ['ReleaseMirror']],
        ['DeleteObject', `/${key}`, undefined, []],
        ['GetObject', '/elsewhere', undefined, []],
        ['PutObject', '/elsewhere', undefined, []],
        ['ListBucket', '', 'releases/v3.32.1/', ['InstallAssets', 'ReleaseMirror']],
        ['ListBucket', '', 'elsewhere/', ['InstallAssets']],
        // As S3 asks before it says that an object is not there.
        ['ListBucket', '', undefined, ['InstallAssets']],
      ] as const;
      for (const [action, path, prefix, owners] of things) {
        const access: Access = {
          action: `s3:${action}`,
          resource: `${bucket.assets}${path}`,
          ...(prefix === undefined ? {} : { context: { 's3:prefix': prefix } }),
        };
        const found = [];
        for (const owner of roles) if (await itself(owner, access)) found.push(owner);
        expect([action, path, prefix, found]).toEqual([action, path, prefix, [...owners]]);
      }
    });

    test('may do to identities and directory what its repositories do, and no more', async () => {
      const each = [
        ['Authorizer', 'identities', 'GetItem', ['CREDENTIAL#0', 'SUBJECT#0', 'INVITATION#0']],
        ['Authorizer', 'identities', 'PutItem', ['SUBJECT#0']],
        ['Authorizer', 'identities', 'UpdateItem', ['INVITATION#0']],
        ['Authorizer', 'identities', 'DeleteItem', ['INVITATION#0']],
        ['Registration', 'identities', 'GetItem', ['CREDENTIAL#0']],
        ['Registration', 'identities', 'BatchGetItem', ['CREDENTIAL#0']],
        ['Registration', 'identities', 'PutItem', ['CREDENTIAL#0']],
        ['Registration', 'identities', 'UpdateItem', ['CREDENTIAL#0']],
        ['Registration', 'identities', 'DeleteItem', ['CREDENTIAL#0']],
        ['Registration', 'directory', 'GetItem', ['TRUST']],
        ['Registration', 'directory', 'GetItem', ['CLUSTER#0', 'TASK#0']],
        ['Registration', 'directory', 'BatchGetItem', ['CLUSTER#0', 'TASK#0']],
        ['Registration', 'directory', 'PutItem', ['CERT#0', 'REVOCATIONS']],
        ['Registration', 'directory', 'UpdateItem', ['CERT#0']],
        ['InstallAssets', 'directory', 'GetItem', ['TRUST']],
        ['InstallAssets', 'directory', 'BatchGetItem', ['CLUSTER#0', 'TASK#0']],
        ['Operator', 'identities', 'GetItem', ['TENANT_NAME#0']],
        ['Operator', 'identities', 'PutItem', ['TENANT_NAME#0', 'CREDENTIAL#0']],
        ['Operator', 'identities', 'UpdateItem', ['INVITATION#0', 'SUBJECT#0']],
        ['Operator', 'identities', 'DeleteItem', ['INVITATION#0', 'SUBJECT#0']],
        ['Certificates', 'directory', 'GetItem', ['TRUST']],
        ['Certificates', 'directory', 'PutItem', ['TRUST']],
        ['Tunnel', 'identities', 'GetItem', ['CREDENTIAL#0', 'SUBJECT#0']],
        ['Tunnel', 'directory', 'GetItem', ['CERT#0', 'CLUSTER#0', 'TASK#0']],
        ['Tunnel', 'directory', 'Query', ['REVOCATIONS']],
        ['Tunnel', 'directory', 'PutItem', ['CLUSTER#0', 'TASK#0']],
        ['Tunnel', 'directory', 'UpdateItem', ['CLUSTER#0']],
      ] as const;
      const allowed = new Set(
        each.flatMap(([owner, where, action, keys]) =>
          keys.map((key) => `${owner} ${where} ${action} ${key}`),
        ),
      );
      const keys = {
        identities: ['CREDENTIAL#0', 'SUBJECT#0', 'INVITATION#0', 'TENANT_NAME#0'],
        directory: ['CERT#0', 'REVOCATIONS', 'CLUSTER#0', 'TASK#0', 'TRUST'],
      } as const;
      const actions = ['GetItem', 'BatchGetItem', 'Query', 'PutItem', 'UpdateItem', 'DeleteItem'];
      const found = new Set<string>();
      for (const owner of roles) {
        for (const where of ['identities', 'directory'] as const) {
          for (const action of actions) {
            expect(await itself(owner, item(action, table[where]))).toBe(false);
            for (const key of keys[where]) {
              if (await itself(owner, item(action, table[where], key)))
                found.add(`${owner} ${where} ${action} ${key}`);
            }
          }
        }
      }
      expect([...found].sort()).toEqual([...allowed].sort());
    });

    test('of those who verify keys writes the day of use to a credential, and nothing else of it', async () => {
      const update = (key: string, attributes: readonly string[], returned?: string): Access => ({
        action: 'dynamodb:UpdateItem',
        resource: table.identities,
        context: {
          'dynamodb:LeadingKeys': [key],
          'dynamodb:Attributes': ['pk', 'sk', ...attributes],
          ...(returned === undefined ? {} : { 'dynamodb:ReturnValues': returned }),
        },
      });
      const day = ['lastUsedDay'];
      const asked = [
        ['the day', update('CREDENTIAL#0', day), true],
        ['the day, told so', update('CREDENTIAL#0', day, 'UPDATED_NEW'), true],
        ['the whole item told', update('CREDENTIAL#0', day, 'ALL_NEW'), false],
        ['the whole former item told', update('CREDENTIAL#0', day, 'ALL_OLD'), false],
        ['its end, too', update('CREDENTIAL#0', [...day, 'expiresAt']), false],
        ['its tenant', update('CREDENTIAL#0', ['tenantId']), false],
        ['its scopes', update('CREDENTIAL#0', ['scopes']), false],
        ['a membership', update('SUBJECT#0', day), false],
      ] as const;
      for (const owner of ['Authorizer', 'Tunnel'] as const) {
        for (const [what, access, allowed] of asked)
          expect([owner, what, await itself(owner, access)]).toEqual([owner, what, allowed]);
      }
      for (const owner of roles.filter((role) => !['Authorizer', 'Tunnel', 'Registration'].includes(role)))
        expect([owner, await itself(owner, update('CREDENTIAL#0', day))]).toEqual([owner, false]);
    });

    test('signs, derives and reads secrets where its task is that, and nowhere else', async () => {
      const things = [
        ['AWS::KMS::Key', 'KeysCa', 'kms:Sign', ['Certificates', 'Registration']],
        ['AWS::KMS::Key', 'KeysCa', 'kms:GetPublicKey', ['Certificates', 'Registration']],
        ['AWS::KMS::Key', 'KeysToken', 'kms:GenerateMac', ['Registration']],
        ['AWS::KMS::Key', 'KeysBundle', 'kms:Sign', ['Admission']],
        ['AWS::KMS::Key', 'KeysBundle', 'kms:GetPublicKey', ['Admission', 'InstallAssets']],
        ['AWS::SecretsManager::Secret', 'SecretsRoots', 'secretsmanager:GetSecretValue', ['Certificates']],
        ['AWS::SecretsManager::Secret', 'SecretsRoots', 'secretsmanager:PutSecretValue', ['Certificates']],
        [
          'AWS::SecretsManager::Secret',
          'SecretsTunnel',
          'secretsmanager:GetSecretValue',
          ['Certificates', 'Tunnel'],
        ],
        ['AWS::SecretsManager::Secret', 'SecretsTunnel', 'secretsmanager:PutSecretValue', ['Certificates']],
      ] as const;
      const resolve = resolver(synthesis);
      for (const [type, part, action, owners] of things) {
        const name = Object.keys(synthesis.resources(type)).find((id) => id.includes(part)) ?? '';
        const resource = resolve({ 'Fn::GetAtt': [name, 'Arn'] }) as string;
        const found = [];
        for (const owner of roles) if (await itself(owner, { action, resource })) found.push(owner);
        expect([part, action, found]).toEqual([part, action, [...owners]]);
      }
    });
  });

  test('no statement allows an action on every resource but the one that knows none', () => {
    const wide = Object.values(synthesis.resources('AWS::IAM::Policy')).flatMap(({ Properties }) =>
      (
        Properties.PolicyDocument as { Statement: { Action: string | string[]; Resource: unknown }[] }
      ).Statement.filter(({ Resource }) => [Resource].flat().includes('*')).map(({ Action }) => Action),
    );
    expect(wide).toEqual(['ecr:GetAuthorizationToken']);
  });

  test('no action is a wildcard, and no role is assumed from another account or by everyone', () => {
    for (const { Properties } of Object.values(synthesis.resources('AWS::IAM::Policy'))) {
      expect(
        JSON.stringify(
          (Properties.PolicyDocument as { Statement: { Action: unknown }[] }).Statement.map(
            ({ Action }) => Action,
          ),
        ),
      ).not.toContain('*');
    }
    for (const { Properties } of Object.values(synthesis.resources('AWS::IAM::Role'))) {
      const [{ Principal } = { Principal: {} }] = (
        Properties.AssumeRolePolicyDocument as { Statement: { Principal: Record<string, unknown> }[] }
      ).Statement;
      const { Service, AWS } = Principal as { Service?: string; AWS?: { 'Fn::GetAtt': string[] } };
      if (AWS) expect(Object.keys(AWS)).toEqual(['Fn::GetAtt']);
      else
        expect(['lambda.amazonaws.com', 'ecs-tasks.amazonaws.com', 'apigateway.amazonaws.com']).toContain(
          Service,
        );
    }
  });

  test('nothing but IAM lets anyone invoke the operator', () => {
    const invoked = Object.values(synthesis.resources('AWS::Lambda::Permission')).map(({ Properties }) =>
      JSON.stringify(Properties.FunctionName),
    );
    expect(invoked.length).toBeGreaterThan(0);
    expect(invoked.filter((name) => name.includes('Operator'))).toEqual([]);
    synthesis.templates.api.hasOutput('OperatorFunction', {});
  });
});
