import * as z from 'zod';

/** What a program needs to know to sign a user in: nothing of it is secret. */
export const signInFacts = z
  .object({
    issuer: z.url().meta({ description: 'OIDC issuer, exactly as in iss' }),
    clientId: z.string().min(1).meta({ description: "the public client, and the ID tokens' aud" }),
    scopes: z.array(z.string()).meta({ description: 'to ask the issuer for', example: ['openid', 'email'] }),
    accessUrl: z.url().meta({ description: 'where the clusters are reached' }),
  })
  .meta({ id: 'SignIn' });
export type SignInFacts = z.infer<typeof signInFacts>;

/** What an ID token must tell: the subject, and the verified address that an invitation binds to. */
export const signInScopes = ['openid', 'email'] as const;

/**
 * Ports on which a command line waits for the browser to come back. Issuers such as Cognito compare redirect URIs
 * whole, so that each of them must be registered. Below the ports that systems give to outgoing connections.
 */
export const loopbackPorts = [27180, 27181, 27182] as const;

/** `localhost` by name: Cognito takes plain HTTP for no other host. */
export const loopbackRedirectUri = (port: number): string => `http://localhost:${port}/callback`;
