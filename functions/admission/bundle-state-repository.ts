import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { admissionPolicyKey } from '../../core/admission/admission-policy-repository.ts';
import { rulesKey } from '../../core/image/image-rules-repository.ts';
import type { TenantAccess } from '../../core/tenant/tenant-access.ts';

type Item = Readonly<Record<string, unknown>>;

/** The items that a bundle's verdicts follow, as they are stored; undefined: the tenant has set nothing. */
export type BundleFacts = { readonly rules: Item | undefined; readonly policy: Item | undefined };

/** Reads image rules and admission policy beside each other. Units: 1 read per 4 KB of each, half of it if not consistent. */
export class BundleStateRepository {
  readonly #access: TenantAccess;
  readonly #table: string;

  constructor(access: TenantAccess, tenantTable: string) {
    this.#access = access;
    this.#table = tenantTable;
  }

  async read(tenantId: string, isConsistent: boolean): Promise<BundleFacts> {
    const { dynamo } = this.#access(tenantId);
    const [rules, policy] = await Promise.all(
      [rulesKey(tenantId), admissionPolicyKey(tenantId)].map(async (Key) => {
        const { Item } = await dynamo.send(
          new GetCommand({ TableName: this.#table, Key, ConsistentRead: isConsistent }),
        );
        return Item;
      }),
    );
    return { rules, policy };
  }
}
