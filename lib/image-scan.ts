import { Construct } from 'constructs';
import type { Environment } from '../functions/image-scan/env.ts';
import type { Buckets } from './buckets.ts';
import { RoleFunction } from './role-function.ts';
import type { Tables } from './tables.ts';
import { TenantRole } from './tenant-role.ts';

/** Scan reports, images and the image policy. */
export class ImageScan extends Construct {
  readonly function: RoleFunction<Environment>;

  constructor(
    scope: Construct,
    id: string,
    { bundles, tables, buckets }: { bundles: string; tables: Tables; buckets: Buckets },
  ) {
    super(scope, id);
    this.function = new RoleFunction<Environment>(this, 'Function', {
      name: 'image-scan',
      bundles,
      description: 'Cattery: scan reports, images, image policy',
      // One whole CPU: a report of some megabytes is parsed and compressed while its sender waits.
      memorySize: 1769,
      timeout: 25,
      environment: (role) => {
        const tenant = new TenantRole(this, 'Tenant', role);
        return {
          ...tenant.environment,
          ...tenant.allowItems(
            tables.tenant,
            { actions: ['GetItem', 'Query', 'PutItem'], collections: ['IMAGES'] },
            { actions: ['GetItem', 'PutItem'], collections: ['IMAGE_POLICY'] },
          ),
          ...tenant.allowObjects(buckets.scans, { actions: ['PutObject'], path: 'scans/' }),
        };
      },
    });
  }
}
