import { decodeCursor, encodeCursor } from '../../core/api/cursor.ts';
import type { Page, PageQuery } from '../../core/api/page.ts';
import type { VerdictChangeView } from '../../core/image/verdict-change-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';

/**
 * A page of the changes of an image's verdict, the latest first. NOT_FOUND for an image that is not known. Units: half
 * a read per 4 KB (some 20 changes); where there are none, those of the image beside that.
 */
export async function verdictHistory(
  { images, history }: Pick<Dependencies, 'images' | 'history'>,
  { tenantId, digest, query }: { tenantId: string; digest: string; query: PageQuery },
): Promise<Page<VerdictChangeView>> {
  const list = `history ${digest}`;
  const after = decodeCursor(tenantId, list, query.cursor);
  // The place of a change, and not what somebody has made up: it becomes part of a key.
  if (after !== undefined && !/^\d{15}#[01]$/.test(after)) throw new Problem('INVALID_CURSOR');
  const { changes, next } = await reached(
    'The history of images',
    history.list(tenantId, digest, { limit: query.limit, after }),
  );
  if (changes.length === 0 && query.cursor === undefined) {
    // What is older than reports are kept is gone; the image may be there.
    if (!(await reached('The table of images', images.find(tenantId, digest))))
      throw new Problem('NOT_FOUND');
  }
  return {
    items: changes.map(({ at, from, to, cause, scanId, scanner }) => ({
      at: new Date(at).toISOString(),
      ...(from === undefined ? {} : { from }),
      to,
      cause,
      scanId,
      scanner,
    })),
    ...(next === undefined ? {} : { nextCursor: encodeCursor(tenantId, list, next) }),
  };
}
