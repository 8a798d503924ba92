import { createHash } from 'node:crypto';
import type { StatementsTaken } from '../../core/image/statements-schema.ts';
import { Problem } from '../../core/problem/problem.ts';
import { reached } from '../../core/problem/reached.ts';
import type { Dependencies } from './deps.ts';
import type { Report } from './report/normal-form.ts';
import { type Merged, withStatements } from './statements.ts';

type StatementDocument = {
  readonly tenantId: string;
  readonly document: Extract<Report, { readonly author: string }>;
  /** The document as it came. */
  readonly bytes: Uint8Array;
  /** Whether the caller may change what verdicts follow. */
  readonly mayState: boolean;
};

/**
 * Takes a VEX document: stores it in S3, then its statements among the tenant's rules, all or none; from then on they
 * change what the results of all images count. The same document again changes nothing. ACCESS_DENIED, LIMIT_REACHED
 * (5,000 statements), CONFLICT. Units: those of a change of the rules; one S3 PUT.
 */
export async function takeStatements(
  { rules, reports }: Pick<Dependencies, 'rules' | 'reports'>,
  { tenantId, document, bytes, mayState }: StatementDocument,
): Promise<StatementsTaken> {
  if (!mayState) {
    throw new Problem(
      'ACCESS_DENIED',
      'A VEX document changes verdicts, as exceptions do: that needs image-policy:write.',
    );
  }
  const { author, statements } = document;
  const said = statements.map((each) => ({ ...each, author }));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  await reached(
    'The store of reports',
    reports.keep(tenantId, { about: 'statements', sha256, report: bytes }),
  );
  let told: Merged['told'] | undefined;
  await reached(
    'The rules for images',
    rules.change(tenantId, (before) => {
      const merged = withStatements(before.statements, said);
      told = merged.told;
      return { ...before, statements: merged.statements };
    }),
  );
  return { author, statements: told ?? { stored: 0, unchanged: 0, outdated: 0, superseded: 0 } };
}
