import type { Synthesis } from './synthesis.ts';

export const accountId = '111122223333';
export const region = 'eu-west-1';

type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };
type Resource = { Type: string; Properties?: Record<string, Json> };
type Document = {
  Resources: Record<string, Resource>;
  Outputs?: Record<string, { Value: Json; Export?: { Name: Json } }>;
};

const arns: Readonly<Record<string, (name: string) => string>> = {
  'AWS::DynamoDB::Table': (name) => `arn:aws:dynamodb:${region}:${accountId}:table/${name}`,
  'AWS::S3::Bucket': (name) => `arn:aws:s3:::${name.toLowerCase()}`,
  'AWS::KMS::Key': (name) => `arn:aws:kms:${region}:${accountId}:key/${name}`,
  'AWS::IAM::Role': (name) => `arn:aws:iam::${accountId}:role/${name}`,
  'AWS::Lambda::Function': (name) => `arn:aws:lambda:${region}:${accountId}:function:${name}`,
  'AWS::Logs::LogGroup': (name) => `arn:aws:logs:${region}:${accountId}:log-group:${name}:*`,
  'AWS::SecretsManager::Secret': (name) => `arn:aws:secretsmanager:${region}:${accountId}:secret:${name}`,
};

/** Fills in what CloudFormation would, as far as policies and environments need it: names are logical IDs. */
export function resolver({ templates }: Pick<Synthesis, 'templates'>): (value: unknown) => unknown {
  const documents = Object.values(templates).map((template) => template.toJSON() as Document);
  const resources = Object.assign({}, ...documents.map((one) => one.Resources)) as Document['Resources'];
  const exported = new Map(
    documents.flatMap((one) =>
      Object.values(one.Outputs ?? {}).map(
        ({ Export, Value }) => [JSON.stringify(Export?.Name), Value] as const,
      ),
    ),
  );

  const resolve = (value: Json): Json => {
    if (value === null || typeof value !== 'object') return value;
    if (Array.isArray(value)) return (value as readonly Json[]).map(resolve);
    const [entry, ...more] = Object.entries(value);
    if (entry && more.length === 0) {
      const [name, of] = entry;
      if (name === 'Ref' && typeof of === 'string') return reference(of);
      if (name === 'Fn::GetAtt') return attribute(of as readonly [string, string]);
      if (name === 'Fn::ImportValue') return resolve(exported.get(JSON.stringify(of)) ?? missing(of));
      if (name === 'Fn::Join') {
        const [separator, parts] = of as readonly [string, readonly Json[]];
        return parts.map((part) => resolve(part) as string).join(separator);
      }
    }
    return Object.fromEntries(Object.entries(value).map(([name, of]) => [name, resolve(of)]));
  };
  const pseudo: Readonly<Record<string, string>> = {
    'AWS::Partition': 'aws',
    'AWS::AccountId': accountId,
    'AWS::Region': region,
    'AWS::URLSuffix': 'amazonaws.com',
  };
  const reference = (name: string): string => {
    if (resources[name]?.Type === 'AWS::SecretsManager::Secret') return attribute([name, 'Arn']);
    return pseudo[name] ?? name;
  };
  const attribute = ([name, property]: readonly [string, string]): string =>
    (property === 'Arn' ? arns[resources[name]?.Type ?? '']?.(name) : undefined) ?? `${name}.${property}`;
  const missing = (what: unknown): never => {
    throw new Error(`nothing exports ${JSON.stringify(what)}`);
  };
  return (value) => resolve(value as Json);
}
