import * as z from 'zod';
import {
  exceptionImport,
  type ExceptionImport,
  listedException,
  type ListedException,
} from '../core/image/exception-list-schema.ts';
import type { ApiClient } from './api-client.ts';
import { Failure } from './failure.ts';
import { span, table } from './table.ts';
import { secondsOf } from './time-span.ts';

const path = '/v1/image-exceptions';
/** What is read here; whatever else the API tells is passed on to those who ask for JSON. */
const listed = z.looseObject(listedException.shape);

export type NewException = {
  readonly vulnerability?: string;
  readonly package?: string;
  readonly image?: string;
  readonly repository?: string;
  readonly everywhere?: true;
  readonly justification: string;
  /** A span such as 30d. */
  readonly ttl: string;
};

/** The exceptions, the latest first; of one vulnerability, if it is named. */
export const listExceptions = (
  api: ApiClient,
  { state, vulnerability }: { readonly state: string; readonly vulnerability?: string },
): Promise<ListedException[]> =>
  api.list(listed, path, { state, ...(vulnerability === undefined ? {} : { vulnerability }) });

/** Makes an exception from `now` (epoch milliseconds) on. Throws a Failure of usage unless one scope is named. */
export function addException(
  api: ApiClient,
  { image, repository, everywhere, ttl, ...said }: NewException,
  now: number,
): Promise<ListedException> {
  const scopes = [
    ...(image === undefined ? [] : [{ image }]),
    ...(repository === undefined ? [] : [{ repository }]),
    ...(everywhere ? ['any'] : []),
  ];
  if (scopes.length !== 1) {
    throw new Failure('usage', 'Say where it holds: one of --image, --repository and --everywhere.');
  }
  if (said.vulnerability === undefined && said.package === undefined) {
    throw new Failure('usage', 'Say what it is about: --vulnerability, --package, or both.');
  }
  const expiresAt = new Date(now + secondsOf(ttl) * 1_000).toISOString();
  return api.post(listed, path, { ...said, scope: scopes[0], expiresAt });
}

export const removeException = (api: ApiClient, exceptionId: string): Promise<void> =>
  api.delete(`${path}/${encodeURIComponent(exceptionId)}`);

export const importExceptions = (
  api: ApiClient,
  csv: string,
  { dryRun }: { readonly dryRun: boolean },
): Promise<ExceptionImport> =>
  api.postText(exceptionImport, `${path}/imports?dryRun=${dryRun}`, { text: csv, type: 'text/csv' });

/** `now`: epoch milliseconds. */
export const exceptionTable = (exceptions: readonly ListedException[], now: number): string =>
  exceptions.length === 0
    ? 'There are no exceptions.\n'
    : table(
        ['ID', 'VULNERABILITY', 'PACKAGE', 'WHERE', 'ENDS', 'BY', 'JUSTIFICATION'],
        exceptions.map((each) => [
          each.exceptionId,
          each.vulnerability ?? 'any',
          each.package ?? 'any',
          whereOf(each),
          `${each.state === 'expired' ? '-' : 'in '}${span(Date.parse(each.expiresAt) - now)}`,
          each.author,
          each.justification,
        ]),
      );

const whereOf = ({ scope }: ListedException): string =>
  scope === 'any' ? 'everywhere' : 'image' in scope ? scope.image : scope.repository;

/** The rows that make no exception, and why; empty if all do. */
export function importTable({ items }: ExceptionImport): string {
  const others = items.filter(({ outcome }) => outcome !== 'new');
  if (others.length === 0) return '';
  return table(
    ['ROW', 'OUTCOME', 'WHY'],
    others.map(({ row, outcome, sameAs, exceptionId, errors = [] }) => [
      String(row),
      outcome,
      sameAs !== undefined
        ? `says what row ${sameAs} says`
        : exceptionId !== undefined
          ? `says what ${exceptionId} says`
          : errors.map(({ column, message }) => `${column} ${message}`.trim()).join('; '),
    ]),
  );
}

export const importSummary = ({ dryRun, totals }: ExceptionImport): string =>
  `${totals.new} ${dryRun ? 'would be made' : 'made'}, ${totals.existing} there already, ` +
  `${totals.duplicate} twice in the file, ${totals.faulty} faulty.`;
