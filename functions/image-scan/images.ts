import type { ImageView } from '../../core/image/image-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import { imageView } from './image-view.ts';

type Images = Pick<Dependencies, 'images' | 'rules' | 'now'>;

/** The image under the rules of this moment; NOT_FOUND, also when it has expired. Units: 1 read per 4 KB of its item, and those of the rules. */
export async function oneImage(
  { images, rules, now }: Images,
  tenantId: string,
  digest: string,
): Promise<ImageView> {
  const [image, ready] = await reached(
    'The table of images',
    Promise.all([images.find(tenantId, digest), rules.ready(tenantId)]),
  );
  const at = now();
  const shown = image && image.expiresAt > at && imageView(image, { rules: ready, now: at });
  if (!shown) throw new Problem('NOT_FOUND');
  return shown;
}
