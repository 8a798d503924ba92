import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import QuickLRU from 'quick-lru';
import { patience } from '../aws/patience.ts';
import { tenantIdPattern } from './identifier.ts';

/** Clients that hold the rights of one tenant and of no other; with S3 too in tenant-objects.ts. */
export type TenantClients = { readonly dynamo: DynamoDBDocumentClient };

/** Gives the clients of a *verified* tenant: the ID comes from the authorizer or from a tunnel's certificate. */
export type TenantAccess<Clients extends TenantClients = TenantClients> = (tenantId: string) => Clients;

/** A tenant's temporary credentials, fetched anew when they end. */
export type TenantCredentials = () => Promise<{
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: Date;
}>;

/** The session tag that the tenant roles' policies match as `${aws:PrincipalTag/TenantId}`. */
export const tenantTag = 'TenantId';

type Options<Clients extends TenantClients> = {
  /** The tenant role of this function. */
  roleArn: string;
  /** Name of the sessions in CloudTrail, 2–64 characters. */
  sessionName: string;
  sts?: STSClient;
  /** Makes the clients of one tenant; `tenantTables`, or `tenantObjects` for those who need S3. */
  clients: (credentials: TenantCredentials) => Clients;
  /** How many tenants' clients are kept; the least recently used one goes. */
  maxTenants?: number;
};

const refreshJitterMs = 5 * 60_000;
const evictionGraceMs = 60_000;

/**
 * Assumes the tenant role with the tenant as session tag, so that IAM, not only our code, keeps tenants apart
 * (design.md 4). Credentials are fetched at first use, once for concurrent callers (the SDK memoises a provider
 * while one call is under way), kept until 5–10 minutes before their end, and bounded in number.
 */
export function tenantAccess<Clients extends TenantClients>({
  roleArn,
  sessionName,
  clients: clientsOf,
  sts = new STSClient({ requestHandler: patience.answers }),
  maxTenants = 500,
}: Options<Clients>): TenantAccess<Clients> {
  const cache = new QuickLRU<string, Clients>({
    maxSize: maxTenants,
    onEviction: (_tenantId, clients) => {
      // Not at once: a request may still be using them.
      setTimeout(() => {
        for (const client of Object.values(clients) as { destroy(): void }[]) client.destroy();
      }, evictionGraceMs).unref();
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
    const clients = clientsOf(credentials);
    cache.set(tenantId, clients);
    return clients;
  };
}

/** The tenant table alone: most functions need no S3, and its client is a tenth of a bundle. */
export const tenantTables = (credentials: TenantCredentials): TenantClients => ({
  dynamo: documentClient(new DynamoDBClient({ credentials, requestHandler: patience.answers })),
});

/** A document client as all our repositories expect it. */
export const documentClient = (
  client: DynamoDBClient = new DynamoDBClient({ requestHandler: patience.answers }),
): DynamoDBDocumentClient =>
  DynamoDBDocumentClient.from(client, { marshallOptions: { removeUndefinedValues: true } });
