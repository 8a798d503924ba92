import { type DynamoDBDocumentClient, GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';

/** Public half of our own certificates; written by functions/certificates, read by whoever tells clients whom to trust. */
export type Trust = {
  /** `management-cluster.crt`: the name hint first, then the roots, PEM (design.md 8). */
  readonly trustBundle: string;
  /** The roots alone, PEM: what verifies the log endpoint and, without ACM, the access host. */
  readonly roots: string;
  /** The DNS name of the hint, which Guardian sends as SNI and verifies. */
  readonly hintName: string;
  /** The certificate of the key that signs the clusters' certificates, PEM. */
  readonly clusterCa: string;
};

/** Partition of the directory table that holds it; policies name it in `dynamodb:LeadingKeys`. */
export const trustPartition = 'TRUST';

/** Costs: `read` half a read unit per 4 KB (eventually consistent), `write` one write unit per KB. */
export class TrustRepository {
  readonly #dynamo: DynamoDBDocumentClient;
  readonly #table: string;

  constructor(dynamo: DynamoDBDocumentClient, directoryTable: string) {
    this.#dynamo = dynamo;
    this.#table = directoryTable;
  }

  /** Undefined until functions/certificates has run once. */
  async read(): Promise<Trust | undefined> {
    const { Item } = await this.#dynamo.send(
      new GetCommand({ TableName: this.#table, Key: { pk: trustPartition, sk: 'BUNDLE' } }),
    );
    if (!Item) return undefined;
    const { trustBundle, roots, hintName, clusterCa } = Item as Trust;
    return { trustBundle, roots, hintName, clusterCa };
  }

  async write(trust: Trust): Promise<void> {
    await this.#dynamo.send(
      new PutCommand({ TableName: this.#table, Item: { pk: trustPartition, sk: 'BUNDLE', ...trust } }),
    );
  }
}
