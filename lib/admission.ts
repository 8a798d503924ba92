import { Construct } from 'constructs';
import type { Environment } from '../functions/admission/env.ts';
import type { Keys } from './keys.ts';
import { RoleFunction } from './role-function.ts';
import type { Tables } from './tables.ts';
import { TenantRole } from './tenant-role.ts';

type Options = {
  readonly bundles: string;
  readonly tables: Tables;
  readonly keys: Keys;
  readonly apiUrl: string;
};

/** Answers API servers' admission reviews, keeps the admission policy, and serves the bundle of verdicts. */
export class Admission extends Construct {
  readonly function: RoleFunction<Environment>;

  constructor(scope: Construct, id: string, { bundles, tables, keys, apiUrl }: Options) {
    super(scope, id);
    this.function = new RoleFunction<Environment>(this, 'Function', {
      name: 'admission',
      bundles,
      description: 'Cattery: admission reviews and policy, bundles of verdicts',
      // One whole CPU: an API server, and whoever creates a pod, waits for each answer.
      memorySize: 1769,
      timeout: 25,
      environment: (role) => {
        const tenant = new TenantRole(this, 'Tenant', role);
        return {
          ...tenant.environment,
          // It reads what verdicts are made from, and writes none of it.
          ...tenant.allowItems(
            tables.tenant,
            // All in one statement: a review reads them in one request, whose keys one statement must allow together.
            {
              actions: ['BatchGetItem'],
              collections: ['IMAGES', 'IMAGE_NAMES', 'IMAGE_POLICY', 'ADMISSION_POLICY'],
            },
            { actions: ['GetItem'], collections: ['IMAGE_POLICY'] },
            { actions: ['GetItem', 'UpdateItem'], collections: ['ADMISSION_POLICY'] },
            { actions: ['Query'], collections: ['IMAGES', 'IMAGE_CHANGES'] },
          ),
          ...keys.grantSignBundles(role),
          API_URL: apiUrl,
        };
      },
    });
  }
}
