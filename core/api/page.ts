import * as z from 'zod';

/** Query of every list: `limit` 1–200 (50 by default) and the opaque `cursor` of the page before. */
export const pageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(2_048).optional(),
});
export type PageQuery = z.infer<typeof pageQuery>;

export const page = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), nextCursor: z.string().optional() });

export type Page<Item> = { items: Item[]; nextCursor?: string };
