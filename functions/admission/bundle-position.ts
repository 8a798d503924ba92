import * as z from 'zod';
import { decodeCursor, encodeCursor } from '../../core/api/cursor.ts';
import { digest } from '../../core/image/image-schema.ts';
import { Problem } from '../../core/problem/problem.ts';

const count = z.int().min(0);

/**
 * A state of a tenant's verdicts: when it was asked for (epoch milliseconds), and by which rules, in which edition of the
 * code that judges and says what bundles have.
 */
const state = z.object({ at: count, rules: count, admission: count, edition: count });
export type BundleState = z.infer<typeof state>;

/** Of a change among all changes of the tenant (core/image/image-change-repository.ts). */
const changePosition = z.string().regex(/^\d{15}#sha256:[0-9a-f]{64}$/);

/** Where the next part of a bundle begins. */
const position = z.object({
  /** The state that the bundle brings to: one and the same in all its parts. */
  to: state,
  /** Of a delta: the state that it continues, and the time from which, or the change after which, the part begins. */
  from: z.object({ state, after: z.union([count, changePosition]) }).optional(),
  /** Of a full bundle: the image after which the part begins. */
  after: digest.optional(),
  part: count,
});
export type BundlePosition = z.infer<typeof position>;

const [states, positions] = ['admission-bundle', 'admission-bundle-part'];

/** `asOf` of a bundle: opaque, and of one tenant. */
export const writtenState = (tenantId: string, { at, rules, admission, edition }: BundleState): string =>
  encodeCursor(tenantId, states, JSON.stringify({ at, rules, admission, edition }));

/** What `since` names; INVALID_CURSOR for what is no `asOf` of this tenant's bundles. */
export const readState = (tenantId: string, text: string | undefined): BundleState | undefined =>
  read(state, decodeCursor(tenantId, states, text));

/** `next` of a part: opaque, and of one tenant. */
export const writtenPosition = (tenantId: string, at: BundlePosition): string =>
  encodeCursor(tenantId, positions, JSON.stringify(at));

/** What `cursor` names; INVALID_CURSOR for what is no `next` of this tenant's bundles. */
export const readPosition = (tenantId: string, text: string | undefined): BundlePosition | undefined =>
  read(position, decodeCursor(tenantId, positions, text));

/** The digest in a cursor keeps mistakes out, and is no signature: what is in it is checked like any input. */
function read<T>(schema: z.ZodType<T>, text: string | undefined): T | undefined {
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    throw new Problem('INVALID_CURSOR');
  }
}
