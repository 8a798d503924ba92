import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { type ServerCertificates, serverCertificates } from '../../core/certificate/server-certificates.ts';

export type CertificatesVersion = {
  /** Changes with the value. */
  readonly versionId: string;
  readonly certificates: ServerCertificates;
};

/** The secret that functions/certificates writes. Costs: `read` one API call. */
export class ServerCertificatesRepository {
  readonly #secrets: SecretsManagerClient;
  readonly #secretId: string;

  constructor(secrets: SecretsManagerClient, secretId: string) {
    this.#secrets = secrets;
    this.#secretId = secretId;
  }

  /** Rejects when it cannot be read or is not what it should be; the error never quotes the value. */
  async read(): Promise<CertificatesVersion> {
    const { SecretString, VersionId } = await this.#secrets.send(
      new GetSecretValueCommand({ SecretId: this.#secretId }),
    );
    let json: unknown;
    try {
      json = JSON.parse(SecretString ?? '');
    } catch {
      throw new Error('the secret with the server certificates is not JSON');
    }
    const parsed = serverCertificates.safeParse(json);
    if (!parsed.success) {
      const places = parsed.error.issues.map(({ path }) => path.join('.')).join(', ');
      throw new Error(`the secret with the server certificates lacks or mistakes: ${places}`);
    }
    return { versionId: VersionId ?? '', certificates: parsed.data };
  }
}
