import type { RouteHandlers } from '../../core/api/api-function.ts';
import type { Dependencies } from './deps.ts';
import { fitting } from './fewer-findings.ts';
import { exportImages } from './image-export.ts';
import { imageFindings } from './image-findings.ts';
import { oneImage } from './images.ts';
import { listImages } from './list-images.ts';
import { readReportBody } from './report-body.ts';
import { ruleHandlers } from './rule-routes.ts';
import { takeReport } from './take-report.ts';
import { verdictHistory } from './verdict-history.ts';
import { uploadHandlers } from './upload-routes.ts';

/** The handlers of this function's rows. Units: in the docstring of each repository; test/functions/image-scan pins them. */
export function handlers(deps: Dependencies): RouteHandlers<'image-scan'> {
  return {
    'POST /v1/scans': async ({ caller, query, rawBody, header }) => {
      const result = await takeReport(deps, {
        tenantId: caller.tenantId,
        report: readReportBody(rawBody(), header),
        image: query.image,
        digest: query.digest,
        cluster: query.cluster,
        may: {
          report: caller.scopes.has('scans:write'),
          state: caller.scopes.has('image-policy:write'),
        },
      });
      // Relative to …/v1/scans: the base URL may hold a stage's path that this function does not know.
      const path = 'digest' in result ? `images/${result.digest}` : 'images';
      return { body: fitting(result), headers: { Location: path } };
    },
    'GET /v1/images': async ({ caller, query }) => ({
      body: await listImages(deps, caller.tenantId, query),
    }),
    'GET /v1/images/export': async ({ caller, query }) => {
      const { type, text, next } = await exportImages(deps, caller.tenantId, query);
      const link = next === undefined ? {} : { Link: `<${next}>; rel="next"` };
      return { body: text, headers: { 'Content-Type': type, ...link } };
    },
    'GET /v1/images/{digest}': async ({ caller, params }) => ({
      body: fitting(await oneImage(deps, caller.tenantId, params.digest)),
    }),
    'GET /v1/images/{digest}/findings': async ({ caller: { tenantId }, params: { digest }, query }) => ({
      body: await imageFindings(deps, { tenantId, digest, query }),
    }),
    'GET /v1/images/{digest}/history': async ({ caller: { tenantId }, params: { digest }, query }) => ({
      body: await verdictHistory(deps, { tenantId, digest, query }),
    }),
    ...ruleHandlers(deps),
    ...uploadHandlers(deps),
  };
}
