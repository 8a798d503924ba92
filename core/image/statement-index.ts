import { pathOf, readReference } from '../admission/image-reference.ts';
import type { StoredStatement } from './exception-schema.ts';
import { namesToExcuse } from './finding-names.ts';
import type { ImageIdentity } from './image-identity.ts';
import type { JudgedFinding, Suppression } from './image-schema.ts';
import { packageKey, type PackageUrl, partsOf, qualifiersOf } from './package-url.ts';

type Product = StoredStatement['products'][number];

/** What one statement says about one product. */
type Entry = {
  readonly author: string;
  readonly at: number;
  readonly status: StoredStatement['status'];
  readonly suppression: Suppression | undefined;
  readonly isOf: (image: ImageIdentity) => boolean;
  /** Undefined: any package of the image. */
  readonly packages: readonly PackageMatch[] | undefined;
};

/** The package of a finding as its package URL has it; undefined: it has none. */
type FoundPackage = {
  readonly key: string;
  readonly version: string | undefined;
  readonly qualifiers: ReadonlyMap<string, string>;
};
type PackageMatch = (found: FoundPackage, version: string) => boolean;

/**
 * A tenant's VEX statements. Of one author's statements that are about a finding the latest counts: `not_affected` and
 * `fixed` suppress it, `affected` and `under_investigation` lift what the author has said before. What one author says
 * does not lift what another has said.
 */
export class StatementIndex {
  readonly #byVulnerability = new Map<string, Entry[]>();

  constructor(statements: readonly StoredStatement[]) {
    for (const { statement, product } of latestOfEach(statements)) {
      const entry = entryOf(statement, product);
      if (!entry) continue;
      for (const name of namesOf(statement)) {
        const others = this.#byVulnerability.get(name);
        if (others) others.push(entry);
        else this.#byVulnerability.set(name, [entry]);
      }
    }
  }

  /** Asks for the findings of one image why they do not count. */
  of(image: ImageIdentity): (finding: JudgedFinding) => Suppression | undefined {
    const saidOf = this.#latest(image);
    return (finding) => {
      const said = saidOf(finding);
      if (said.length === 0) return undefined;
      const settling = said.filter(({ suppression }) => suppression !== undefined);
      settling.sort((a, b) => b.at - a.at || (a.author < b.author ? -1 : 1));
      return settling[0]?.suppression;
    };
  }

  /** Asks for the findings of one image whether somebody says that it is affected. */
  affected(image: ImageIdentity): (finding: JudgedFinding) => boolean {
    const saidOf = this.#latest(image);
    return (finding) => saidOf(finding).some(({ status }) => status === 'affected');
  }

  /** What each author says of a finding. */
  #latest(image: ImageIdentity): (finding: JudgedFinding) => readonly Entry[] {
    if (this.#byVulnerability.size === 0) return () => nothing;
    const products = new Map<Entry, boolean>();
    const isOfImage = (entry: Entry): boolean => {
      const isOf = products.get(entry) ?? entry.isOf(image);
      products.set(entry, isOf);
      return isOf;
    };
    // Findings share packages, and statements share both.
    const packages = new Map<string, FoundPackage | undefined>();
    const foundIn = (purl: string): FoundPackage | undefined => {
      if (!packages.has(purl)) packages.set(purl, foundPackage(purl));
      return packages.get(purl);
    };
    return (finding) => {
      const said = namesToExcuse(finding).flatMap((name) => this.#byVulnerability.get(name) ?? []);
      if (said.length === 0) return nothing;
      const found = finding.purl === undefined ? undefined : foundIn(finding.purl);
      const ofAuthor = new Map<string, Entry>();
      for (const entry of said) {
        const other = ofAuthor.get(entry.author);
        if (other && !supersedes(entry, other)) continue;
        if (isAbout(entry, found, finding.version) && isOfImage(entry)) ofAuthor.set(entry.author, entry);
      }
      return [...ofAuthor.values()];
    };
  }
}

const nothing: readonly Entry[] = [];

const namesOf = ({ vulnerability, aliases }: Pick<StoredStatement, 'vulnerability' | 'aliases'>) =>
  new Set([vulnerability, ...aliases].map((name) => name.toUpperCase()));

/** The later; of one time about different products the one that settles nothing. */
const supersedes = (entry: Entry, other: Entry): boolean =>
  entry.at > other.at || (entry.at === other.at && entry.suppression === undefined);

const isAbout = ({ packages }: Entry, found: FoundPackage | undefined, version: string): boolean =>
  packages === undefined || (found !== undefined && packages.some((isOf) => isOf(found, version)));

function foundPackage(purl: string): FoundPackage | undefined {
  const parts = partsOf(purl);
  return parts && { key: packageKey(parts), version: parts.version, qualifiers: qualifiersOf(purl) };
}

/** Of one author's statements about one vulnerability in one product the latest; of one time that which stands later. */
function latestOfEach(
  statements: readonly StoredStatement[],
): Iterable<{ statement: StoredStatement; product: Product }> {
  const latest = new Map<string, { statement: StoredStatement; product: Product }>();
  for (const statement of statements) {
    for (const product of statement.products) {
      const { author, vulnerability } = statement;
      const subcomponents = [...product.subcomponents].sort();
      const key = JSON.stringify([author, vulnerability.toUpperCase(), product.id, subcomponents]);
      if ((latest.get(key)?.statement.at ?? -Infinity) <= statement.at)
        latest.set(key, { statement, product });
    }
  }
  return latest.values();
}

/** Undefined: nothing here can be told to be meant. */
function entryOf(statement: StoredStatement, product: Product): Entry | undefined {
  const { author, at, status, justification } = statement;
  const settles = status === 'not_affected' || status === 'fixed';
  const suppression: Suppression | undefined = settles
    ? { status, ...(justification === undefined ? {} : { justification }), source: author }
    : undefined;
  const about = { author, at, status, suppression };
  const ofImage = imageMatch(product.id);
  const subcomponents = product.subcomponents.flatMap((id) => packageMatch(id) ?? []);
  if (ofImage) {
    if (product.subcomponents.length === 0) return { ...about, isOf: ofImage, packages: undefined };
    return subcomponents.length === 0 ? undefined : { ...about, isOf: ofImage, packages: subcomponents };
  }
  // What a package contains cannot be told: a statement about a part of one is about no finding here.
  const ofPackage = product.subcomponents.length === 0 ? packageMatch(product.id) : undefined;
  return ofPackage && { ...about, isOf: () => true, packages: [ofPackage] };
}

/** Whether a product is the image: named by its digest, by its bill of materials, or by a package URL of images. */
function imageMatch(id: string): Entry['isOf'] | undefined {
  if (id.startsWith('sha256:')) return ({ digests }) => digests.has(id);
  if (id.startsWith('urn:cdx:')) return ({ boms }) => boms.has(id);
  const parts = id.startsWith('pkg:') ? partsOf(id) : undefined;
  if (parts?.type !== 'oci' && parts?.type !== 'docker') return undefined;
  if (parts.version?.startsWith('sha256:')) {
    const { version } = parts;
    return ({ digests }) => digests.has(version);
  }
  const qualifiers = qualifiersOf(id);
  const isOfRepository = repositoryMatch(parts, qualifiers.get('repository_url'));
  if (qualifiers.has('vers') || !isOfRepository) return () => false;
  const tags = [parts.version, qualifiers.get('tag')].filter((tag) => tag !== undefined);
  const arch = qualifiers.get('arch');
  return ({ repositories, architectures }) =>
    (arch === undefined || architectures.has(arch)) &&
    [...repositories].some(([path, known]) => isOfRepository(path) && tags.every((tag) => known.has(tag)));
}

/**
 * Of `pkg:oci` the qualifier is the whole repository (as its specification has it) or what its name stands in (as vexctl
 * writes it), and without one the repository may be anywhere, as VEX' own tools have it. Of `pkg:docker` it is the
 * registry, which is Docker Hub without one.
 */
function repositoryMatch(
  { type, namespace, name }: PackageUrl,
  repositoryUrl: string | undefined,
): ((path: string) => boolean) | undefined {
  const full = namespace === undefined ? name : `${namespace}/${name}`;
  if (repositoryUrl === undefined && type === 'oci') {
    return (path) => path.endsWith(`/${full.toLowerCase()}`);
  }
  const url = repositoryUrl?.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '').replace(/^[^/@]*@|\/+$/g, '');
  const isWhole = type === 'oci' && (url === full || url?.endsWith(`/${full}`));
  const reference = readReference(url === undefined ? full : isWhole ? url : `${url}/${full}`);
  if ('fault' in reference) return undefined;
  const wanted = pathOf(reference);
  return (path) => path === wanted;
}

/** Whether a finding is in a package: the version and the qualifiers that the name has must be the finding's. */
function packageMatch(id: string): PackageMatch | undefined {
  const meant = id.startsWith('pkg:') ? foundPackage(id) : undefined;
  // Whether a version is in a range, nobody can tell here.
  if (!meant || meant.qualifiers.has('vers')) return undefined;
  const qualifiers = [...meant.qualifiers];
  return (found, version) =>
    found.key === meant.key &&
    (meant.version === undefined || meant.version === (found.version ?? version)) &&
    qualifiers.every(([name, value]) => found.qualifiers.get(name) === value);
}
