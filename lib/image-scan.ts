import { Duration } from 'aws-cdk-lib';
import { Rule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { Construct } from 'constructs';
import { uploadsPrefix } from '../core/image/scan-upload-schema.ts';
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
    {
      bundles,
      tables,
      buckets,
      retentionDays,
    }: {
      bundles: string;
      tables: Tables;
      buckets: Buckets;
      /** How long the bucket keeps reports. */
      retentionDays: number;
    },
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
          SCAN_RETENTION_DAYS: String(retentionDays),
          ...tenant.allowItems(
            tables.tenant,
            { actions: ['GetItem', 'BatchGetItem', 'Query', 'PutItem'], collections: ['IMAGES'] },
            { actions: ['UpdateItem'], collections: ['IMAGE_NAMES'] },
            { actions: ['Query', 'PutItem'], collections: ['IMAGE_CARDS'] },
            { actions: ['PutItem'], collections: ['IMAGE_CHANGES'] },
            { actions: ['GetItem', 'BatchWriteItem'], collections: ['IMAGE_FINDINGS'] },
            { actions: ['Query', 'BatchWriteItem'], collections: ['IMAGE_HISTORY'] },
            { actions: ['GetItem'], collections: ['CLUSTERS'] },
            { actions: ['GetItem', 'PutItem', 'DeleteItem'], collections: ['IMAGE_POLICY'] },
          ),
          ...tenant.allowObjects(buckets.scans, { actions: ['PutObject'], path: 'scans/' }),
          // Large reports: their senders put them by URLs that this role signs.
          ...tenant.allowItems(tables.tenant, {
            actions: ['GetItem', 'PutItem', 'UpdateItem'],
            collections: ['SCAN_UPLOADS'],
          }),
          ...tenant.allowObjects(buckets.scans, {
            actions: ['GetObject', 'PutObject'],
            before: uploadsPrefix,
            path: '',
          }),
        };
      },
    });
    this.#takeUploads(buckets.scans.bucket.bucketName);
  }

  /** A large report that has come is an event: nobody waits for its function, and Lambda tries it three times. */
  #takeUploads(bucket: string): void {
    const { function: handler } = this.function;
    const maxEventAge = Duration.hours(1);
    handler.configureAsyncInvoke({ retryAttempts: 2, maxEventAge });
    new Rule(this, 'Uploaded', {
      description: 'Cattery: takes the scan reports that were put into the bucket by their senders',
      eventPattern: {
        source: ['aws.s3'],
        detailType: ['Object Created'],
        detail: { bucket: { name: [bucket] }, object: { key: [{ prefix: uploadsPrefix }] } },
      },
      targets: [new LambdaFunction(handler, { maxEventAge })],
    });
  }
}
