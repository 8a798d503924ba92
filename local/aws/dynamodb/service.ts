import { mkdir } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { jsonAnswer, jsonFailure, jsonInput, jsonOperation } from '../aws-call.ts';
import type { Answer, AwsCall, AwsService } from '../aws-call.ts';
import { AwsError, notServed } from '../aws-error.ts';
import { accessDeniedException } from '../iam/authoriser.ts';
import type { Access, Authoriser } from '../iam/authoriser.ts';
import type { EndpointLog, TableSpec } from '../specs.ts';
import { accessesOf } from './access.ts';
import { engineOperations, TableEngine } from './engine.ts';
import type { EngineOperation } from './engine.ts';
import { deleteExpired } from './expiry.ts';
import { provideTables } from './tables.ts';

export type DynamodbOptions = {
  dataDir: string;
  tables: readonly TableSpec[];
  authoriser: Authoriser;
  accountId: string;
  region: string;
  log: EndpointLog;
  now: () => number;
};

const failure = jsonFailure('1.0', 'com.amazonaws.dynamodb.v20120810');
const isEngineOperation = (name: string): name is EngineOperation =>
  (engineOperations as readonly string[]).includes(name);

/** DynamoDB for the template's tables. Transactions and PartiQL are judged by the policies and then not served. */
export async function dynamodbService(
  options: DynamodbOptions,
): Promise<AwsService & { deleteExpired(): Promise<number>; close(): Promise<void> }> {
  const { authoriser, accountId, region, tables, now, log } = options;
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const engine = await TableEngine.open(options.dataDir, accountId, region);
  try {
    await provideTables(engine, tables, log);
  } catch (error) {
    await engine.close();
    throw error;
  }
  const arn = (name: string): string => `arn:aws:dynamodb:${region}:${accountId}:table/${name}`;
  const lookup = { table: (name: string) => engine.table(name), arn };
  let sweeping: Promise<number> | undefined;
  let closed = false;

  async function handle(call: AwsCall): Promise<Answer> {
    const operation = jsonOperation(call);
    const input = byName(jsonInput(call));
    const require = (accesses: Access[]) => authoriser.require(call.caller, accesses, accessDeniedException);
    if (isEngineOperation(operation)) {
      const data = engine.validate(operation, input);
      await require(accessesOf(operation, data, lookup));
      return answer(
        await engine.run(operation, data, input.ReturnValuesOnConditionCheckFailure === 'ALL_OLD'),
      );
    }
    if (operation === 'DescribeTimeToLive') {
      const name = typeof input.TableName === 'string' ? input.TableName : '';
      await require([{ action: 'dynamodb:DescribeTimeToLive', resource: arn(name) }]);
      const table = tables.find((one) => one.name === name);
      if (!table)
        throw new AwsError(
          'ResourceNotFoundException',
          `Requested resource not found: Table: ${name} not found`,
        );
      return answer({
        TimeToLiveDescription:
          table.ttlAttribute === undefined
            ? { TimeToLiveStatus: 'DISABLED' }
            : { TimeToLiveStatus: 'ENABLED', AttributeName: table.ttlAttribute },
      });
    }
    if (operation === 'ExecuteStatement') await require([partiql(input, arn)]);
    throw notServed('dynamodb', operation);
  }

  return {
    handle,
    failure: (error) => withChecksum(failure(error)),
    deleteExpired() {
      if (closed) return Promise.resolve(0);
      sweeping ??= deleteExpired(engine, tables, now()).finally(() => {
        sweeping = undefined;
      });
      return sweeping;
    },
    async close() {
      closed = true;
      await sweeping?.catch(() => undefined);
      await engine.close();
    },
  };
}

const answer = (value: unknown): Answer => withChecksum(jsonAnswer('1.0', value));

/** DynamoDB sends the CRC-32 of its answers, and SDKs check it. */
function withChecksum(given: Answer): Answer {
  return { ...given, headers: { ...given.headers, 'x-amz-crc32': crc32(given.body ?? '') } };
}

/** A table may be named by its ARN; the engine knows names only. */
function byName(input: Record<string, unknown>): Record<string, unknown> {
  const short = (name: string): string =>
    /^arn:aws:dynamodb:[^:]*:\d{12}:table\/([\w.-]+)$/.exec(name)?.[1] ?? name;
  const { TableName: table, RequestItems: items } = input;
  return {
    ...input,
    ...(typeof table === 'string' ? { TableName: short(table) } : {}),
    ...(typeof items === 'object' && items !== null
      ? {
          RequestItems: Object.fromEntries(
            Object.entries(items).map(([name, value]) => [short(name), value as unknown]),
          ),
        }
      : {}),
  };
}

/** PartiQL is judged by verb and table. Which keys it names is not read: with no leading key, a guarded policy denies it. */
function partiql(input: Record<string, unknown>, arn: (name: string) => string): Access {
  const statement = typeof input.Statement === 'string' ? input.Statement : '';
  const verb = /^\s*(select|insert|update|delete)\b/i.exec(statement)?.[1]?.toLowerCase();
  const table = /\b(?:from|into|update)\s+"?([\w.-]+)"?/i.exec(statement)?.[1];
  if (!verb || !table)
    throw new AwsError('ValidationException', "Statement wasn't well formed, can't be processed");
  return { action: `dynamodb:PartiQL${verb.charAt(0).toUpperCase()}${verb.slice(1)}`, resource: arn(table) };
}
