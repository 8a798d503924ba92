import fc from 'fast-check';

type Container = Record<string | number, unknown>;
type Place = { readonly container: Container; readonly key: string | number };

/** The same JSON with one of its members, anywhere, replaced by any other JSON, or taken out. */
export function replacedMember(json: unknown): fc.Arbitrary<unknown> {
  const count = placesIn(json).length;
  const value = fc.oneof(
    fc.constantFrom(undefined, null, '', 0, -1, 1e308, true, [], {}, [null], [[]]),
    fc.jsonValue({ maxDepth: 2 }),
    fc.string({ minLength: 600, maxLength: 600 }),
  );
  return fc.tuple(fc.nat(count - 1), value).map(([at, replacement]) => {
    const copy = structuredClone(json);
    const place = placesIn(copy)[at];
    if (place) place.container[place.key] = replacement;
    return copy;
  });
}

function placesIn(json: unknown): Place[] {
  if (typeof json !== 'object' || json === null) return [];
  const container = json as Container;
  return Object.keys(container).flatMap((key) => [{ container, key }, ...placesIn(container[key])]);
}
