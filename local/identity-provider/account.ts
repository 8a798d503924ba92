import * as z from 'zod';

/** An e-mail address as this issuer tells it: trimmed, lower case, so that one person is one subject. */
export const address = z.string().trim().toLowerCase().max(254).pipe(z.email());

/** The address is the subject, so that a sign-in by browser and a token made by the command line are one user. */
export const claimsOf = (email: string) => ({ sub: email, email, email_verified: true });
