import path from 'node:path';
import * as z from 'zod';
import { Failure, notSignedIn } from '../failure.ts';
import { withFileLock } from '../file-lock.ts';
import { PrivateJson } from '../private-file.ts';
import { configDirectory, type Surroundings } from '../surroundings.ts';
import { Issuer, type Tokens } from './issuer.ts';

const session = z.object({
  /** The deployment that it is for: it is shown to no other. */
  apiUrl: z.string(),
  issuer: z.string(),
  clientId: z.string(),
  subject: z.string(),
  email: z.string().optional(),
  idToken: z.string(),
  refreshToken: z.string().optional(),
  /** Epoch milliseconds: from when a new ID token is fetched, and when this one ends. */
  refreshAt: z.number(),
  expiresAt: z.number(),
});
/** A sign-in, as it lies in the user's own file. */
export type Session = z.infer<typeof session>;

/** A request must not find its token expired on the way. */
const marginMs = 60_000;
/** Of a short life a fifth will do. */
const marginShare = 0.2;

/** A refresh takes two requests of at most 20 s each. */
const lock = { waitMs: 60_000, staleMs: 50_000 };

export const newSession = (
  of: Pick<Session, 'apiUrl' | 'issuer' | 'clientId'>,
  tokens: Tokens,
  now: number,
): Session => ({
  apiUrl: of.apiUrl,
  issuer: of.issuer,
  clientId: of.clientId,
  ...tokens,
  refreshAt: tokens.expiresAt - Math.min(marginMs, Math.max(0, tokens.expiresAt - now) * marginShare),
});

/** This user's one sign-in, on disk. */
export class SessionStore {
  readonly #surroundings: Surroundings;
  readonly #file: PrivateJson<typeof session>;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
    this.#file = new PrivateJson(path.join(configDirectory(surroundings), 'session.json'), session);
  }

  /** The sign-in at a deployment as it lies there, fresh or not. Throws `not signed in`. */
  async find(apiUrl: string): Promise<Session> {
    const found = await this.#file.read();
    if (!found) throw notSignedIn('You are not signed in.');
    if (found.apiUrl !== apiUrl) {
      throw notSignedIn(`You are signed in at ${found.apiUrl}, not at ${apiUrl}.`);
    }
    return found;
  }

  /**
   * The sign-in with an ID token that lasts, fetched by the refresh token when it is due. Issuers take a refresh token
   * once and revoke everything when it comes again, so that of parallel processes one refreshes and the others wait
   * for what it wrote. Throws `not signed in` when the issuer ended it.
   */
  async fresh(apiUrl: string): Promise<Session> {
    const known = await this.find(apiUrl);
    if (this.#lasts(known)) return known;
    return this.#alone(async () => {
      const current = await this.find(apiUrl);
      return this.#lasts(current) ? current : this.#refresh(current);
    });
  }

  write(next: Session): Promise<void> {
    return this.#alone(() => this.#file.write(next));
  }

  /** Forgets the sign-in; what it was, when there was one. */
  remove(): Promise<Session | undefined> {
    return this.#alone(async () => {
      // What cannot be read is forgotten all the same.
      const known = await this.#file.read().catch(() => undefined);
      await this.#file.remove();
      return known;
    });
  }

  async #refresh(current: Session): Promise<Session> {
    const valid = this.#surroundings.now() < current.expiresAt;
    if (current.refreshToken === undefined) {
      if (valid) return current;
      throw notSignedIn('Your sign-in is over, and the issuer gave nothing to renew it with.');
    }
    try {
      const issuer = await Issuer.discover(current);
      const tokens = await issuer.refresh(current.refreshToken);
      if (tokens.subject !== current.subject)
        throw new Failure('refused', 'The issuer answered for somebody else.');
      // An issuer that does not rotate sends none (RFC 6749 §6): the old one stays.
      const next = newSession(
        current,
        { refreshToken: current.refreshToken, ...tokens },
        this.#surroundings.now(),
      );
      await this.#file.write(next);
      return next;
    } catch (error) {
      // What is good for a moment longer is better than nothing.
      if (valid) return current;
      if (error instanceof Failure && error.kind === 'refused') {
        throw notSignedIn(`Your sign-in is over. ${error.message}`);
      }
      throw error;
    }
  }

  #lasts({ refreshAt }: Session): boolean {
    return this.#surroundings.now() < refreshAt;
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    return withFileLock(`${this.#file.file}.lock`, () => this.#surroundings.uninterrupted(work), lock);
  }
}
