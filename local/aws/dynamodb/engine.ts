import { createRequire } from 'node:module';
import db from 'dynalite/db/index.js';
import validations from 'dynalite/validations/index.js';
import { AwsError } from '../aws-error.ts';
import { atomicStore } from './atomic-store.ts';
import type { Done, EngineError, Item, Store, StoredTable } from './engine-types.ts';

/** The operations of dynalite that the laptop stack serves. Tables come from the template, so none creates or changes a table. */
export const engineOperations = [
  'BatchGetItem',
  'BatchWriteItem',
  'DeleteItem',
  'DescribeTable',
  'GetItem',
  'ListTables',
  'PutItem',
  'Query',
  'Scan',
  'UpdateItem',
] as const;
export type EngineOperation = (typeof engineOperations)[number];

type Action = (store: Store, data: object, done: Done<Record<string, unknown>>) => void;
type Validation = { types: unknown; custom: unknown };

const require = createRequire(import.meta.url);
const load = (name: string): { action: Action; validation: Validation } => {
  const file = `${name.charAt(0).toLowerCase()}${name.slice(1)}.js`;
  return {
    action: require(`dynalite/actions/${file}`) as Action,
    validation: require(`dynalite/validations/${file}`) as Validation,
  };
};
const createTable = load('CreateTable').action;
const operations = new Map(engineOperations.map((name) => [name, load(name)]));

/** DynamoDB's data plane: dynalite called in-process on a LevelDB directory. */
export class TableEngine {
  private readonly store: Store;
  private readonly tables = new Map<string, StoredTable>();

  private constructor(store: Store) {
    this.store = store;
  }

  /** Opens (or makes) the directory. Throws DATA_DIR_IN_USE while another process has it open; a killed one's lock is void. */
  static async open(dataDir: string, accountId: string, region: string): Promise<TableEngine> {
    const store = db.create({ path: dataDir, createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });
    try {
      await store.db.open();
    } catch (error) {
      if (isLocked(error)) throw new DataDirInUse(dataDir);
      throw error;
    }
    store.tableDb.awsAccountId = accountId;
    store.tableDb.awsRegion = region;
    return new TableEngine(store);
  }

  /** The stored table, also while the engine calls it CREATING; undefined when there is none. */
  async storedTable(name: string): Promise<StoredTable | undefined> {
    return promised<StoredTable>((done) => this.store.getTable(name, false, done)).catch((error: unknown) => {
      if (isEngineError(error) && error.body.__type.endsWith('#ResourceNotFoundException')) return undefined;
      throw error;
    });
  }

  async createTable(definition: object & { TableName: string }): Promise<StoredTable> {
    // The engine turns the table ACTIVE in a timer of its own; `activate` writes the same, at once and awaited.
    await promised((done) => createTable(this.store, definition, done));
    const stored = await this.storedTable(definition.TableName);
    if (!stored) throw new Error(`The engine did not keep the table ${definition.TableName}.`);
    return stored;
  }

  /** Makes a table usable: also one that a killed process left CREATING. */
  async activate(table: StoredTable): Promise<void> {
    const active = {
      ...table,
      TableStatus: 'ACTIVE',
      ...(table.GlobalSecondaryIndexes
        ? {
            GlobalSecondaryIndexes: table.GlobalSecondaryIndexes.map((index) => ({
              ...index,
              IndexStatus: 'ACTIVE',
            })),
          }
        : {}),
    };
    await promised((done) => this.store.tableDb.put(table.TableName, active, done));
    this.tables.set(table.TableName, active);
  }

  table(name: string): StoredTable | undefined {
    return this.tables.get(name);
  }

  /** The input checked by DynamoDB's rules, its expressions parsed (`KeyConditions`). Throws SerializationException or ValidationException. */
  validate(operation: EngineOperation, input: Record<string, unknown>): Record<string, unknown> {
    const { validation } = this.operation(operation);
    try {
      const data = validations.checkTypes({ ...input }, validation.types);
      validations.checkValidations(data, validation.types, validation.custom, this.store);
      return data;
    } catch (error) {
      throw told(error);
    }
  }

  /** Runs what `validate` returned. `returnFailed`: a failed condition carries the item that it met. */
  async run(
    operation: EngineOperation,
    data: Record<string, unknown>,
    returnFailed = false,
  ): Promise<Record<string, unknown>> {
    const view = atomicStore(this.store, this.tables);
    try {
      return await promised((done) => this.operation(operation).action(view.store, data, done));
    } catch (error) {
      const failure = told(error);
      const item = view.found();
      if (
        returnFailed &&
        item &&
        failure instanceof AwsError &&
        failure.code === 'ConditionalCheckFailedException'
      ) {
        throw new AwsError(failure.code, failure.message, failure.status, { members: { Item: item } });
      }
      throw failure;
    }
  }

  /** Every item of a table, in the engine's order. */
  items(table: string): AsyncIterable<Item> {
    return this.store.getItemDb(table).createValueStream();
  }

  async close(): Promise<void> {
    await promised((done) => this.store.db.close(done));
  }

  private operation(name: EngineOperation): { action: Action; validation: Validation } {
    const found = operations.get(name);
    if (!found) throw new Error(`No engine operation ${name}`);
    return found;
  }
}

export class DataDirInUse extends Error {
  readonly code = 'DATA_DIR_IN_USE';
  constructor(dataDir: string) {
    super(
      `Another process is using ${dataDir}. Stop the other laptop stack, or give this one a data directory of its own.`,
    );
    this.name = 'DataDirInUse';
  }
}

/** The native part of LevelDB makes its errors outside of the caller's realm: `instanceof` does not hold for them. */
const isLocked = (error: unknown): boolean =>
  (error as { cause?: { code?: unknown } } | undefined)?.cause?.code === 'LEVEL_LOCKED';

const promised = <T>(start: (done: Done<T>) => void): Promise<T> =>
  new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(value as T)));
  });

const isEngineError = (error: unknown): error is EngineError =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number' && 'body' in error;

function told(error: unknown): unknown {
  if (!isEngineError(error)) return error;
  const { __type: type, message, Message } = error.body;
  return new AwsError(type.slice(type.indexOf('#') + 1), message ?? Message ?? '', error.statusCode);
}
