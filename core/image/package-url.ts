/** The parts of a package URL (ECMA-427), decoded; `qualifiers` and `subpath` as they are written. */
export type PackageUrl = {
  readonly type: string;
  readonly namespace?: string;
  readonly name: string;
  readonly version?: string;
};

/** The parts of a package URL; undefined for what is none. */
export function partsOf(purl: string): PackageUrl | undefined {
  const { path, version } = split(purl);
  const [type = '', ...names] = path.split('/').filter((each) => each !== '');
  const name = names.pop();
  if (!/^[a-z][a-z0-9.+-]*$/i.test(type) || name === undefined) return undefined;
  return {
    type: type.toLowerCase(),
    ...(names.length > 0 ? { namespace: names.map(decoded).join('/') } : {}),
    name: decoded(name),
    ...(version ? { version: decoded(version) } : {}),
  };
}

/** A qualifier's value, decoded: `arch`, `repository_url`, `tag`, … */
export const qualifierOf = (purl: string, name: string): string | undefined =>
  new URLSearchParams(split(purl).qualifiers.replaceAll('+', '%2B')).get(name)?.trim() || undefined;

/** The same package of the given version. */
export function withVersion(purl: string, version: string): string {
  const { path, qualifiers } = split(purl);
  return joined(path, encoded(version), qualifiers);
}

/** The same package in a range of versions, for which package URLs have the qualifier `vers` in place of a version. */
export function withRange(purl: string, range: string): string {
  const { path, qualifiers } = split(withoutQualifier(purl, 'vers'));
  return joined(path, '', [qualifiers, `vers=${encoded(range)}`].filter((each) => each !== '').join('&'));
}

export function withoutQualifier(purl: string, name: string): string {
  const { path, version, qualifiers } = split(purl);
  const others = qualifiers.split('&').filter((each) => each !== '' && each.split('=')[0] !== name);
  return joined(path, version, others.join('&'));
}

/** What stands between `pkg:` and the version, the version, and the qualifiers; a subpath names no other package. */
function split(purl: string): { path: string; version: string; qualifiers: string } {
  const [whole = ''] = purl.replace(/^pkg:\/*/i, '').split('#');
  const query = whole.indexOf('?');
  const before = query === -1 ? whole : whole.slice(0, query);
  // The @ of an npm scope stands before a slash, that of a version after the last.
  const at = before.lastIndexOf('@');
  const hasVersion = at > before.lastIndexOf('/') + 1;
  return {
    path: hasVersion ? before.slice(0, at) : before,
    version: hasVersion ? before.slice(at + 1) : '',
    qualifiers: query === -1 ? '' : whole.slice(query + 1),
  };
}

const joined = (path: string, version: string, qualifiers: string): string =>
  `pkg:${path}${version === '' ? '' : `@${version}`}${qualifiers === '' ? '' : `?${qualifiers}`}`;

/** As package URLs are encoded: all but unreserved characters and the colon. */
const encoded = (part: string): string => encodeURIComponent(part).replaceAll('%3A', ':');

/** What is no percent-encoding stands for itself. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** All qualifiers as they are written. */
export const qualifierTextOf = (purl: string): string => split(purl).qualifiers;

/** The qualifiers, decoded; their names in lower case. */
export const qualifiersOf = (purl: string): ReadonlyMap<string, string> =>
  new Map(
    [...new URLSearchParams(split(purl).qualifiers.replaceAll('+', '%2B'))].flatMap(([name, value]) =>
      value.trim() === '' ? [] : [[name.toLowerCase(), value.trim()] as const],
    ),
  );

/**
 * Type, namespace and name, by which the same package is told in two package URLs: in one case, as ecosystems differ in
 * theirs, and PyPI's names with one kind of hyphen (PEP 503).
 */
export function packageKey({ type, namespace, name }: PackageUrl): string {
  const key = [type, ...(namespace === undefined ? [] : [namespace]), name].join('/').toLowerCase();
  return type === 'pypi' ? key.replace(/[-_.]+/g, '-') : key;
}
