import { describe, expect, test } from '@jest/globals';
import { accessesOf } from '../../../../local/aws/dynamodb/access.ts';
import type { StoredTable } from '../../../../local/aws/dynamodb/engine-types.ts';

const stored = {
  KeySchema: [
    { AttributeName: 'pk', KeyType: 'HASH' },
    { AttributeName: 'sk', KeyType: 'RANGE' },
  ],
} as StoredTable;
const tables = { table: () => stored, arn: (name: string) => `arn:${name}` };
const contextOf = (data: Record<string, unknown>) => {
  const call = { TableName: 'T', Key: { pk: { S: 'CREDENTIAL#0' }, sk: { S: 'IDENTITY' } }, ...data };
  return accessesOf('UpdateItem', call, tables)[0]?.context;
};

describe('an update tells IAM', () => {
  test.each([
    [{}, []],
    [{ UpdateExpression: 'SET lastUsedDay = :day' }, ['lastUsedDay']],
    [
      {
        UpdateExpression: 'SET #a = if_not_exists(#b, :zero) + :one, plain=:x REMOVE gone ADD #c.#member :n',
        ConditionExpression:
          'attribute_exists(pk) AND (NOT #d BETWEEN :low AND :high OR list[0] IN (:y)) and size (named) > :n',
        ExpressionAttributeNames: {
          '#a': 'first',
          '#b': 'second',
          '#c': 'map',
          '#d': 'and',
          '#member': 'inner',
        },
      },
      ['and', 'first', 'gone', 'list', 'map', 'named', 'plain', 'second'],
    ],
    [{ AttributeUpdates: { old: {} }, Expected: { style: {} } }, ['old', 'style']],
  ])('of %j, which attributes it names beside its key’s', (data, named) => {
    expect(contextOf(data)).toEqual({
      'dynamodb:LeadingKeys': ['CREDENTIAL#0'],
      'dynamodb:Attributes': [...named, 'pk', 'sk'].sort(),
    });
  });

  test('what it wants back', () => {
    expect(contextOf({ ReturnValues: 'ALL_OLD' })).toMatchObject({ 'dynamodb:ReturnValues': 'ALL_OLD' });
  });
});
