import type { RouteHandlers } from '../../core/api/api-function.ts';
import { Problem } from '../../core/problem/problem.ts';
import { admissionBundle, bundleKeys } from './admission-bundle.ts';
import { answeredReview } from './answer-review.ts';
import type { Dependencies } from './deps.ts';
import { importedPolicy, replacePolicy, showPolicy, tagOf } from './kept-policy.ts';
import { RecentJudgements } from './recent-judgements.ts';
import { testedPolicy } from './tested-policy.ts';

/** An API server takes objects of 3 MB, of which etcd keeps 1.5; a review of an update has the old one, too. */
const maxReview = 4 * 1024 * 1024;

/** The handlers of this function's rows. Units: in the docstring of each use case; test/functions/admission pins them. */
export function handlers(deps: Dependencies): RouteHandlers<'admission'> {
  const judging = { ...deps, judgements: new RecentJudgements() };
  return {
    'POST /v1/admission-reviews': async ({ caller, query, body, rawBody }) => {
      notLarger(rawBody());
      const { tenantId } = caller;
      return {
        body: await answeredReview(judging, tenantId, { request: body.request, timeout: query.timeout }),
      };
    },
    'GET /v1/admission-policy': async ({ caller }) => {
      const { revision, policy } = await showPolicy(deps, caller.tenantId);
      return { body: policy, headers: { ETag: tagOf(revision) } };
    },
    'PUT /v1/admission-policy': async ({ caller, body, header }) => {
      const asked = { policy: body, ifMatch: header('if-match') };
      const { revision, policy } = await replacePolicy(deps, caller, asked);
      return { body: policy, headers: { ETag: tagOf(revision) } };
    },
    'POST /v1/admission-policy/imports': async ({ caller, query, rawBody, header }) => {
      const text = yamlText(rawBody(), header('content-type'));
      const { revision, ...imported } = await importedPolicy(deps, caller, {
        text,
        dryRun: query.dryRun === 'true',
      });
      return { body: imported, headers: { ETag: tagOf(revision) } };
    },
    'POST /v1/admission-policy/tests': async ({ caller, body, rawBody }) => {
      notLarger(rawBody());
      return { body: await testedPolicy(judging, caller.tenantId, body) };
    },
    'GET /v1/admission-bundle': async ({ caller, query, header }) =>
      admissionBundle(deps, {
        tenantId: caller.tenantId,
        ...query,
        ifNoneMatch: header('if-none-match'),
      }),
    'GET /v1/admission-bundle/keys': async () => bundleKeys(deps),
  };
}

function notLarger({ byteLength }: Buffer): void {
  if (byteLength > maxReview) throw new Problem('PAYLOAD_TOO_LARGE', 'A review may have 4 MB.');
}

/** YAML, of which JSON is a part. UNSUPPORTED_MEDIA_TYPE; INVALID_REQUEST for bytes that are no UTF-8. */
function yamlText(bytes: Buffer, type: string | undefined): string {
  if (type !== undefined && !/^(?:application|text)\/(?:x-)?(?:yaml|json)\s*(?:;|$)/i.test(type)) {
    throw new Problem('UNSUPPORTED_MEDIA_TYPE', 'The body must be application/yaml.');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new Problem('INVALID_REQUEST', 'The body is not UTF-8.', { cause: error });
  }
}
