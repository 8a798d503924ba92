import type { RouteHandlers } from '../../core/api/api-function.ts';
import type { Dependencies } from './deps.ts';
import { imageView, listImages } from './images.ts';
import { reached } from './reached.ts';
import { readReportBody } from './report-body.ts';
import { takeReport } from './take-report.ts';

/** The handlers of this function's rows. Units: in the docstring of each repository; test/functions/image-scan pins them. */
export function handlers(deps: Dependencies): RouteHandlers<'image-scan'> {
  const { policies } = deps;
  return {
    'POST /v1/scans': async ({ caller, query, rawBody, header }) => {
      const result = await takeReport(deps, {
        tenantId: caller.tenantId,
        report: readReportBody(rawBody(), header),
        image: query.image,
        digest: query.digest,
      });
      // Relative to …/v1/scans: the base URL may hold a stage's path that this function does not know.
      const path = 'items' in result ? 'images' : `images/${result.digest}`;
      return { body: result, headers: { Location: path } };
    },
    'GET /v1/images': async ({ caller, query }) => ({
      body: await listImages(deps, caller.tenantId, query),
    }),
    'GET /v1/images/{digest}': async ({ caller, params }) => ({
      body: await imageView(deps, caller.tenantId, params.digest),
    }),
    'GET /v1/image-policy': async ({ caller }) => ({
      body: await reached('The image policy', policies.read(caller.tenantId)),
    }),
    'PUT /v1/image-policy': async ({ caller, body }) => {
      await reached('The image policy', policies.write(caller.tenantId, body));
      return { body };
    },
  };
}
