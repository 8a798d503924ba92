import type { RouteHandlers } from '../../core/api/api-function.ts';
import { readCsvBody } from './exception-csv.ts';
import {
  addException,
  type ExceptionDependencies,
  findException,
  listExceptions,
  removeException,
} from './image-exceptions.ts';
import { readPolicy, setPolicy } from './image-policy.ts';
import { listStatements, removeStatement, removeStatementsOf } from './image-statements.ts';
import { importExceptions } from './import-exceptions.ts';

type RuleRoute = Extract<
  keyof RouteHandlers<'image-scan'>,
  `${string} /v1/image-${'policy' | 'exceptions' | 'statements'}${string}`
>;

/** The handlers of policy, exceptions and statements: what verdicts follow beside the images. */
export function ruleHandlers(deps: ExceptionDependencies): Pick<RouteHandlers<'image-scan'>, RuleRoute> {
  return {
    'GET /v1/image-policy': async ({ caller }) => {
      const { policy, tag } = await readPolicy(deps, caller.tenantId);
      return { body: policy, headers: { ETag: tag } };
    },
    'PUT /v1/image-policy': async ({ caller, body, header }) => {
      const { policy, tag } = await setPolicy(deps, caller, { policy: body, ifMatch: header('if-match') });
      return { body: policy, headers: { ETag: tag } };
    },
    'POST /v1/image-exceptions': async ({ caller, body }) => {
      const { exception, isNew } = await addException(deps, caller, body);
      return {
        ...(isNew ? {} : { status: 200 }),
        body: exception,
        headers: { Location: `image-exceptions/${exception.exceptionId}` },
      };
    },
    'GET /v1/image-exceptions': async ({ caller, query }) => ({
      body: await listExceptions(deps, caller.tenantId, query),
    }),
    'GET /v1/image-exceptions/{exceptionId}': async ({ caller, params }) => ({
      body: await findException(deps, caller.tenantId, params.exceptionId),
    }),
    'DELETE /v1/image-exceptions/{exceptionId}': async ({ caller, params }) => {
      await removeException(deps, caller, params.exceptionId);
      return {};
    },
    'POST /v1/image-exceptions/imports': async ({ caller, query, rawBody, header }) => ({
      body: await importExceptions(deps, caller, {
        csv: readCsvBody(rawBody(), header),
        dryRun: query.dryRun === 'true',
      }),
    }),
    'GET /v1/image-statements': async ({ caller, query }) => ({
      body: await listStatements(deps, caller.tenantId, query),
    }),
    'DELETE /v1/image-statements': async ({ caller, query }) => {
      await removeStatementsOf(deps, caller, query.author);
      return {};
    },
    'DELETE /v1/image-statements/{statementId}': async ({ caller, params }) => {
      await removeStatement(deps, caller, params.statementId);
      return {};
    },
  };
}
