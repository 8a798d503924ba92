import type { ImageException } from './exception-schema.ts';
import { namesToExcuse } from './finding-names.ts';
import { ImageGlob } from './image-glob.ts';
import type { ImageIdentity } from './image-identity.ts';
import type { JudgedFinding } from './image-schema.ts';
import { packageKey, partsOf } from './package-url.ts';

/** An exception as it is asked for each finding. */
type Entry = {
  readonly exceptionId: string;
  /** Epoch milliseconds: from then on it counts nothing. */
  readonly until: number;
  readonly isOf: (image: ImageIdentity) => boolean;
  /** Undefined: any package. */
  readonly package: string | undefined;
};

export type Excepted = Pick<Entry, 'exceptionId' | 'until'>;

/** A tenant's exceptions by what they are about: a finding looks at those of its vulnerability and package alone. */
export class ExceptionIndex {
  readonly #byVulnerability = new Map<string, Entry[]>();
  /** Those that name no vulnerability. */
  readonly #byPackage = new Map<string, Entry[]>();
  /** Else findings need not be asked for theirs. */
  readonly #hasPackages: boolean;

  constructor(exceptions: readonly ImageException[]) {
    this.#hasPackages = exceptions.some((each) => each.package !== undefined);
    for (const each of exceptions) {
      const entry: Entry = {
        exceptionId: each.exceptionId,
        until: Date.parse(each.expiresAt),
        isOf: scopeOf(each.scope),
        package: each.package === undefined ? undefined : packageName(each.package),
      };
      if (each.vulnerability !== undefined)
        add(this.#byVulnerability, each.vulnerability.toUpperCase(), entry);
      else if (entry.package !== undefined) add(this.#byPackage, entry.package, entry);
    }
  }

  /**
   * Asks for the findings of one image: the exception that holds longest, expired ones too. An exception has no
   * beginning, so until that one's end the finding is excepted without a gap.
   */
  of(image: ImageIdentity): (finding: JudgedFinding) => Excepted | undefined {
    if (this.#byVulnerability.size + this.#byPackage.size === 0) return () => undefined;
    const scoped = new Map<Entry, boolean>();
    const isOfImage = (entry: Entry): boolean => {
      const isOf = scoped.get(entry) ?? entry.isOf(image);
      scoped.set(entry, isOf);
      return isOf;
    };
    const packageUrls = new Map<string, string>();
    const packagesOf = ({ package: name, purl }: JudgedFinding): readonly string[] => {
      if (!this.#hasPackages) return [];
      if (purl === undefined) return [name.toLowerCase()];
      const known = packageUrls.get(purl) ?? packageName(purl);
      packageUrls.set(purl, known);
      return [name.toLowerCase(), known];
    };
    return (finding) => {
      const packages = packagesOf(finding);
      let longest: Entry | undefined;
      const consider = (entries: readonly Entry[] | undefined) => {
        for (const entry of entries ?? []) {
          if (entry.package !== undefined && !packages.includes(entry.package)) continue;
          if (isOfImage(entry)) longest = longer(longest, entry);
        }
      };
      for (const name of namesToExcuse(finding)) consider(this.#byVulnerability.get(name));
      for (const name of packages) consider(this.#byPackage.get(name));
      return longest;
    };
  }
}

const longer = (longest: Entry | undefined, each: Entry): Entry =>
  longest === undefined ||
  each.until > longest.until ||
  (each.until === longest.until && each.exceptionId < longest.exceptionId)
    ? each
    : longest;

function scopeOf(scope: ImageException['scope']): Entry['isOf'] {
  if (scope === 'any') return () => true;
  if ('image' in scope) return ({ digests }) => digests.has(scope.image);
  const glob = new ImageGlob(scope.repository);
  return ({ repositories }) => [...repositories.keys()].some((path) => glob.matches(path));
}

/** Names and package URLs do not meet: a colon behind `pkg` is in no package's name. */
const packageName = (given: string): string => {
  const parts = given.startsWith('pkg:') ? partsOf(given) : undefined;
  return parts ? `pkg:${packageKey(parts)}` : given.toLowerCase();
};

function add(index: Map<string, Entry[]>, name: string, entry: Entry): void {
  const others = index.get(name);
  if (others) others.push(entry);
  else index.set(name, [entry]);
}
