import { aliasOf, type ImageReference, readReference } from '../admission/image-reference.ts';
import type { ImageName, ScannedImage, StoredOutcome } from './scanned-image.ts';

/** Longest name that an image is looked up by; a sort key has 1,024 bytes at most. */
export const maxAliasBytes = 512;

/** Platforms that names are told apart by. A closed list: a name's item has an entry for each, and reports may say anything. */
export const platforms: ReadonlySet<string> = new Set([
  'linux/386',
  'linux/amd64',
  'linux/arm',
  'linux/arm/v5',
  'linux/arm/v6',
  'linux/arm/v7',
  'linux/arm64',
  'linux/loong64',
  'linux/mips64le',
  'linux/ppc64le',
  'linux/riscv64',
  'linux/s390x',
  'windows/amd64',
  'windows/arm64',
]);

/** `linux/amd64` and the like; '' for what nobody runs in a cluster, or where the report does not say. */
export function platformOf(text: string | undefined): string {
  const [os = '', architecture = '', variant] = (text ?? '').toLowerCase().split('/');
  const [short, long] = [`${os}/${architecture}`, `${os}/${architecture}/${variant ?? ''}`];
  return platforms.has(long) ? long : platforms.has(short) ? short : '';
}

/** A file (`build/web.tar.gz`), which scanners name like an image of Docker Hub; a tag may end so, too. */
const archive = /(?:^|\/)[^/:@]*\.(?:tar(?:\.\w+)?|tgz)$/;

/** What a report calls its image, as it can be pulled; undefined: an archive, or what no image can be called. */
export function referenceIn(text: string): ImageReference | undefined {
  const reference = archive.test(text) ? undefined : readReference(text);
  return reference === undefined || 'fault' in reference ? undefined : reference;
}

/** Under which names a report knows its image: its references, and the image's other digests. */
export function aliasesIn(
  digest: string,
  { image, aliases }: Pick<StoredOutcome, 'image' | 'aliases'>,
): readonly string[] {
  const named = [...(image === undefined ? [] : [image]), ...aliases.references].flatMap((text) => {
    const reference = referenceIn(text);
    return reference ? aliasOf(reference) : [];
  });
  const all = new Set([...named, ...aliases.digests]);
  all.delete(digest);
  return [...all].filter((alias) => Buffer.byteLength(alias) <= maxAliasBytes);
}

/** Where an image is looked up beside its digest: what its names' items have of it, if no other has come in its place. */
export const namesOf = ({ names }: Pick<ScannedImage, 'names'>): readonly ImageName[] => names;
