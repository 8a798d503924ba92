/** A reference to a CycloneDX document, or to an element in one (`urn:cdx:<serial>/<version>#<bom-ref>`). */
export type BomLink = {
  /** `urn:cdx:<serial>/<version>`: the document, in lower case. */
  readonly bom: string;
  /** `bom-ref` of the element, decoded where it is encoded. */
  readonly ref?: string;
};

const form = /^urn:cdx:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\/([1-9]\d{0,9})(?:#(.+))?$/i;

export function bomLinkIn(ref: string): BomLink | undefined {
  const [, serial, version, element] = form.exec(ref) ?? [];
  if (serial === undefined || version === undefined) return undefined;
  return {
    bom: `urn:cdx:${serial.toLowerCase()}/${version}`,
    ...(element === undefined ? {} : { ref: unescaped(element) }),
  };
}

/** How others link to a document with this serial number (`urn:uuid:…`) and version. */
export const bomLinkOf = (serialNumber: string | undefined, version = 1): string | undefined =>
  bomLinkIn(`urn:cdx:${serialNumber?.replace(/^urn:uuid:/i, '') ?? ''}/${version}`)?.bom;

/** A package URL has an encoding of its own: some links contain it as it is, others encoded once more. */
function unescaped(element: string): string {
  if (element.startsWith('pkg:')) return element;
  try {
    return decodeURIComponent(element);
  } catch {
    return element;
  }
}
