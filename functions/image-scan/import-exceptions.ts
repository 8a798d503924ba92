import type { Caller } from '../../core/credential/caller.ts';
import type { ExceptionImport } from '../../core/image/exception-list-schema.ts';
import type { ImageException } from '../../core/image/exception-schema.ts';
import { ruleLimits } from '../../core/image/rules-document.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import { readExceptionRows, type RowFault } from './exception-csv.ts';
import {
  type ExceptionDependencies,
  isLive,
  newException,
  rulesPart,
  saysOf,
  shownStill,
} from './image-exceptions.ts';

/** Faults that a refused import names; its preview names all. */
const maxFaults = 100;

type Outcome = ExceptionImport['items'][number];

/**
 * Takes exceptions from CSV, all or none; with `dryRun` only says what would become of each row. A row that says what an
 * earlier row says, or a live exception, makes none, so that the same file again changes nothing. Throws INVALID_REQUEST with
 * up to 100 faults (without `dryRun`), PAYLOAD_TOO_LARGE, LIMIT_REACHED, CONFLICT. Units: of a dry run those of reading
 * the rules, else those of one change of them.
 */
export async function importExceptions(
  deps: ExceptionDependencies,
  { tenantId, principal }: Caller,
  { csv, dryRun }: { readonly csv: string; readonly dryRun: boolean },
): Promise<ExceptionImport> {
  const { rules, logger, random } = deps;
  const at = deps.now();
  const rows = readExceptionRows(csv, at).map((row): Row =>
    'request' in row ? { row: row.row, made: newException(row.request, { principal, at, random }) } : row,
  );
  if (dryRun) {
    const { exceptions } = await reached(rulesPart, rules.find(tenantId));
    const { added, shown } = planOf(rows, exceptions, at, dryRun);
    if (shownStill(exceptions, at).length + added.length > ruleLimits.exceptions) {
      throw new Problem(
        'LIMIT_REACHED',
        `A tenant has at most ${ruleLimits.exceptions} exceptions for images.`,
      );
    }
    return shown;
  }
  refuseFaults(rows);
  let plan: Plan | undefined;
  await reached(
    rulesPart,
    rules.change(tenantId, (before) => {
      plan = planOf(rows, before.exceptions, at, dryRun);
      if (plan.added.length === 0) return before;
      return { ...before, exceptions: [...shownStill(before.exceptions, at), ...plan.added] };
    }),
  );
  const { added, shown } = plan ?? planOf(rows, [], at, dryRun);
  if (added.length > 0) {
    logger.info('image exceptions imported', { tenantId, principal, count: added.length });
  }
  return shown;
}

type Row = { readonly row: number } & (
  { readonly made: ImageException } | { readonly faults: readonly RowFault[] }
);
type Plan = { readonly added: readonly ImageException[]; readonly shown: ExceptionImport };

/** What becomes of each row beside the exceptions that are there. */
function planOf(
  rows: readonly Row[],
  exceptions: readonly ImageException[],
  at: number,
  dryRun: boolean,
): Plan {
  const there = new Map(
    exceptions.filter((each) => isLive(each, at)).map((each) => [saysOf(each), each.exceptionId]),
  );
  const earlier = new Map<string, number>();
  const added: ImageException[] = [];
  const items = rows.map((each): Outcome => {
    const { row } = each;
    if ('faults' in each) return { row, outcome: 'faulty', errors: [...each.faults] };
    const { made } = each;
    const says = saysOf(made);
    const exceptionId = there.get(says);
    if (exceptionId !== undefined) return { row, outcome: 'existing', exceptionId };
    const sameAs = earlier.get(says);
    if (sameAs !== undefined) return { row, outcome: 'duplicate', sameAs };
    earlier.set(says, row);
    added.push(made);
    return { row, outcome: 'new', ...(dryRun ? {} : { exceptionId: made.exceptionId }) };
  });
  const count = (outcome: Outcome['outcome']) => items.filter((each) => each.outcome === outcome).length;
  const totals = {
    rows: items.length,
    new: count('new'),
    duplicate: count('duplicate'),
    existing: count('existing'),
    faulty: count('faulty'),
  };
  return { added, shown: { dryRun, totals, items } };
}

function refuseFaults(rows: readonly Row[]): void {
  const errors = rows.flatMap((each) =>
    'faults' in each
      ? each.faults.map(({ column, message }) => ({ path: `/rows/${each.row}/${column}`, message }))
      : [],
  );
  if (errors.length === 0) return;
  throw new Problem('INVALID_REQUEST', 'Rows of the file have faults, and nothing was imported.', {
    errors: errors.slice(0, maxFaults),
  });
}
