import { RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb';
import { type IRole, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';

type ItemAction =
  'GetItem' | 'BatchGetItem' | 'Query' | 'PutItem' | 'UpdateItem' | 'DeleteItem' | 'BatchWriteItem';

/** What may be done to the items of which partitions; `*` stands for any text. */
export type ItemRights = {
  readonly actions: readonly ItemAction[];
  readonly partitions: readonly string[];
  /** The only attributes, beside the key's, that a request may name in its expressions, or get back; absent: all. */
  readonly attributes?: readonly string[];
};

/** A table whose readers and writers are let in partition by partition; `V` is the variable that names it to them. */
export class ItemTable<V extends string> extends Construct {
  readonly table: Table;
  readonly #variable: V;

  constructor(scope: Construct, id: string, variable: V) {
    super(scope, id);
    this.#variable = variable;
    this.table = new Table(this, 'Table', {
      partitionKey: { name: 'pk', type: AttributeType.STRING },
      sortKey: { name: 'sk', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: 'expiresAt',
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }

  /**
   * Lets a role do this much and returns the variable that names the table. `Null` is the guard of `ForAllValues`,
   * which holds as well when a request has no leading key at all (design.md 4).
   */
  grant(role: IRole, ...rights: readonly ItemRights[]): Record<V, string> {
    for (const { actions, partitions, attributes } of rights) {
      role.addToPrincipalPolicy(
        new PolicyStatement({
          actions: actions.map((action) => `dynamodb:${action}`),
          resources: [this.table.tableArn],
          conditions: {
            'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [...partitions] },
            ...(attributes ? onlyThese(attributes) : { Null: { 'dynamodb:LeadingKeys': 'false' } }),
          },
        }),
      );
    }
    // A computed key widens to `string`; it is V.
    return { [this.#variable]: this.table.tableName } as Record<V, string>;
  }
}

/** DynamoDB counts a key's attributes among those that a request names; `ReturnValues` could ask for the whole item. */
const onlyThese = (attributes: readonly string[]) => ({
  'ForAllValues:StringEquals': { 'dynamodb:Attributes': ['pk', 'sk', ...attributes] },
  StringEqualsIfExists: { 'dynamodb:ReturnValues': ['NONE', 'UPDATED_OLD', 'UPDATED_NEW'] },
  Null: { 'dynamodb:LeadingKeys': 'false', 'dynamodb:Attributes': 'false' },
});

/** The three tables of design.md 5. */
export class Tables extends Construct {
  /** Partition keys begin with the tenant; reached as the tenant role only. */
  readonly tenant = new ItemTable(this, 'Tenant', 'TENANT_TABLE');
  /** What must be found before the tenant is known. */
  readonly identities = new ItemTable(this, 'Identities', 'IDENTITIES_TABLE');
  /** Certificates, tunnels, tasks, trust. */
  readonly directory = new ItemTable(this, 'Directory', 'DIRECTORY_TABLE');
}
