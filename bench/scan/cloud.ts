import { EventEmitter } from 'node:events';
import path from 'node:path';
import { objectCreated } from '../../functions/image-scan/take-upload.ts';
import { startAwsEndpoint } from '../../local/aws/endpoint.ts';
import type { PolicyDocument } from '../../local/aws/iam/policy-source.ts';

const region = 'eu-central-1';
const accountId = '111122223333';
const role = (name: string) => `arn:aws:iam::${accountId}:role/${name}`;
const names = {
  table: 'tenant-data',
  bucket: 'scan-reports',
  function: role('image-scan'),
  tenant: role('tenant'),
};

/** What the function finds around it: a process's environment, with credentials. */
export type Cloud = {
  readonly environment: Readonly<Record<string, string>>;
  /** What EventBridge is told of an object in the bucket, by the object's key. */
  readonly objects: EventEmitter<Record<string, [event: unknown]>>;
  readonly close: () => Promise<void>;
};

const allowed = (statement: object): PolicyDocument => ({
  Version: '2012-10-17',
  Statement: [{ Effect: 'Allow', ...statement }],
});
// Isolation is judged elsewhere, on the synthesised policies; here they only have to be evaluated.
const open = {
  trust: allowed({ Principal: { AWS: names.function }, Action: ['sts:AssumeRole', 'sts:TagSession'] }),
  inline: [allowed({ Action: ['dynamodb:*', 's3:*', 'sts:*'], Resource: '*' })],
};

/** The laptop's DynamoDB, S3 and STS in this process, with an empty table and bucket under `directory`. */
export async function startCloud(directory: string): Promise<Cloud> {
  const key = (attributeName: string, keyType: 'HASH' | 'RANGE') => ({ attributeName, keyType });
  const objects: Cloud['objects'] = new EventEmitter();
  const endpoint = await startAwsEndpoint({
    dataDir: path.join(directory, 'cloud'),
    region,
    accountId,
    policies: {
      rolePolicies: (arn) => ([names.function, names.tenant].includes(arn) ? open : undefined),
      resourcePolicy: () => undefined,
    },
    tables: [
      {
        name: names.table,
        keySchema: [key('pk', 'HASH'), key('sk', 'RANGE')],
        attributeDefinitions: ['pk', 'sk'].map((attributeName) => ({ attributeName, attributeType: 'S' })),
      },
    ],
    buckets: [{ name: names.bucket, announces: true }],
    onObject: (event) => objects.emit(objectCreated.parse(event).detail.object.key, event),
    keys: [],
    secrets: [],
    log: {
      info: () => undefined,
      warn: () => undefined,
      error: (fields, message) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`),
    },
  });
  const { accessKeyId, secretAccessKey, sessionToken } = endpoint.credentialsFor(names.function);
  return {
    environment: {
      AWS_ENDPOINT_URL: endpoint.url,
      AWS_REGION: region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      AWS_SESSION_TOKEN: sessionToken,
      TENANT_TABLE: names.table,
      TENANT_ROLE_ARN: names.tenant,
      SCAN_BUCKET: names.bucket,
      SCAN_RETENTION_DAYS: '400',
      POWERTOOLS_LOG_LEVEL: 'ERROR',
    },
    objects,
    close: () => endpoint.close(),
  };
}
