import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import QuickLRU from 'quick-lru';
import { tenantIdPattern } from './identifier.ts';

/** Clients that hold the rights of one tenant and of no other. */
export type TenantClients = { readonly dynamo: DynamoDBDocumentClient; readonly s3: S3Client };

/** Gives the clients of a *verified* tenant: the ID comes from the authorizer or from a tunnel's certificate. */
export type TenantAccess = (tenantId: string) => TenantClients;

/** The session tag that the tenant roles' policies match as `${aws:PrincipalTag/TenantId}`. */
export const tenantTag = 'TenantId';

type Options = {
  /** The tenant role of this function. */
  roleArn: string;
  /** Name of the sessions in CloudTrail, 2–64 characters. */
  sessionName: string;
  sts?: STSClient;
  /** How many tenants' clients are kept; the least recently used one goes. */
  maxTenants?: number;
};

const refreshJitterMs = 5 * 60_000;

/**
 * Assumes the tenant role with the tenant as session tag, so that IAM, not only our code, keeps tenants apart
 * (design.md 4). Credentials are fetched at first use, once for concurrent callers (the SDK memoises a provider
 * while one call is under way), kept until 5–10 minutes before their end, and bounded in number.
 */
export function tenantAccess({
  roleArn,
  sessionName,
  sts = new STSClient(),
  maxTenants = 500,
}: Options): TenantAccess {
  const cache = new QuickLRU<string, TenantClients>({
    maxSize: maxTenants,
    onEviction: (_tenantId, clients) => {
      clients.dynamo.destroy();
      clients.s3.destroy();
    },
  });
  return (tenantId) => {
    if (!tenantIdPattern.test(tenantId)) throw new TypeError('not a tenant ID');
    const cached = cache.get(tenantId);
    if (cached) return cached;
    const credentials = async () => {
      const { Credentials: issued } = await sts.send(
        new AssumeRoleCommand({
          RoleArn: roleArn,
          RoleSessionName: sessionName,
          DurationSeconds: 3600,
          Tags: [{ Key: tenantTag, Value: tenantId }],
        }),
      );
      if (!issued?.AccessKeyId || !issued.SecretAccessKey || !issued.SessionToken || !issued.Expiration) {
        throw new Error('STS answered without credentials');
      }
      // The SDK asks again 5 minutes before `expiration`; an earlier one spreads the refreshes of many tenants.
      const early = Math.random() * refreshJitterMs;
      return {
        accessKeyId: issued.AccessKeyId,
        secretAccessKey: issued.SecretAccessKey,
        sessionToken: issued.SessionToken,
        expiration: new Date(issued.Expiration.getTime() - early),
      };
    };
    const clients: TenantClients = {
      dynamo: documentClient(new DynamoDBClient({ credentials })),
      s3: new S3Client({ credentials }),
    };
    cache.set(tenantId, clients);
    return clients;
  };
}

/** A document client as all our repositories expect it. */
export const documentClient = (client: DynamoDBClient = new DynamoDBClient()): DynamoDBDocumentClient =>
  DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
