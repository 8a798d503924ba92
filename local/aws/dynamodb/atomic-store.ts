import db from 'dynalite/db/index.js';
import type { BatchOperation, Item, Store, StoredTable, SubDb } from './engine-types.ts';

/**
 * The engine's store as one call sees it. dynalite writes an item's index entries first and the item after; here they are held
 * back and written with the item in one LevelDB batch, so that a killed process leaves both or neither. It also remembers the
 * item that a write found, which `ReturnValuesOnConditionCheckFailure` wants.
 */
export function atomicStore(
  store: Store,
  tables: ReadonlyMap<string, StoredTable>,
): { store: Store; found: () => Item | undefined } {
  let found: Item | undefined;
  const held: BatchOperation[] = [];

  const itemDb = (name: string): SubDb => {
    const plain = store.getItemDb(name);
    const table = tables.get(name);
    const existing = new Map<string, Item>();
    const commit = (
      operation: BatchOperation,
      item: Item | undefined,
      done: (error?: Error | null) => void,
    ) => {
      const tail = table && item ? rowTail(table, item) : undefined;
      // A batch write runs several items through one store: each takes its own index entries.
      const mine = held.filter(({ key }) => tail !== undefined && key.endsWith(tail));
      for (const write of mine) held.splice(held.indexOf(write), 1);
      store.db.batch([...mine, operation], done);
    };
    return {
      lock: plain.lock,
      createValueStream: (options) => plain.createValueStream(options),
      get: (key, done) =>
        plain.get(key, (error, item) => {
          if (item) existing.set(key, item);
          found = item;
          done(error, item);
        }),
      put: (key, value, done) =>
        commit({ type: 'put', key: `item-${name}~${key}`, value }, value as Item, done),
      del: (key, done) => commit({ type: 'del', key: `item-${name}~${key}` }, existing.get(key), done),
    };
  };

  const indexDb = (type: string, table: string, index: string): SubDb => {
    const plain = store.getIndexDb(type, table, index);
    const prefix = `index-${type.toLowerCase()}~${table}~${index}~`;
    const hold = (operation: BatchOperation, done: (error?: Error | null) => void) => {
      held.push(operation);
      setImmediate(done, null);
    };
    return {
      lock: plain.lock,
      get: (key, done) => plain.get(key, done),
      createValueStream: (options) => plain.createValueStream(options),
      put: (key, value, done) => hold({ type: 'put', key: prefix + key, value }, done),
      del: (key, done) => hold({ type: 'del', key: prefix + key }, done),
    };
  };

  return { store: { ...store, getItemDb: itemDb, getIndexDb: indexDb }, found: () => found };
}

/** How every index entry of an item ends, in dynalite's key format. */
function rowTail(table: StoredTable, item: Item): string {
  const pieces = table.KeySchema.flatMap(({ AttributeName }) => {
    const type =
      table.AttributeDefinitions.find((one) => one.AttributeName === AttributeName)?.AttributeType ?? 'S';
    return [String(item[AttributeName]?.[type]), type];
  });
  const [hash = '', hashType = 'S', range, rangeType] = pieces;
  return db.hashPrefix(hash, hashType, range, rangeType);
}
