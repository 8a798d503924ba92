import { Aws, Duration, Fn, RemovalPolicy, Validations } from 'aws-cdk-lib';
import {
  AccountRecovery,
  FeaturePlan,
  Mfa,
  OAuthScope,
  UserPool,
  UserPoolClient,
} from 'aws-cdk-lib/aws-cognito';
import { Construct } from 'constructs';
import { loopbackPorts, loopbackRedirectUri } from '../core/credential/sign-in-schema.ts';
import type { Settings } from './settings.ts';

/** Who signs users in: a Cognito user pool of ours, or the OIDC issuer that the settings name (then nothing is made). */
export class IdentityProvider extends Construct {
  /** Whose ID tokens are taken, and for which audience. */
  readonly environment: { OIDC_ISSUER: string; OIDC_AUDIENCE: string };
  readonly userPool: { readonly userPoolId: string; readonly clientId: string } | undefined;

  constructor(scope: Construct, id: string, settings: Pick<Settings, 'oidcIssuer' | 'oidcAudience'>) {
    super(scope, id);
    if (settings.oidcIssuer && settings.oidcAudience) {
      this.environment = { OIDC_ISSUER: settings.oidcIssuer, OIDC_AUDIENCE: settings.oidcAudience };
      this.userPool = undefined;
      return;
    }
    const pool = userPool(this);
    const domain = pool.addDomain('SignIn', {
      // The prefix is one name for everybody in a region: the last part of the stack's own ID makes it ours.
      cognitoDomain: {
        domainPrefix: `cattery-${Fn.select(4, Fn.split('-', Fn.select(2, Fn.split('/', Aws.STACK_ID))))}`,
      },
    });
    domain.applyRemovalPolicy(RemovalPolicy.RETAIN);
    const client = new UserPoolClient(this, 'Client', {
      userPool: pool,
      // A command line keeps no secret. SRP for programs; the password flow for `aws cognito-idp initiate-auth`.
      generateSecret: false,
      authFlows: { userSrp: true, userPassword: true },
      oAuth: {
        flows: { authorizationCodeGrant: true },
        scopes: [OAuthScope.OPENID, OAuthScope.EMAIL],
        // Cognito compares them whole, port and all; the command line listens on one of them.
        callbackUrls: loopbackPorts.map(loopbackRedirectUri),
      },
      preventUserExistenceErrors: true,
      enableTokenRevocation: true,
      idTokenValidity: Duration.hours(1),
      accessTokenValidity: Duration.hours(1),
      refreshTokenValidity: Duration.days(1),
    });
    client.applyRemovalPolicy(RemovalPolicy.RETAIN);
    this.environment = {
      OIDC_ISSUER: `https://cognito-idp.${Aws.REGION}.${Aws.URL_SUFFIX}/${pool.userPoolId}`,
      OIDC_AUDIENCE: client.userPoolClientId,
    };
    this.userPool = { userPoolId: pool.userPoolId, clientId: client.userPoolClientId };
  }
}

function userPool(scope: Construct): UserPool {
  const pool = new UserPool(scope, 'Users', {
    // An invitation binds to a verified address (design.md), so nobody may bring an address in by himself.
    selfSignUpEnabled: false,
    signInAliases: { email: true },
    signInCaseSensitive: false,
    autoVerify: { email: true },
    keepOriginal: { email: true },
    accountRecovery: AccountRecovery.EMAIL_ONLY,
    mfa: Mfa.OPTIONAL,
    mfaSecondFactor: { otp: true, sms: false },
    passwordPolicy: {
      minLength: 14,
      requireLowercase: true,
      requireUppercase: true,
      requireDigits: true,
      requireSymbols: true,
      tempPasswordValidity: Duration.days(3),
    },
    featurePlan: FeaturePlan.ESSENTIALS,
    deletionProtection: true,
    removalPolicy: RemovalPolicy.RETAIN,
  });
  Validations.of(pool).acknowledge(
    {
      id: 'AwsSolutions-COG2',
      reason:
        'MFA (TOTP) is each user’s choice here; who must require it brings an issuer with -c oidcIssuer.',
    },
    {
      id: 'AwsSolutions-COG8',
      reason:
        'Threat protection comes with the Plus plan, paid per user; accounts are made by administrators only.',
    },
  );
  return pool;
}
