/**
 * An image's name as container runtimes read it (github.com/distribution/reference, normalize.go and regexp.go): Docker
 * Hub's short names written out, the tag `latest` where there is neither tag nor digest.
 */
export type ImageReference = {
  /** Host and port in lower case (DNS knows no case, and a rule must not be evaded by it): `docker.io`, `[::1]:5000`. */
  readonly registry: string;
  /** `library/nginx`. */
  readonly repository: string;
  /** Absent: the reference has a digest only. Beside a digest it means nothing: the digest is what is pulled. */
  readonly tag?: string;
  /** `sha256:…`. */
  readonly digest?: string;
};

/** Why a text names no image; without the text itself. */
export type ReferenceFault = { readonly fault: string };

/** Longest text that is looked at: 255 of the repository, a host name, a tag and a SHA-512. */
const maxReference = 1_024;
const maxRepository = 255;

const hostLabel = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const registryPattern = new RegExp(`^(?:${hostLabel}(?:\\.${hostLabel})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?$`);
// Characters that cannot begin a component come before those that can: no text is tried in two ways.
const component = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const repositoryPattern = new RegExp(`^${component}(?:/${component})*$`);
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestLengths: ReadonlyMap<string, number> = new Map([
  ['sha256', 64],
  ['sha384', 96],
  ['sha512', 128],
]);

/** Reads a reference, or says in a few words what is wrong with it. */
export function readReference(text: string): ImageReference | ReferenceFault {
  if (text === '') return { fault: 'no image is named' };
  if (text.length > maxReference) return { fault: `the reference is longer than ${maxReference} characters` };
  if (/^[a-f0-9]{64}$/.test(text))
    return { fault: 'an ID without a repository names no image of a registry' };

  const at = text.indexOf('@');
  const digest = at === -1 ? undefined : text.slice(at + 1);
  if (digest !== undefined && !isDigest(digest))
    return { fault: 'the digest is not sha256: and 64 hex digits' };

  const { registry, rest } = split(at === -1 ? text : text.slice(0, at));
  if (!registryPattern.test(registry)) return { fault: 'the registry is not a host with or without a port' };
  const colon = rest.indexOf(':');
  const path = colon === -1 ? rest : rest.slice(0, colon);
  const given = colon === -1 ? undefined : rest.slice(colon + 1);
  if (path !== path.toLowerCase()) return { fault: 'the repository has upper-case letters' };
  if (path.length > maxRepository)
    return { fault: `the repository is longer than ${maxRepository} characters` };
  if (!repositoryPattern.test(path)) return { fault: 'the repository has characters that none may have' };
  if (given !== undefined && !tagPattern.test(given))
    return { fault: 'the tag has characters that none may have' };

  const tag = given ?? (digest === undefined ? 'latest' : undefined);
  return {
    registry: registry.toLowerCase(),
    repository: path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** What comes before the first slash is a registry if it looks like a host; else all of it is a repository of Docker Hub. */
function split(name: string): { registry: string; rest: string } {
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  const isHost = first === 'localhost' || /[.:]/.test(first) || first !== first.toLowerCase();
  const host = isHost ? first : 'docker.io';
  const registry = ['docker.io', 'index.docker.io'].includes(host.toLowerCase()) ? 'docker.io' : host;
  const rest = isHost ? name.slice(slash + 1) : name;
  return { registry, rest: registry === 'docker.io' && !rest.includes('/') ? `library/${rest}` : rest };
}

function isDigest(text: string): boolean {
  const [algorithm = '', hex = '', ...more] = text.split(':');
  return more.length === 0 && digestLengths.get(algorithm) === hex.length && /^[0-9a-f]+$/.test(hex);
}

/** `<registry>/<repository>`: what path patterns are held against. */
export const pathOf = ({ registry, repository }: ImageReference): string => `${registry}/${repository}`;

/** The whole reference, written out; without the tag where there is a digest, as runtimes pull it. */
export const written = (reference: ImageReference): string =>
  reference.digest === undefined
    ? `${pathOf(reference)}:${reference.tag ?? 'latest'}`
    : `${pathOf(reference)}@${reference.digest}`;

/** The name under which verdicts are looked up: the digest, whatever the repository; else path and tag. */
export const aliasOf = (reference: ImageReference): string => reference.digest ?? written(reference);
