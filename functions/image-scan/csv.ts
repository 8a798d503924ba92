/** A record that is not empty. `row`: as a spreadsheet counts, the first is 1; one record may take several lines. */
export type CsvRow = { readonly row: number; readonly fields: readonly string[] };

/** The text is no CSV; the message says what is wrong in row `row`, and never what stands there. */
export class CsvFault extends Error {
  override readonly name = 'CsvFault';
  readonly row: number;

  constructor(row: number, message: string) {
    super(message);
    this.row = row;
  }
}

/**
 * The records of a CSV text (RFC 4180), one by one: fields between commas, in double quotes where they hold commas,
 * quotes (doubled) or line ends; lines end in CRLF or LF, the last one may end without. A byte order mark is skipped, and so are
 * empty records. Strict where a guess could move text into another column. Throws CsvFault.
 */
export function* csvRows(text: string): Generator<CsvRow> {
  let at = text.startsWith('\ufeff') ? 1 : 0;
  for (let row = 1; at < text.length; row += 1) {
    const fields: string[] = [];
    for (;;) {
      const { value, end } = text[at] === '"' ? quoted(text, at, row) : bare(text, at, row);
      fields.push(value);
      at = end;
      if (text[at] !== ',') break;
      at += 1;
    }
    at += text[at] === '\r' ? 2 : 1;
    if (fields.length > 1 || fields[0] !== '') yield { row, fields };
  }
}

type Field = { readonly value: string; readonly end: number };

function bare(text: string, start: number, row: number): Field {
  let end = start;
  while (end < text.length && !isEnd(text, end)) {
    if (text[end] === '"')
      throw new CsvFault(row, 'a quote stands inside a field that does not begin with one');
    if (text[end] === '\r') throw new CsvFault(row, 'a carriage return stands without a line feed');
    end += 1;
  }
  return { value: text.slice(start, end), end };
}

function quoted(text: string, start: number, row: number): Field {
  const parts: string[] = [];
  for (let from = start + 1; ;) {
    const quote = text.indexOf('"', from);
    if (quote === -1) throw new CsvFault(row, 'a quoted field does not end');
    if (text[quote + 1] !== '"') {
      parts.push(text.slice(from, quote));
      const end = quote + 1;
      if (end < text.length && !isEnd(text, end))
        throw new CsvFault(row, 'text stands behind a closing quote');
      return { value: parts.join(''), end };
    }
    parts.push(text.slice(from, quote + 1));
    from = quote + 2;
  }
}

/** Whether a field ends here: at a comma or a line's end. */
const isEnd = (text: string, at: number): boolean =>
  text[at] === ',' || text[at] === '\n' || (text[at] === '\r' && text[at + 1] === '\n');
