import { createHash } from 'node:crypto';
import type { Resource } from './assembly.ts';
import { laptop, type PhysicalNames } from './intrinsics.ts';

const { region, accountId } = laptop;

/**
 * The names that resources have on the laptop: made from stack and logical ID alone, so that a second start finds
 * the data of the first. Attributes follow each type's ARN format; what has no counterpart here gets a plain name.
 */
export const physicalNames: PhysicalNames = { ref, attribute };

/** `stack-logicalId` in lower case, shortened to S3's 63 characters with a digest so that it stays unique. */
function nameOf({ stack, logicalId, properties }: Resource): string {
  if (typeof properties.FunctionName === 'string') return properties.FunctionName;
  const name = `${stack}-${logicalId}`.toLowerCase();
  if (name.length <= 60) return name;
  return `${name.slice(0, 51)}-${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;
}

/** A stable UUID-shaped ID, as KMS keys have. */
function uuidOf(resource: Resource): string {
  const hex = createHash('sha256').update(nameOf(resource)).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}

function ref(resource: Resource): string {
  switch (resource.type) {
    case 'AWS::SecretsManager::Secret':
      return arnOf(resource);
    case 'AWS::KMS::Key':
      return uuidOf(resource);
    case 'AWS::ApiGateway::RestApi':
      return nameOf(resource)
        .replaceAll(/[^a-z0-9]/g, '')
        .slice(-10);
    case 'AWS::ApiGateway::Stage':
      return String(resource.properties.StageName);
    default:
      return nameOf(resource);
  }
}

function arnOf(resource: Resource): string {
  const name = nameOf(resource);
  const arns: Readonly<Record<string, string>> = {
    'AWS::DynamoDB::Table': `arn:aws:dynamodb:${region}:${accountId}:table/${name}`,
    'AWS::DynamoDB::GlobalTable': `arn:aws:dynamodb:${region}:${accountId}:table/${name}`,
    'AWS::S3::Bucket': `arn:aws:s3:::${name}`,
    'AWS::KMS::Key': `arn:aws:kms:${region}:${accountId}:key/${uuidOf(resource)}`,
    'AWS::SecretsManager::Secret': `arn:aws:secretsmanager:${region}:${accountId}:secret:${name}`,
    'AWS::IAM::Role': `arn:aws:iam::${accountId}:role/${name}`,
    'AWS::Lambda::Function': `arn:aws:lambda:${region}:${accountId}:function:${name}`,
    'AWS::Logs::LogGroup': `arn:aws:logs:${region}:${accountId}:log-group:${name}:*`,
  };
  return (
    arns[resource.type] ??
    `arn:aws:laptop:${region}:${accountId}:${resource.type.toLowerCase().replaceAll('::', '-')}/${name}`
  );
}

function attribute(resource: Resource, attributeName: string): string {
  if (attributeName === 'Arn' || attributeName === 'TopicArn') return arnOf(resource);
  if (attributeName === 'RootResourceId') return '/';
  return `${nameOf(resource)}.${attributeName}`;
}
