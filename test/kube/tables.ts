import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { ScanCommand } from '@aws-sdk/lib-dynamodb';
import { documentClient } from '../../core/tenant/tenant-access.ts';
import { readState } from '../../local/stack/state.ts';
import { deploymentOf } from '../stack/people.ts';
import type { Stack } from '../stack/stack.ts';

type Item = Readonly<Record<string, unknown>>;

/** Every item of a running stack's three tables, by `table partition-key sort-key`. */
export type Tables = ReadonlyMap<string, Item>;

const tables = { tenant: 'TENANT_TABLE', identities: 'IDENTITIES_TABLE', directory: 'DIRECTORY_TABLE' };

export async function readTables(stack: Stack): Promise<Tables> {
  const state = await readState(stack.process.data);
  if (!state) throw new Error('The stack does not run.');
  const { environment } = (await deploymentOf(stack)).container;
  const { endpoint, region, credentials } = state.operator;
  const dynamo = new DynamoDBClient({ endpoint, region, credentials });
  const found = new Map<string, Item>();
  try {
    for (const [table, variable] of Object.entries(tables)) {
      let from: Item | undefined;
      do {
        const given = { TableName: environment[variable] ?? '', ...(from && { ExclusiveStartKey: from }) };
        const { Items = [], LastEvaluatedKey } = await documentClient(dynamo).send(new ScanCommand(given));
        for (const item of Items) found.set(`${table} ${String(item.pk)} ${String(item.sk)}`, item);
        from = LastEvaluatedKey;
      } while (from);
    }
  } finally {
    dynamo.destroy();
  }
  return found;
}

/** Which tunnel is up, and what installers told: that comes and goes, whatever is registered. */
const passing = /^directory (?:CLUSTER|TASK)#|^directory REVOCATIONS|PROGRESS/;

/**
 * What became of the tables, in words that are the same for any cluster: items that came and went, each as its key and
 * the names of its members, with identifiers, hashes and the given names left out.
 */
export function tableChanges(before: Tables, after: Tables, ...names: string[]): string[] {
  const told = (sign: string, tables: Tables, others: Tables) =>
    [...tables]
      .filter(([key]) => !others.has(key) && !passing.test(key))
      .map(([key, item]) => `${sign} ${plain(key, names)} {${Object.keys(item).sort().join(' ')}}`);
  return [...told('+', after, before), ...told('-', before, after)].sort();
}

const plain = (key: string, names: readonly string[]): string =>
  names
    .reduce((text, name) => text.replaceAll(name, '<name>'), key)
    .replace(/\bt-[a-z2-7]{20}/g, '<tenant>')
    .replace(/\bc-[a-z2-7]{20}/g, '<cluster>')
    .replace(/(?<=#REGISTRATION_TOKENS )\S+/, '<token>')
    .replace(/[0-9a-f]{64}|[\w-]{43}/g, '<hash>');
