import type * as z from 'zod';
import {
  type ExceptionColumn,
  exceptionColumns,
  maxImportBytes,
  maxImportRows,
} from '../../core/image/exception-list-schema.ts';
import { type ExceptionRequest, exceptionRequest, expiryFault } from '../../core/image/exception-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { CsvFault, type CsvRow, csvRows } from './csv.ts';

export type RowFault = { readonly column: string; readonly message: string };
/** What a row asks for, or what is wrong with it. */
export type ExceptionRow = { readonly row: number } & (
  { readonly request: ExceptionRequest } | { readonly faults: readonly RowFault[] }
);

/** The text of a `text/csv` body. Throws UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE, INVALID_REQUEST for what is not UTF-8. */
export function readCsvBody(raw: Buffer, header: (name: string) => string | undefined): string {
  if (!/^text\/csv\s*(?:;|$)/i.test(header('content-type') ?? '')) {
    throw new Problem(
      'UNSUPPORTED_MEDIA_TYPE',
      'An import is text/csv (curl: -H "Content-Type: text/csv" --data-binary @FILE).',
    );
  }
  if (raw.length > maxImportBytes) {
    throw new Problem('PAYLOAD_TOO_LARGE', `An import may have ${maxImportBytes} bytes.`);
  }
  const text = raw.toString('utf8');
  // The gateway has put this in the place of what is not UTF-8.
  if (text.includes('\ufffd')) {
    throw new Problem('INVALID_REQUEST', 'The file is not UTF-8: save it as "CSV UTF-8".');
  }
  return text;
}

/**
 * What each row of an import asks for. Columns stand in any order, and each at most once; those that are not there are
 * empty. Throws INVALID_REQUEST for what is no CSV or has another header, PAYLOAD_TOO_LARGE for too many rows. `now`: epoch milliseconds.
 */
export function readExceptionRows(text: string, now: number): ExceptionRow[] {
  try {
    const [head, ...records] = limited(csvRows(text));
    if (!head) throw new Problem('INVALID_REQUEST', `The file is empty. ${expectedHeader}`);
    const columns = columnsOf(head);
    return records.map((record) => rowOf(record, columns, now));
  } catch (error) {
    if (!(error instanceof CsvFault)) throw error;
    throw new Problem('INVALID_REQUEST', `This is no CSV: in row ${error.row} ${error.message}.`, {
      cause: error,
    });
  }
}

const expectedHeader = `The first row names the columns: ${exceptionColumns.join(', ')}.`;

function limited(rows: Iterable<CsvRow>): CsvRow[] {
  const all: CsvRow[] = [];
  for (const each of rows) {
    // The header is one of them.
    if (all.length > maxImportRows) {
      throw new Problem('PAYLOAD_TOO_LARGE', `An import may have ${maxImportRows} rows.`);
    }
    all.push(each);
  }
  return all;
}

const known: ReadonlySet<string> = new Set(exceptionColumns);
const isColumn = (name: string): name is ExceptionColumn => known.has(name);

function columnsOf({ fields }: CsvRow): ExceptionColumn[] {
  const names = fields.map((name) => name.trim().toLowerCase());
  const columns = names.filter(isColumn);
  if (columns.length < names.length) {
    const [only = ''] = fields;
    const hint = fields.length === 1 && /[;\t]/.test(only) ? ' Columns are parted by commas.' : '';
    const at = names.findIndex((name) => !isColumn(name)) + 1;
    throw new Problem(
      'INVALID_REQUEST',
      `Column ${at} has a name that is not known.${hint} ${expectedHeader}`,
    );
  }
  if (new Set(columns).size < columns.length) {
    throw new Problem('INVALID_REQUEST', 'Two columns have the same name.');
  }
  return columns;
}

function rowOf({ row, fields }: CsvRow, columns: readonly ExceptionColumn[], now: number): ExceptionRow {
  if (fields.length !== columns.length) {
    const message = `the row has ${fields.length} fields, the header ${columns.length}`;
    return { row, faults: [{ column: '', message }] };
  }
  const cells = new Map(columns.map((column, index) => [column, fields[index]?.trim() ?? '']));
  const cell = (column: ExceptionColumn) => cells.get(column) || undefined;
  const [image, repository] = [cell('image'), cell('repository')];
  const faults: RowFault[] = [];
  if (image !== undefined && repository !== undefined) {
    faults.push({ column: 'repository', message: 'must be empty where there is an image' });
  }
  const expires = expiryOf(cell('expires'));
  if (expires === undefined) {
    faults.push({
      column: 'expires',
      message: 'must be a day (2026-12-31) or an RFC 3339 time with its zone',
    });
  } else {
    const fault = expiryFault(expires, now);
    if (fault !== undefined) faults.push({ column: 'expires', message: fault });
  }
  const read = exceptionRequest.safeParse({
    ...(cell('vulnerability') === undefined ? {} : { vulnerability: cell('vulnerability') }),
    ...(cell('package') === undefined ? {} : { package: cell('package') }),
    scope: image !== undefined ? { image } : repository !== undefined ? { repository } : 'any',
    justification: cell('justification') ?? '',
    // What is wrong with it has been said.
    expiresAt: expires ?? new Date(now).toISOString(),
  });
  if (!read.success) faults.push(...faultsOf(read.error, image));
  return read.success && faults.length === 0 ? { row, request: read.data } : { row, faults };
}

/** A day means its end, UTC; a time means itself. */
function expiryOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const whole = /^\d{4}-\d{2}-\d{2}$/.test(text) ? `${text}T23:59:59.999Z` : text;
  return exceptionRequest.shape.expiresAt.safeParse(whole).data;
}

function faultsOf(error: z.ZodError, image: string | undefined): RowFault[] {
  return error.issues.map(({ path: [member = 'vulnerability'], message }) => {
    if (member !== 'scope') return { column: String(member), message };
    return image === undefined
      ? {
          column: 'repository',
          message: 'must be <registry>/<repository>; * stands for anything but /, ** for anything',
        }
      : { column: 'image', message: 'must be sha256: and 64 hex digits' };
  });
}
