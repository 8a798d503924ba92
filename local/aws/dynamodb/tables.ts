import type { EndpointLog, KeyElement, TableSpec } from '../specs.ts';
import type { TableEngine } from './engine.ts';

/** Makes the tables that are missing. Throws TABLE_CHANGED when one on disk has other keys or indexes than the template says. */
export async function provideTables(
  engine: TableEngine,
  specs: readonly TableSpec[],
  log: EndpointLog,
): Promise<void> {
  for (const spec of specs) {
    const wanted = definition(spec);
    const stored = await engine.storedTable(spec.name);
    if (stored) {
      if (shape(stored) !== shape(wanted)) throw new TableChanged(spec.name);
      await engine.activate(stored);
    } else {
      await engine.activate(await engine.createTable(wanted));
      log.info({ table: spec.name }, 'table created');
    }
  }
}

export class TableChanged extends Error {
  readonly code = 'TABLE_CHANGED';
  constructor(table: string) {
    super(
      `The keys or indexes of table ${table} in the template are not those on disk. Remove the data directory to start anew.`,
    );
    this.name = 'TableChanged';
  }
}

type Shaped = {
  KeySchema: unknown;
  AttributeDefinitions: { AttributeName: string; AttributeType: string }[];
  GlobalSecondaryIndexes?: { IndexName: string; KeySchema: unknown }[];
};

const byName = (a: string, b: string): number => (a < b ? -1 : 1);

/** What may not differ between the template and the disk, in one order. */
const shape = (table: Shaped): string =>
  JSON.stringify([
    table.KeySchema,
    table.AttributeDefinitions.map((one) => `${one.AttributeName}:${one.AttributeType}`).sort(byName),
    (table.GlobalSecondaryIndexes ?? [])
      .map((index) =>
        JSON.stringify([index.IndexName, index.KeySchema, (index as { Projection?: unknown }).Projection]),
      )
      .sort(byName),
  ]);

const keys = (schema: readonly KeyElement[]) =>
  schema.map(({ attributeName, keyType }) => ({ AttributeName: attributeName, KeyType: keyType }));

const definition = (spec: TableSpec) => ({
  TableName: spec.name,
  BillingMode: 'PAY_PER_REQUEST',
  KeySchema: keys(spec.keySchema),
  AttributeDefinitions: spec.attributeDefinitions.map((one) => ({
    AttributeName: one.attributeName,
    AttributeType: one.attributeType,
  })),
  ...(spec.globalSecondaryIndexes?.length
    ? {
        GlobalSecondaryIndexes: spec.globalSecondaryIndexes.map((index) => ({
          IndexName: index.indexName,
          KeySchema: keys(index.keySchema),
          Projection: {
            ProjectionType: index.projection.projectionType,
            ...(index.projection.nonKeyAttributes
              ? { NonKeyAttributes: index.projection.nonKeyAttributes }
              : {}),
          },
        })),
      }
    : {}),
});
