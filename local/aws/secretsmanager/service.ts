import { randomUUID } from 'node:crypto';
import { jsonAnswer, jsonFailure, jsonInput, jsonOperation } from '../aws-call.ts';
import type { Answer, AwsCall, AwsService } from '../aws-call.ts';
import { AwsError, notServed } from '../aws-error.ts';
import { accessDeniedException } from '../iam/authoriser.ts';
import type { Authoriser, Context } from '../iam/authoriser.ts';
import type { SecretSpec } from '../specs.ts';
import { SecretStore } from './secret-store.ts';
import type { SecretContent } from './secret-store.ts';

/** Secrets Manager's limit of a value. */
const maxValueBytes = 65_536;
type Input = Record<string, unknown>;

/** Secrets Manager for the template's secrets: read, describe, and put new versions. */
export async function secretsService(options: {
  dataDir: string;
  secrets: readonly SecretSpec[];
  authoriser: Authoriser;
  now: () => number;
}): Promise<AwsService> {
  const { authoriser, secrets } = options;
  const store = await SecretStore.open(options.dataDir, secrets, options.now);

  async function handle(call: AwsCall): Promise<Answer> {
    const operation = jsonOperation(call);
    const run = operations.get(operation);
    if (!run) throw notServed('secretsmanager', operation);
    const input = jsonInput(call);
    const id = optional(input, 'SecretId') ?? '';
    // By name, ARN, or ARN without the six random characters.
    const spec = secrets.find(
      (one) => one.name === id || one.arn === id || one.arn.replace(/-\w{6}$/, '') === id,
    );
    const context: Context = { 'secretsmanager:SecretId': id };
    for (const key of ['VersionId', 'VersionStage']) {
      const value = optional(input, key);
      if (value !== undefined) context[`secretsmanager:${key}`] = value;
    }
    if (!spec)
      throw new AwsError('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
    await authoriser.require(
      call.caller,
      [{ action: `secretsmanager:${operation}`, resource: spec.arn, context }],
      accessDeniedException,
    );
    return jsonAnswer('1.1', { ARN: spec.arn, Name: spec.name, ...(await run(store, spec, input)) });
  }

  return { handle, failure: jsonFailure('1.1') };
}

type Operation = (store: SecretStore, spec: SecretSpec, input: Input) => object | Promise<object>;

const getSecretValue: Operation = (store, spec, input) => {
  const id = optional(input, 'VersionId');
  const stage = optional(input, 'VersionStage') ?? (id === undefined ? 'AWSCURRENT' : undefined);
  const version = store
    .find(spec.arn)
    .versions.find(
      (one) => (id === undefined || one.id === id) && (stage === undefined || one.stages.includes(stage)),
    );
  if (!version) {
    const what = stage === undefined ? `VersionId: ${id ?? ''}` : `staging label: ${stage}`;
    throw new AwsError(
      'ResourceNotFoundException',
      `Secrets Manager can't find the specified secret value for ${what}`,
    );
  }
  return {
    VersionId: version.id,
    VersionStages: version.stages,
    CreatedDate: version.createdAt / 1000,
    SecretString: version.secretString,
    SecretBinary: version.secretBinary,
  };
};

const putSecretValue: Operation = async (store, spec, input) => {
  const id = optional(input, 'ClientRequestToken') ?? randomUUID();
  if (id.length < 32 || id.length > 64)
    throw new AwsError('InvalidParameterException', 'ClientRequestToken must be 32 to 64 characters long.');
  const version = await store.put(spec.arn, contentOf(input), id, stagesOf(input));
  return { VersionId: version.id, VersionStages: version.stages };
};

const describeSecret: Operation = (store, spec) => {
  const secret = store.find(spec.arn);
  const newest = secret.versions[0];
  return {
    Description: spec.description,
    CreatedDate: secret.createdAt / 1000,
    LastChangedDate: (newest?.createdAt ?? secret.createdAt) / 1000,
    VersionIdsToStages: Object.fromEntries(
      secret.versions
        .filter((version) => version.stages.length > 0)
        .map((version) => [version.id, version.stages]),
    ),
  };
};

const operations = new Map<string, Operation>([
  ['GetSecretValue', getSecretValue],
  ['PutSecretValue', putSecretValue],
  ['DescribeSecret', describeSecret],
]);

function contentOf(input: Input): SecretContent {
  const secretString = optional(input, 'SecretString');
  const secretBinary = optional(input, 'SecretBinary');
  if ((secretString === undefined) === (secretBinary === undefined)) {
    throw new AwsError('InvalidRequestException', 'You must provide either SecretString or SecretBinary.');
  }
  const size =
    secretString === undefined
      ? Buffer.from(secretBinary ?? '', 'base64').length
      : Buffer.byteLength(secretString);
  if (size > maxValueBytes)
    throw new AwsError('ValidationException', `The secret value is larger than ${maxValueBytes} bytes.`);
  return secretString === undefined ? { secretBinary } : { secretString };
}

function stagesOf(input: Input): string[] {
  const stages = input.VersionStages ?? ['AWSCURRENT'];
  if (
    !Array.isArray(stages) ||
    stages.length < 1 ||
    stages.length > 20 ||
    !stages.every((one) => typeof one === 'string' && one !== '')
  ) {
    throw new AwsError('InvalidParameterException', 'VersionStages must be 1 to 20 labels.');
  }
  return stages as string[];
}

function optional(input: Input, name: string): string | undefined {
  const value = input[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw new AwsError('InvalidParameterException', `${name} must be a string.`);
  return value;
}
