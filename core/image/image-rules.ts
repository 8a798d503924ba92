import { ExceptionIndex } from './exception-index.ts';
import type { ImageException, StoredStatement } from './exception-schema.ts';
import { ImageGlob } from './image-glob.ts';
import { type ImageIdentity, identityOf } from './image-identity.ts';
import type { ImagePolicy, RepositoryPolicy } from './image-policy-schema.ts';
import type { JudgedFinding, Suppression } from './image-schema.ts';
import type { JudgedImage } from './scanned-image.ts';
import { StatementIndex } from './statement-index.ts';

/** What verdicts follow, beside the images: all that a tenant has set. */
export type TenantRules = {
  /** +1 with each change of policy, exceptions or statements. */
  readonly revision: number;
  readonly policy: ImagePolicy;
  readonly exceptions: readonly ImageException[];
  readonly statements: readonly StoredStatement[];
};

/** What the policy says at admission about a repository. */
export type AdmissionView = Pick<ImagePolicy, 'mode' | 'unscanned'>;

/** Why a finding does not count, and until when (epoch milliseconds, exclusive; absent: for good). */
export type Held = { readonly suppression: Suppression; readonly until?: number };

/** Whether a finding does not count at a time. */
export const holds = ({ until = Infinity }: Held, now: number): boolean => now < until;

/** A tenant's rules, read once for each revision, asked for each image. */
export type ImageRules = {
  readonly revision: number;
  readonly stored: TenantRules;
  /**
   * The policies of the repositories that the image is known in, each once; that of no repository if it is known in none.
   * The worst verdict of them counts: what is refused in one repository is not let in by copying it into another.
   */
  readonly of: (image: JudgedImage) => readonly RepositoryPolicy[];
  /** Asks for the findings of one image whether they count: the report says so, or a statement, or an exception. */
  readonly holding: (image: JudgedImage) => (finding: JudgedFinding) => Held | undefined;
  /** Asks for the findings of one image whether a statement says that it is affected; no verdict follows from that. */
  readonly affected: (image: JudgedImage) => (finding: JudgedFinding) => boolean;
  /** `<registry>/<repository>`; '': none is known. */
  readonly admission: (path: string) => AdmissionView;
};

/** Compiles a tenant's rules; some 50 ms for 5,000 exceptions and as many statements. */
export function readyRules(stored: TenantRules): ImageRules {
  const { overrides, ...defaults } = stored.policy;
  const repositories = overrides.map(({ repositories: globs, ...members }) => ({
    globs: globs.map((glob) => new ImageGlob(glob)),
    policy: { ...defaults, ...given(members) },
  }));
  const exceptions = new ExceptionIndex(stored.exceptions);
  const statements = new StatementIndex(stored.statements);

  const identities = new WeakMap<JudgedImage, ImageIdentity>();
  const identified = (image: JudgedImage): ImageIdentity => {
    const identity = identities.get(image) ?? identityOf(image);
    identities.set(image, identity);
    return identity;
  };
  const policyOf = (path: string): RepositoryPolicy =>
    repositories.find(({ globs }) => globs.some((glob) => glob.matches(path)))?.policy ?? defaults;
  return {
    revision: stored.revision,
    stored,
    of: (image) => {
      const paths = [...identified(image).repositories.keys()];
      const found = new Set(paths.length === 0 ? [defaults] : paths.map(policyOf));
      // In the policy's order, not in that of the names.
      return [...repositories.map(({ policy }) => policy), defaults].filter((policy) => found.has(policy));
    },
    holding: (image) => {
      const identity = identified(image);
      const [stated, excepted] = [statements.of(identity), exceptions.of(identity)];
      return (finding) => {
        const suppression = finding.suppressed ?? stated(finding);
        if (suppression) return { suppression };
        const exception = excepted(finding);
        return (
          exception && {
            until: exception.until,
            suppression: {
              status: 'excepted',
              exceptionId: exception.exceptionId,
              until: new Date(exception.until).toISOString(),
            },
          }
        );
      };
    },
    affected: (image) => statements.affected(identified(image)),
    admission: (path) => {
      const { mode, unscanned } = policyOf(path);
      return { mode, unscanned };
    },
  };
}

type Optional<T> = { readonly [K in keyof T]?: Exclude<T[K], undefined> };

/** Without members that are undefined, which would replace those of the policy. */
const given = <T extends object>(members: T): Optional<T> =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as Optional<T>;
