import type { ItemRights } from './tables.ts';

/** What noting an API key's day of use needs (core/credential/key-use.ts): that attribute of a credential, and no other. */
export const notingKeyUse: ItemRights = {
  actions: ['UpdateItem'],
  partitions: ['CREDENTIAL#*'],
  attributes: ['lastUsedDay'],
};
