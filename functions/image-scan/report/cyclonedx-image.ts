import { Problem } from '../../../core/problem/problem.ts';
import { propertiesOf, type Bom, type Component } from './cyclonedx-bom.ts';
import { digestIn, distinct, given } from './members.ts';
import type { ReportedImage } from './normal-form.ts';
import { partsOf, qualifierOf } from '../../../core/image/package-url.ts';

const ofTrivy = (image: Component | undefined, name: string): string[] =>
  propertiesOf(image, `aquasecurity:trivy:${name}`);

/**
 * The image that a document is about: its subject, or the only container in it. What is about a directory or a package
 * names none. REPORT_UNSUPPORTED for several containers, whose findings could not be told apart.
 */
export function imageOf(bom: Bom): ReportedImage {
  const image = imageIn(bom);
  const url = image?.purl;
  const references = ofTrivy(image, 'Reference');
  return {
    references: distinct([
      ...(references.length > 0 ? references : [image && referenceOf(image)]),
      ...ofTrivy(image, 'RepoTag'),
      url && referenceIn(url),
    ]),
    digests: distinct([
      ...[...references, ...ofTrivy(image, 'RepoDigest')].map(digestIn),
      url && digestOfPurl(url),
      digestIn(image?.name),
      digestIn(image?.version),
    ]),
    ...given('imageId', digestIn(ofTrivy(image, 'ImageID')[0])),
    ...given('bom', bom.link),
  };
}

/** `sha256:…` of the image that a package URL names (`pkg:oci/…@sha256%3A…`, `pkg:docker/…`). */
export function digestOfPurl(purl: string): string | undefined {
  const parts = partsOf(purl);
  return parts && isOfImage(parts.type) ? digestIn(parts.version) : undefined;
}

const isOfImage = (purlType: string | undefined): boolean => purlType === 'oci' || purlType === 'docker';
const isImage = ({ type, purl }: Component): boolean =>
  type === 'container' || (purl !== undefined && isOfImage(partsOf(purl)?.type));

function imageIn({ root, containers }: Bom): Component | undefined {
  if (root && isImage(root)) return root;
  if (containers.length > 1) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      `Found a CycloneDX document about ${containers.length} containers. Taken are those about one image.`,
    );
  }
  return containers[0];
}

/** Trivy's name is the whole reference; Syft and Grype part the tag, or the digest, as its version. */
function referenceOf({ name, version, purl }: Component): string | undefined {
  if (!name || !version || digestIn(version) !== undefined || name.endsWith(`:${version}`)) return name;
  // Of a container that was named by hand the version may be anything; a tag has no other characters than these.
  return purl === undefined && /^\w[\w.-]{0,127}$/.test(version) ? `${name}:${version}` : name;
}

/** `repository_url` is where it is, and may be an address with a credential in it, which is cut out. */
function referenceIn(purl: string): string | undefined {
  const tag = qualifierOf(purl, 'tag');
  const repository = qualifierOf(purl, 'repository_url')
    ?.replace(/^[a-z][a-z0-9+.-]*:\/\//i, '')
    .replace(/^[^/@]*@/, '');
  return repository === undefined || tag === undefined ? undefined : `${repository}:${tag}`;
}
