/**
 * Text for a terminal and an HTTP header, of at most `max` characters: printable ASCII, everything else as `?`. What is
 * shown comes from manifests and reports, which may hold line ends and escape sequences.
 */
export function plain(text: string, max: number): string {
  // Cut before it is copied: the text may be as large as the request.
  const line = text.slice(0, max + 1).replace(/[^\x20-\x7e]/g, '?');
  return text.length <= max ? line : `${line.slice(0, max - 3)}...`;
}
