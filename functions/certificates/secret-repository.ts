import { createHash } from 'node:crypto';
import {
  GetSecretValueCommand,
  PutSecretValueCommand,
  ResourceExistsException,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';

export type SecretValue = {
  readonly text: string;
  /** Changes with every new value. */
  readonly version: string;
};

/** One secret of Secrets Manager; its values appear in no error and no log. */
export class SecretRepository {
  readonly #secretId: string;
  readonly #client: SecretsManagerClient;

  constructor(secretId: string, client: SecretsManagerClient = new SecretsManagerClient()) {
    this.#secretId = secretId;
    this.#client = client;
  }

  /** The current value; undefined while the secret is as empty as the deployment made it. */
  async read(): Promise<SecretValue | undefined> {
    try {
      const { SecretString, VersionId } = await this.#client.send(
        new GetSecretValueCommand({ SecretId: this.#secretId }),
      );
      if (SecretString === undefined || VersionId === undefined) throw new Error('the secret holds no text');
      return { text: SecretString, version: VersionId };
    } catch (error) {
      if (error instanceof ResourceNotFoundException) return undefined;
      throw error;
    }
  }

  /**
   * Stores a new value in place of the version that was read (undefined: none); false when another run has replaced
   * that version meanwhile. The new version's ID is derived from the old one's, and Secrets Manager refuses a second
   * value under one ID (PutSecretValue, ClientRequestToken): of racing runs one wins, and a retried call is the same call.
   */
  async replace(previous: string | undefined, text: string): Promise<boolean> {
    try {
      await this.#client.send(
        new PutSecretValueCommand({
          SecretId: this.#secretId,
          SecretString: text,
          ClientRequestToken: createHash('sha256')
            .update(`after ${previous ?? 'nothing'}`)
            .digest('hex'),
        }),
      );
      return true;
    } catch (error) {
      if (error instanceof ResourceExistsException) return false;
      throw error;
    }
  }
}
