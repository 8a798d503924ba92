import type { Access, Context } from '../iam/authoriser.ts';
import type { EngineOperation } from './engine.ts';
import type { AttributeValue, Item, StoredTable } from './engine-types.ts';

/**
 * What a call wants of which table, for IAM: action, ARN and `dynamodb:LeadingKeys`. Of a batch every member is judged by
 * itself. On an index it is the *index's* partition key that leads. A request that names no partition key (Scan) has no such
 * condition key at all, which is what a `Null` guard catches and a bare `ForAllValues` lets pass. Updates say as well which
 * attributes they name (`dynamodb:Attributes`) and get back (`dynamodb:ReturnValues`).
 */
export function accessesOf(
  operation: EngineOperation,
  data: Record<string, unknown>,
  tables: { table(name: string): StoredTable | undefined; arn(name: string): string },
): Access[] {
  const action = `dynamodb:${operation}`;
  const name = typeof data.TableName === 'string' ? data.TableName : '';
  const one = (
    table: string,
    hash: AttributeValue | undefined,
    index?: string,
    more: Context = {},
  ): Access => {
    const arn = tables.arn(table);
    const leading = hash && keyText(hash);
    return {
      action,
      resource: index === undefined ? arn : `${arn}/index/${index}`,
      policyOf: arn,
      ...(leading === undefined ? {} : { context: { 'dynamodb:LeadingKeys': [leading], ...more } }),
    };
  };
  const hashOf = (table: string, item: unknown, index?: string): AttributeValue | undefined => {
    const attribute = hashAttribute(tables.table(table), index);
    return attribute === undefined ? undefined : (item as Item | undefined)?.[attribute];
  };

  switch (operation) {
    case 'GetItem':
    case 'DeleteItem':
      return [one(name, hashOf(name, data.Key))];
    case 'UpdateItem':
      return [
        one(name, hashOf(name, data.Key), undefined, {
          'dynamodb:Attributes': attributesOfUpdate(data),
          ...(typeof data.ReturnValues === 'string' ? { 'dynamodb:ReturnValues': data.ReturnValues } : {}),
        }),
      ];
    case 'PutItem':
      return [one(name, hashOf(name, data.Item))];
    case 'Query': {
      const index = typeof data.IndexName === 'string' ? data.IndexName : undefined;
      return [one(name, queried(data, hashAttribute(tables.table(name), index)), index)];
    }
    case 'Scan':
      return [one(name, undefined, typeof data.IndexName === 'string' ? data.IndexName : undefined)];
    case 'BatchGetItem':
      return distinct(
        Object.entries(data.RequestItems as Record<string, { Keys: Item[] }>).flatMap(([table, { Keys }]) =>
          Keys.map((key) => one(table, hashOf(table, key))),
        ),
      );
    case 'BatchWriteItem':
      return distinct(
        Object.entries(data.RequestItems as Record<string, BatchMember[]>).flatMap(([table, members]) =>
          members.map((member) =>
            one(table, hashOf(table, member.PutRequest?.Item ?? member.DeleteRequest?.Key)),
          ),
        ),
      );
    case 'DescribeTable':
      return [one(name, undefined)];
    case 'ListTables':
      return [{ action, resource: '*' }];
  }
}

/** The top-level attributes of an update: those of its key, and each that one of its expressions names. */
function attributesOfUpdate(data: Record<string, unknown>): string[] {
  const names = (data.ExpressionAttributeNames ?? {}) as Record<string, string>;
  const expressions = [data.UpdateExpression, data.ConditionExpression].filter(
    (expression): expression is string => typeof expression === 'string',
  );
  const named = expressions.flatMap((expression) =>
    // Not: values (`:v`), members of a map (`.m`), functions, and the words of the language.
    [...expression.matchAll(/(?<![\w:.#])(#\w+|[A-Za-z_]\w*)(?!\w|\s*\()/g)]
      .map(([, word = '']) => word)
      .filter((word) => !/^(?:set|remove|add|delete|and|or|not|in|between)$/i.test(word)),
  );
  const legacy = [data.AttributeUpdates, data.Expected].flatMap((given) => Object.keys(given ?? {}));
  const all = [...Object.keys(data.Key as Item), ...named.map((name) => names[name] ?? name), ...legacy];
  return [...new Set(all)].sort();
}

type BatchMember = { PutRequest?: { Item: Item }; DeleteRequest?: { Key: Item } };

function hashAttribute(table: StoredTable | undefined, index: string | undefined): string | undefined {
  const schema =
    index === undefined
      ? table?.KeySchema
      : table?.GlobalSecondaryIndexes?.find((one) => one.IndexName === index)?.KeySchema;
  return schema?.find((element) => element.KeyType === 'HASH')?.AttributeName;
}

/** The partition that a Query reads; it can only be given by equality. */
function queried(data: Record<string, unknown>, attribute: string | undefined): AttributeValue | undefined {
  if (attribute === undefined) return undefined;
  const conditions = data.KeyConditions as
    Record<string, { ComparisonOperator: string; AttributeValueList?: AttributeValue[] }> | undefined;
  const condition = conditions?.[attribute];
  return condition?.ComparisonOperator === 'EQ' ? condition.AttributeValueList?.[0] : undefined;
}

/** A key attribute is one of S, N and B; B is compared in its base64 text. */
function keyText(value: AttributeValue): string | undefined {
  const text = value.S ?? value.N ?? value.B;
  return typeof text === 'string' ? text : undefined;
}

const distinct = (accesses: Access[]): Access[] => [
  ...new Map(accesses.map((access) => [JSON.stringify(access), access])).values(),
];
