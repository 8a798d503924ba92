import { ArnPrincipal, PolicyStatement, Role, SessionTagsPrincipal } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import type { TenantCollection } from '../core/tenant/tenant-partition.ts';
import type { ObjectBucket } from './buckets.ts';
import type { ItemRights, ItemTable } from './tables.ts';

const tag = 'TenantId';
/** What a session of this role calls its tenant; IAM fills it in at every request. */
const tenant = `\${aws:PrincipalTag/${tag}}`;
/** The shape of a tenant's ID (core/tenant/identifier.ts); IAM knows no character classes. */
const anyTenant = `t-${'?'.repeat(20)}`;

type CollectionRights = {
  readonly actions: ItemRights['actions'];
  readonly collections: readonly TenantCollection[];
};

/**
 * The role as which one function reaches tenant data, and only so (design.md 4). A session must carry exactly one tag,
 * the tenant; every policy here matches that tag in the partition key or the object's prefix.
 */
export class TenantRole extends Construct {
  readonly #role: Role;
  readonly environment: { TENANT_ROLE_ARN: string };

  /** @param caller the function's own role: the only one that may assume this one. */
  constructor(scope: Construct, id: string, caller: Role) {
    super(scope, id);
    const pinned = {
      'ForAllValues:StringEquals': { 'aws:TagKeys': [tag] },
      Null: { [`aws:RequestTag/${tag}`]: 'false' },
      StringLike: { [`aws:RequestTag/${tag}`]: anyTenant },
    };
    this.#role = new Role(this, 'Role', {
      description: 'Cattery: reaches the data of the one tenant that the session is tagged with',
      assumedBy: new SessionTagsPrincipal(new ArnPrincipal(caller.roleArn).withConditions(pinned)),
    });
    caller.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ['sts:AssumeRole', 'sts:TagSession'],
        resources: [this.#role.roleArn],
        conditions: pinned,
      }),
    );
    this.environment = { TENANT_ROLE_ARN: this.#role.roleArn };
  }

  /** Lets a session use these collections of its own tenant. */
  allowItems<V extends string>(
    table: ItemTable<V>,
    ...rights: readonly CollectionRights[]
  ): Record<V, string> {
    return table.grant(
      this.#role,
      ...rights.map(({ actions, collections }) => ({
        actions,
        partitions: collections.map((collection) => `TENANT#${tenant}#${collection}`),
      })),
    );
  }

  /** Lets a session use the objects of its own tenant under `<before>tenant/<its ID>/<path>`. */
  allowObjects<V extends string>(
    bucket: ObjectBucket<V>,
    {
      actions,
      before = '',
      path,
    }: { actions: readonly ('GetObject' | 'PutObject')[]; before?: string; path: string },
  ): Record<V, string> {
    return bucket.grant(this.#role, { actions, prefix: `${before}tenant/${tenant}/${path}` });
  }
}
