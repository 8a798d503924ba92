/** What the endpoint serves, as plain data that a template reader takes from the synthesised template. */

export type KeyElement = { attributeName: string; keyType: 'HASH' | 'RANGE' };

export type IndexSpec = {
  indexName: string;
  keySchema: KeyElement[];
  projection: { projectionType: 'ALL' | 'KEYS_ONLY' | 'INCLUDE'; nonKeyAttributes?: string[] };
};

export type TableSpec = {
  name: string;
  keySchema: KeyElement[];
  attributeDefinitions: { attributeName: string; attributeType: 'S' | 'N' | 'B' }[];
  globalSecondaryIndexes?: IndexSpec[];
  /** The attribute that holds the expiry time in epoch seconds; absent: items do not expire. */
  ttlAttribute?: string;
};

export type BucketSpec = {
  name: string;
  versioned?: boolean;
  /** EventBridge is told of its objects. */
  announces?: boolean;
};

export type KeySpec = {
  /** The key's id, as in the last part of its ARN. */
  keyId: string;
  arn: string;
  keySpec: 'ECC_NIST_P256' | 'HMAC_256';
  usage: 'SIGN_VERIFY' | 'GENERATE_VERIFY_MAC';
  /** Names such as `alias/ca`. */
  aliases?: string[];
  description?: string;
};

export type SecretSpec = {
  name: string;
  arn: string;
  description?: string;
  /** True where the template has GenerateSecretString: a random first value, made once. Otherwise the secret has no value yet. */
  generated?: boolean;
};

/** What the endpoint tells its owner about; pino's shape. Never a secret, a token or an item. */
export type EndpointLog = {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
};
