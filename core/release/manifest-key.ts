/** Which file of which release. The digest is the catalogue's, so that what it names has one content for ever. */
export type ManifestName = {
  /** With its `v`: `v3.32.1`. */
  readonly version: string;
  /** As the catalogue has it: `operator-crds.yaml`. */
  readonly name: string;
  /** Lower-case hex SHA-256 of the bytes. */
  readonly sha256: string;
};

/** Where the copies of upstream's manifests lie in the bucket of public assets; policies of lib/ name it. */
export const releasesPrefix = 'releases/';

/** What the keys of one release's manifests begin with. */
export const releasePrefix = (version: string): string => `${releasesPrefix}${version}/`;

export const manifestKey = ({ version, name, sha256 }: ManifestName): string =>
  `${releasePrefix(version)}${sha256}/${name}`;

/** The digest in a key that `manifestKey` made. */
export const digestOfKey = (version: string, key: string): string =>
  key.slice(releasePrefix(version).length).split('/')[0] ?? '';
