import path from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { S3Client } from '@aws-sdk/client-s3';
import { IdentityRepository } from '../../core/credential/identity-repository.ts';
import type { Role, Scope } from '../../core/credential/scope.ts';
import { newToken } from '../../core/credential/token.ts';
import { documentClient } from '../../core/tenant/tenant-access.ts';
import type { OperatorAccess } from '../../local/stack/operator.ts';
import { readState } from '../../local/stack/state.ts';
import { readAssembly } from '../../local/template/assembly.ts';
import { type Deployment, readDeployment } from '../../local/template/deployment.ts';
import type { Stack } from './stack.ts';

/** What the running stack was made from. */
export const deploymentOf = async (stack: Stack): Promise<Deployment> =>
  readDeployment(await readAssembly(path.join(stack.process.data, 'cdk.out')));

/**
 * The operator's way to the stack's data. The API makes no members and no keys with any scope, so tests leave
 * invitations and keys where the product would: by its own repository. What they lead to is the product's own doing.
 */
export class Operator {
  readonly deployment: Deployment;
  readonly s3: S3Client;
  readonly #dynamo: DynamoDBClient;
  readonly #identities: IdentityRepository;

  private constructor(deployment: Deployment, access: OperatorAccess) {
    this.deployment = deployment;
    const { endpoint, region, credentials } = access;
    this.#dynamo = new DynamoDBClient({ endpoint, region, credentials });
    this.s3 = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
    const table = deployment.container.environment.IDENTITIES_TABLE ?? '';
    this.#identities = new IdentityRepository(documentClient(this.#dynamo), table);
  }

  static async of(stack: Stack): Promise<Operator> {
    const state = await readState(stack.process.data);
    if (!state) throw new Error('The stack does not run.');
    return new Operator(await deploymentOf(stack), state.operator);
  }

  invite(tenantId: string, role: Role, email: string): Promise<boolean> {
    return this.#identities.invite({ email, tenantId, roles: [role], expiresAt: 4_000_000_000 });
  }

  async apiKey(tenantId: string, scopes: readonly Scope[], expiresAt?: number): Promise<string> {
    const { hash, id: tokenId, text } = newToken('api-key');
    await this.#identities.putCredential({
      hash,
      kind: 'api-key',
      tokenId,
      tenantId,
      scopes: scopes.join(' '),
      ...(expiresAt === undefined ? {} : { expiresAt }),
    });
    return text;
  }

  close(): void {
    this.#dynamo.destroy();
    this.s3.destroy();
  }
}

/** An ID token of the stack's own issuer. */
export async function idToken(stack: Stack, email: string): Promise<string> {
  const { code, stdout, stderr } = await stack.local('token', email);
  if (code !== 0) throw new Error(stderr);
  return stdout.trim();
}

/** Invites an address and signs it in for the first time, which binds it. Gives its ID token. */
export async function member(stack: Stack, operator: Operator, role: Role): Promise<string> {
  const email = `${role}@demo.example`;
  if (!(await operator.invite(stack.state.tenantId, role, email))) throw new Error('invited elsewhere');
  const token = await idToken(stack, email);
  const { status } = await stack.api.get('/v1/me', { token });
  if (status !== 200) throw new Error(`the first sign-in of ${email} was answered ${status}`);
  return token;
}
