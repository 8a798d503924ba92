/** The parts of dynalite 4 that the laptop stack calls in-process; the package ships no types. */

declare module 'dynalite/db/index.js' {
  const db: {
    create(options: import('./engine-types.ts').StoreOptions): import('./engine-types.ts').Store;
    createKey(item: import('./engine-types.ts').Item, table: import('./engine-types.ts').StoredTable): string;
    hashPrefix(hash: string, hashType: string, range?: string, rangeType?: string): string;
  };
  export default db;
}

declare module 'dynalite/validations/index.js' {
  const validations: {
    /** Returns only the members that the operation knows; throws an Error with statusCode and body. */
    checkTypes(data: object, types: unknown): Record<string, unknown>;
    /** Adds the parsed expressions (`KeyConditions`, `_condition`, …) to `data`; throws an Error with statusCode and body. */
    checkValidations(data: object, types: unknown, custom: unknown, store: unknown): void;
  };
  export default validations;
}
