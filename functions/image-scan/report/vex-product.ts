import { Problem } from '../../../core/problem/problem.ts';
import { digestOfPurl } from './cyclonedx-image.ts';
import { digestIn } from './members.ts';
import type { VexStatement } from './normal-form.ts';
import { partsOf, withoutQualifier } from '../../../core/image/package-url.ts';

export type VexProduct = VexStatement['products'][number];

/**
 * A name by which a stored result can be found: an image's digest, or a package URL as it is, without Syft's id in it.
 * Other names (addresses, CPEs, tags, which are moved) find nothing: undefined.
 */
export function productId(name: string | undefined): string | undefined {
  if (name === undefined || name.length > 2_048) return undefined;
  if (!name.startsWith('pkg:')) return digestIn(name);
  return partsOf(name) ? (digestOfPurl(name) ?? withoutQualifier(name, 'package-id')) : undefined;
}

/** Statements that can find something; REPORT_UNSUPPORTED for a document that has none but others. */
export function applicable(statements: readonly VexStatement[]): VexStatement[] {
  const some = statements.filter(({ products }) => products.length > 0);
  if (some.length === 0 && statements.length > 0) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      'No statement of this document names a product by package URL, by digest or by a link to a bill of materials, so none could ever be applied.',
    );
  }
  return some;
}
