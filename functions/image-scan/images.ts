import type { ImageRules } from '../../core/image/image-rules.ts';
import type { ImageView } from '../../core/image/image-schema.ts';
import type { ScannedImage } from '../../core/image/scanned-image.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import { imageView } from './image-view.ts';

type Images = Pick<Dependencies, 'images' | 'rules' | 'now'>;

/**
 * An image, the rules, and the moment (epoch milliseconds) at which it is shown; NOT_FOUND, also when it has expired.
 * Units: 1 read per 4 KB of its item, and those of the rules.
 */
export async function knownImage(
  { images, rules, now }: Images,
  tenantId: string,
  digest: string,
): Promise<{ readonly image: ScannedImage; readonly rules: ImageRules; readonly now: number }> {
  const [image, ready] = await reached(
    'The table of images',
    Promise.all([images.find(tenantId, digest), rules.ready(tenantId)]),
  );
  const at = now();
  if (!image || image.expiresAt <= at) throw new Problem('NOT_FOUND');
  return { image, rules: ready, now: at };
}

/** The image under the rules of this moment. Throws and units: as `knownImage`. */
export async function oneImage(deps: Images, tenantId: string, digest: string): Promise<ImageView> {
  const { image, ...judging } = await knownImage(deps, tenantId, digest);
  const shown = imageView(image, judging);
  if (!shown) throw new Problem('NOT_FOUND');
  return shown;
}
