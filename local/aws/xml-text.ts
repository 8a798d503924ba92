/** XML text and element escapes, as S3 and STS write them. */
const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** Escapes text for an element; characters that XML 1.0 has no way to hold become numeric references, as S3 sends them. */
export const xmlText = (value: string): string =>
  value
    .replace(/[&<>"']/g, (character) => entities[character] ?? character)
    // eslint-disable-next-line no-control-regex
    .replace(/[\u0000-\u001f]/g, (character) => `&#x${character.charCodeAt(0).toString(16).toUpperCase()};`);

export type XmlValue = string | number | boolean | undefined | XmlNode | XmlNode[];
export type XmlNode = { [element: string]: XmlValue };

/** Elements in the order of the object's members; an array repeats its element; undefined members are left out. */
export function xmlElements(node: XmlNode): string {
  return Object.entries(node)
    .flatMap(([name, value]) =>
      Array.isArray(value) ? value.map((one) => [name, one] as const) : [[name, value] as const],
    )
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      const content = typeof value === 'object' ? xmlElements(value) : xmlText(String(value));
      return `<${name}>${content}</${name}>`;
    })
    .join('');
}

export const xmlDocument = (root: string, namespace: string, node: XmlNode): string =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<${root} xmlns="${namespace}">${xmlElements(node)}</${root}>`;
