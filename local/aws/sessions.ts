import { randomBytes, randomInt } from 'node:crypto';

export type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken: string };

/** Who signs a request: a role session, or the operator, whom local scripts act as and who may do everything. */
export type Session = {
  kind: 'role' | 'operator';
  /** `arn:aws:iam::…:role/…`; the operator's own ARN otherwise. */
  roleArn: string;
  /** `arn:aws:sts::…:assumed-role/<role>/<session>`: what the caller's ARN is in policies and messages. */
  principalArn: string;
  /** `AROA…:<session>`: aws:userid. */
  userId: string;
  tags: Readonly<Record<string, string>>;
  /** The session policy given to AssumeRole, which narrows the role's. */
  policy?: unknown;
  /** Epoch milliseconds; undefined: valid as long as the endpoint runs. */
  expiresAt?: number;
};

type Entry = { credentials: Credentials; session: Session };

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const letters = (count: number): string =>
  Array.from({ length: count }, () => alphabet[randomInt(32)]).join('');

/** Expired sessions are still known for this long, so that their callers read "expired" rather than "unknown". */
const rememberExpiredMs = 3_600_000;
const sweepEvery = 256;

/** The sessions that this endpoint has given out, by access key id. In memory: a restart makes all of them unknown. */
export class Sessions {
  private readonly entries = new Map<string, Entry>();
  private readonly now: () => number;
  private untilSweep = sweepEvery;

  constructor(now: () => number) {
    this.now = now;
  }

  /** Starts a session with fresh credentials (or the given ones, for the operator). */
  start(session: Session, credentials: Credentials = newCredentials()): Credentials {
    this.untilSweep -= 1;
    if (this.untilSweep <= 0) this.sweep();
    this.entries.set(credentials.accessKeyId, { credentials, session });
    return credentials;
  }

  find(accessKeyId: string): Entry | undefined {
    return this.entries.get(accessKeyId);
  }

  private sweep(): void {
    this.untilSweep = sweepEvery;
    const limit = this.now() - rememberExpiredMs;
    for (const [id, { session }] of this.entries) {
      if (session.expiresAt !== undefined && session.expiresAt < limit) this.entries.delete(id);
    }
  }
}

/** Of the shape of temporary credentials: `ASIA` and 16 of base32, 40 characters of secret, a token. */
export const newCredentials = (): Credentials => ({
  accessKeyId: `ASIA${letters(16)}`,
  secretAccessKey: randomBytes(30).toString('base64'),
  sessionToken: randomBytes(48).toString('base64url'),
});

/** `RoleSessionName` by AWS's own rule. */
export const isSessionName = (name: string): boolean => /^[\w+=,.@-]{2,64}$/.test(name);

/** A role's name and account from its ARN (paths are allowed and are not part of the session's ARN). */
export function parseRoleArn(roleArn: string): { accountId: string; roleName: string } | undefined {
  const match = /^arn:aws:iam::(\d{12}):role\/(?:[\x21-\x7e]+\/)?([\w+=,.@-]{1,64})$/.exec(roleArn);
  return match?.[1] && match[2] ? { accountId: match[1], roleName: match[2] } : undefined;
}

export function roleSession(
  roleArn: string,
  sessionName: string,
  more: Pick<Session, 'tags' | 'policy' | 'expiresAt'>,
): Session {
  const role = parseRoleArn(roleArn);
  if (!role) throw new Error(`Not the ARN of a role: ${roleArn}`);
  return {
    kind: 'role',
    roleArn,
    principalArn: `arn:aws:sts::${role.accountId}:assumed-role/${role.roleName}/${sessionName}`,
    userId: `AROA${letters(17)}:${sessionName}`,
    ...more,
  };
}
