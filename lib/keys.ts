import { RemovalPolicy, Validations } from 'aws-cdk-lib';
import { type IRole, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { Key, KeySpec, KeyUsage } from 'aws-cdk-lib/aws-kms';
import { CfnSecret, Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { Construct } from 'constructs';

/** The KMS keys: they never leave KMS, and outlive every stack. */
export class Keys extends Construct {
  readonly #ca: Key;
  readonly #token: Key;
  readonly #bundle: Key;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    // Multi-Region cannot be chosen later: clusters trust what this key signed, wherever the deployment moves.
    this.#ca = new Key(this, 'Ca', {
      description: 'Cattery: signs the certificates of the clusters',
      keySpec: KeySpec.ECC_NIST_P256,
      keyUsage: KeyUsage.SIGN_VERIFY,
      multiRegion: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.#token = new Key(this, 'Token', {
      description: 'Cattery: derives the tokens of the clusters',
      keySpec: KeySpec.HMAC_256,
      keyUsage: KeyUsage.GENERATE_VERIFY_MAC,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    // Not the CA's: who may sign verdicts must not be able to sign a certificate. Multi-Region as that one: webhooks in
    // clusters know its public key, wherever the deployment moves.
    this.#bundle = new Key(this, 'Bundle', {
      description: 'Cattery: signs the bundles of verdicts that webhooks in clusters admit by',
      keySpec: KeySpec.ECC_NIST_P256,
      keyUsage: KeyUsage.SIGN_VERIFY,
      multiRegion: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }

  /** Lets a role sign certificates. */
  grantSign(role: IRole): { CA_KEY_ID: string } {
    role.addToPrincipalPolicy(
      new PolicyStatement({ actions: ['kms:Sign', 'kms:GetPublicKey'], resources: [this.#ca.keyArn] }),
    );
    return { CA_KEY_ID: this.#ca.keyId };
  }

  /** Lets a role sign bundles of verdicts. */
  grantSignBundles(role: IRole): { BUNDLE_KEY_ID: string } {
    role.addToPrincipalPolicy(
      new PolicyStatement({ actions: ['kms:Sign'], resources: [this.#bundle.keyArn] }),
    );
    return this.grantShowBundleKey(role);
  }

  /** Lets a role tell who verifies bundles which key signs them. */
  grantShowBundleKey(role: IRole): { BUNDLE_KEY_ID: string } {
    role.addToPrincipalPolicy(
      new PolicyStatement({ actions: ['kms:GetPublicKey'], resources: [this.#bundle.keyArn] }),
    );
    return { BUNDLE_KEY_ID: this.#bundle.keyId };
  }

  /** Lets a role derive cluster tokens. */
  grantDerive(role: IRole): { TOKEN_KEY_ID: string } {
    role.addToPrincipalPolicy(
      new PolicyStatement({ actions: ['kms:GenerateMac'], resources: [this.#token.keyArn] }),
    );
    return { TOKEN_KEY_ID: this.#token.keyId };
  }
}

/** The secrets with our own certificates' keys (design.md 8): born empty, filled and rotated by functions/certificates. */
export class Secrets extends Construct {
  readonly #roots = new CertificateSecret(this, 'Roots', 'ROOTS_SECRET_ID', 'Cattery: roots and name hint');
  readonly #tunnel = new CertificateSecret(
    this,
    'Tunnel',
    'TUNNEL_SECRET_ID',
    'Cattery: server certificates',
  );

  /** Lets functions/certificates read and replace both. */
  grantMake(role: IRole): { ROOTS_SECRET_ID: string; TUNNEL_SECRET_ID: string } {
    const actions = ['GetSecretValue', 'PutSecretValue'] as const;
    return { ...this.#roots.grant(role, actions), ...this.#tunnel.grant(role, actions) };
  }

  /** Lets the tunnel server read its own, and nobody else's. */
  grantServe(role: IRole): { TUNNEL_SECRET_ID: string } {
    return this.#tunnel.grant(role, ['GetSecretValue']);
  }
}

class CertificateSecret<V extends string> extends Construct {
  readonly #secret: Secret;
  readonly #variable: V;

  constructor(scope: Construct, id: string, variable: V, description: string) {
    super(scope, id);
    this.#variable = variable;
    this.#secret = new Secret(this, 'Secret', { description, removalPolicy: RemovalPolicy.RETAIN });
    // The construct would put a random password there; an absent value is what `not made yet` looks like.
    const { defaultChild } = this.#secret.node;
    if (defaultChild instanceof CfnSecret) defaultChild.generateSecretString = undefined;
    Validations.of(this.#secret).acknowledge({
      id: 'AwsSolutions-SMG4',
      reason:
        'Rotated by the certificates function, which runs every 12 hours and keeps roots and leaves consistent.',
    });
  }

  grant(role: IRole, actions: readonly ('GetSecretValue' | 'PutSecretValue')[]): Record<V, string> {
    role.addToPrincipalPolicy(
      new PolicyStatement({
        actions: actions.map((action) => `secretsmanager:${action}`),
        resources: [this.#secret.secretArn],
      }),
    );
    return { [this.#variable]: this.#secret.secretArn } as Record<V, string>;
  }
}
