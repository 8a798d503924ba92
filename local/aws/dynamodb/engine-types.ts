/** dynalite's own shapes, as far as we touch them. */

export type AttributeValue = Record<string, unknown>;
export type Item = Record<string, AttributeValue>;
export type Done<T> = (error: Error | null | undefined, value?: T) => void;

export type StoreOptions = {
  path?: string;
  createTableMs?: number;
  deleteTableMs?: number;
  updateTableMs?: number;
};

export type StoredTable = {
  TableName: string;
  TableStatus: string;
  KeySchema: { AttributeName: string; KeyType: string }[];
  AttributeDefinitions: { AttributeName: string; AttributeType: string }[];
  GlobalSecondaryIndexes?: {
    IndexName: string;
    IndexStatus: string;
    KeySchema: { AttributeName: string; KeyType: string }[];
  }[];
};

/** A part of the one LevelDB, its keys prefixed. */
export type SubDb = {
  get(key: string, done: Done<Item>): void;
  put(key: string, value: unknown, done: Done<void>): void;
  del(key: string, done: Done<void>): void;
  lock: unknown;
  createValueStream(options?: object): AsyncIterable<Item>;
};

export type BatchOperation = { type: 'put'; key: string; value: unknown } | { type: 'del'; key: string };

export type Store = {
  db: {
    open(): Promise<void>;
    close(done: Done<void>): void;
    batch(operations: BatchOperation[], done: Done<void>): void;
  };
  tableDb: SubDb & { awsAccountId: string; awsRegion: string };
  getTable(name: string, checkStatus: boolean, done: Done<StoredTable>): void;
  getItemDb(name: string): SubDb;
  getIndexDb(type: string, table: string, index: string): SubDb;
};

/** What the engine throws or hands to its callbacks when the caller is at fault. */
export type EngineError = Error & {
  statusCode: number;
  body: { __type: string; message?: string; Message?: string } & Record<string, unknown>;
};
