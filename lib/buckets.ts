import { Aws, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { type IRole, PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import {
  BlockPublicAccess,
  Bucket,
  BucketEncryption,
  CfnBucket,
  type BucketProps,
  type IBucket,
} from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { uploadsPrefix } from '../core/image/scan-upload-schema.ts';

const secure = {
  encryption: BucketEncryption.S3_MANAGED,
  enforceSSL: true,
  minimumTLSVersion: 1.2,
  blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
  removalPolicy: RemovalPolicy.RETAIN,
} as const satisfies BucketProps;

const abortUploads = { id: 'abandoned-uploads', abortIncompleteMultipartUploadAfter: Duration.days(1) };

/** A bucket whose readers and writers are let in prefix by prefix; `V` is the variable that names it to them. */
export class ObjectBucket<V extends string> extends Construct {
  readonly bucket: Bucket;
  readonly #variable: V;

  constructor(
    scope: Construct,
    id: string,
    options: {
      variable: V;
      retentionDays: number | 'for ever';
      accessLogs: IBucket;
      /** Where objects lie that are wanted for a day. */
      passingPrefix?: string;
    },
  ) {
    super(scope, id);
    const { variable, retentionDays, accessLogs, passingPrefix } = options;
    this.#variable = variable;
    this.bucket = new Bucket(this, 'Bucket', {
      ...secure,
      // Who may put an object may put another in its place: an old version is what brings the first one back.
      versioned: true,
      lifecycleRules: [
        {
          id: 'retention',
          ...(retentionDays === 'for ever' ? {} : { expiration: Duration.days(retentionDays) }),
          noncurrentVersionExpiration: Duration.days(30),
        },
        ...(passingPrefix === undefined
          ? []
          : [
              {
                id: 'passing',
                prefix: passingPrefix,
                expiration: Duration.days(1),
                noncurrentVersionExpiration: Duration.days(1),
              },
            ]),
        { id: 'delete-markers', expiredObjectDeleteMarker: true },
        abortUploads,
      ],
      serverAccessLogsBucket: accessLogs,
      serverAccessLogsPrefix: `s3/${id.toLowerCase()}/`,
    });
  }

  /**
   * Tells EventBridge of every object that comes. CloudFormation's own property: the CDK's way would put a function of
   * its own into the stack, with rights on every bucket.
   */
  announce(): void {
    const { defaultChild } = this.bucket.node;
    if (!CfnBucket.isCfnBucket(defaultChild)) throw new Error('A bucket without its resource.');
    defaultChild.notificationConfiguration = { eventBridgeConfiguration: { eventBridgeEnabled: true } };
  }

  /** Lets a role do this under a key prefix, and returns the variable that names the bucket. */
  grant(
    role: IRole,
    { actions, prefix }: { actions: readonly ('GetObject' | 'PutObject')[]; prefix: string },
  ): Record<V, string> {
    role.addToPrincipalPolicy(
      new PolicyStatement({
        actions: actions.map((action) => `s3:${action}`),
        resources: [this.bucket.arnForObjects(`${prefix}*`)],
      }),
    );
    const logicalId = Stack.of(this).getLogicalId(this.bucket.node.defaultChild as CfnBucket);
    Validations.of(role).acknowledge({
      id: `AwsSolutions-IAM5[Resource::<${logicalId}.Arn>/${prefix.replaceAll('${', '<').replaceAll('}', '>')}*]`,
      reason:
        'The objects under one prefix: that of the tenant the session is tagged with, or of the releases.',
    });
    return this.#environment();
  }

  /**
   * Lets a role see which keys there are: under a prefix, or, without one, also by the 404 in place of a 403 that S3
   * answers to a GET of what is not there (such a request has no prefix that a condition could match).
   */
  grantList(role: IRole, { prefix }: { prefix?: string } = {}): Record<V, string> {
    role.addToPrincipalPolicy(
      new PolicyStatement({
        actions: ['s3:ListBucket'],
        resources: [this.bucket.bucketArn],
        ...(prefix === undefined ? {} : { conditions: { StringLike: { 's3:prefix': `${prefix}*` } } }),
      }),
    );
    return this.#environment();
  }

  #environment(): Record<V, string> {
    // A computed key widens to `string`; it is V.
    return { [this.#variable]: this.bucket.bucketName } as Record<V, string>;
  }
}

/** Logs of the clusters, scan reports, public assets, and the access logs of all that takes requests here. */
export class Buckets extends Construct {
  readonly logs: ObjectBucket<'LOG_BUCKET'>;
  readonly scans: ObjectBucket<'SCAN_BUCKET'>;
  /** Copies of upstream's manifests: not the public's to read, but to be handed out to everyone. */
  readonly assets: ObjectBucket<'ASSETS_BUCKET'>;
  readonly access: IBucket;

  constructor(
    scope: Construct,
    id: string,
    retention: { logRetentionDays: number; scanRetentionDays: number },
  ) {
    super(scope, id);
    // The CDK's classes do not declare `undefined` as their interfaces do: hence the casts to interfaces in lib/.
    this.access = new Bucket(this, 'Access', {
      ...secure,
      lifecycleRules: [{ id: 'retention', expiration: Duration.days(90) }, abortUploads],
    }) as IBucket;
    allowLogDelivery(this.access);
    const accessLogs = this.access;
    this.logs = new ObjectBucket(this, 'Logs', {
      variable: 'LOG_BUCKET',
      retentionDays: retention.logRetentionDays,
      accessLogs,
    });
    this.scans = new ObjectBucket(this, 'Scans', {
      variable: 'SCAN_BUCKET',
      retentionDays: retention.scanRetentionDays,
      accessLogs,
      passingPrefix: uploadsPrefix,
    });
    this.scans.announce();
    this.assets = new ObjectBucket(this, 'Assets', {
      variable: 'ASSETS_BUCKET',
      retentionDays: 'for ever',
      accessLogs,
    });
  }
}

/** Flow logs and the load balancer's logs are written by this service; without a region nothing adds this by itself. */
function allowLogDelivery(bucket: IBucket): void {
  const principals = [new ServicePrincipal('delivery.logs.amazonaws.com')];
  const ours = {
    StringEquals: { 'aws:SourceAccount': Aws.ACCOUNT_ID },
    ArnLike: { 'aws:SourceArn': Stack.of(bucket).formatArn({ service: 'logs', resource: '*' }) },
  };
  bucket.addToResourcePolicy(
    new PolicyStatement({
      principals,
      actions: ['s3:PutObject'],
      resources: ['flow', 'nlb'].map((prefix) =>
        bucket.arnForObjects(`${prefix}/AWSLogs/${Aws.ACCOUNT_ID}/*`),
      ),
      conditions: {
        ...ours,
        StringEquals: { ...ours.StringEquals, 's3:x-amz-acl': 'bucket-owner-full-control' },
      },
    }),
  );
  bucket.addToResourcePolicy(
    new PolicyStatement({
      principals,
      actions: ['s3:GetBucketAcl'],
      resources: [bucket.bucketArn],
      conditions: ours,
    }),
  );
}
