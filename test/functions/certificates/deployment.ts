import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { KMSClient } from '@aws-sdk/client-kms';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { kmsSigner } from '../../../core/certificate/certificate-signer.ts';
import {
  type ServerCertificates,
  serverCertificates,
} from '../../../core/certificate/server-certificates.ts';
import { type Trust, TrustRepository } from '../../../core/certificate/trust-repository.ts';
import { documentClient } from '../../../core/tenant/tenant-access.ts';
import type { Change, Dependencies } from '../../../functions/certificates/deps.ts';
import { type Roots, rootsSecret } from '../../../functions/certificates/roots.ts';
import { SecretRepository } from '../../../functions/certificates/secret-repository.ts';
import { startAwsEndpoint } from '../../../local/aws/endpoint.ts';

/** A deployment that has no certificates yet: its empty secrets, its directory table, its CA key. */
export type Deployment = {
  readonly deps: Dependencies;
  /** What was reported so far. */
  readonly changes: Change[];
  readonly roots: () => Promise<Roots>;
  readonly served: () => Promise<ServerCertificates>;
  readonly trust: () => Promise<Trust>;
};

export type Account = {
  readonly deployment: (overrides?: Partial<Dependencies>) => Deployment;
  readonly close: () => Promise<void>;
};

const [region, accountId] = ['eu-central-1', '000000000000'];
const arn = (service: string, rest: string) => `arn:aws:${service}:${region}:${accountId}:${rest}`;

/** An AWS endpoint of our own with room for some deployments: Secrets Manager, KMS and DynamoDB, in a directory of its own. */
export async function startAccount(room = 40): Promise<Account> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'cattery-certificates-'));
  const indexes = Array.from({ length: room }, (_, at) => at);
  const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const endpoint = await startAwsEndpoint({
    dataDir,
    region,
    accountId,
    policies: { rolePolicies: () => undefined, resourcePolicy: () => undefined },
    tables: indexes.map((at) => ({
      name: `directory-${at}`,
      keySchema: [
        { attributeName: 'pk', keyType: 'HASH' },
        { attributeName: 'sk', keyType: 'RANGE' },
      ],
      attributeDefinitions: [
        { attributeName: 'pk', attributeType: 'S' },
        { attributeName: 'sk', attributeType: 'S' },
      ],
    })),
    buckets: [],
    keys: [{ keyId: 'ca', arn: arn('kms', 'key/ca'), keySpec: 'ECC_NIST_P256', usage: 'SIGN_VERIFY' }],
    secrets: indexes.flatMap((at) =>
      ['roots', 'tunnel'].map((name) => ({
        name: `${name}-${at}`,
        arn: arn('secretsmanager', `secret:${name}-${at}-AbCdEf`),
      })),
    ),
    log: silent,
  });
  const options = { region, endpoint: endpoint.url, credentials: endpoint.operator };
  const [dynamo, kms, secrets] = [
    new DynamoDBClient(options),
    new KMSClient(options),
    new SecretsManagerClient(options),
  ];
  const signer = kmsSigner('ca', kms);
  let taken = 0;

  return {
    deployment: (overrides = {}) => {
      const at = taken++;
      const changes: Change[] = [];
      const deps: Dependencies = {
        rootsSecret: new SecretRepository(`roots-${at}`, secrets),
        tunnelSecret: new SecretRepository(`tunnel-${at}`, secrets),
        trust: new TrustRepository(documentClient(dynamo), `directory-${at}`),
        clusterCa: signer,
        accessUrl: 'https://access.example',
        trustDomain: 'cattery.internal',
        now: Date.now,
        random: randomBytes,
        report: (change) => changes.push(change),
        ...overrides,
      };
      const text = async (secret: Dependencies['rootsSecret']) => (await secret.read())?.text ?? '';
      return {
        deps,
        changes,
        roots: async () => rootsSecret.parse(JSON.parse(await text(deps.rootsSecret))),
        served: async () => serverCertificates.parse(JSON.parse(await text(deps.tunnelSecret))),
        trust: async () => {
          const found = await deps.trust.read();
          if (!found) throw new Error('no trust was published');
          return found;
        },
      };
    },
    close: async () => {
      for (const client of [dynamo, kms, secrets]) client.destroy();
      await endpoint.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}
