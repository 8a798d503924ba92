import type { RouteHandlers } from '../../core/api/api-function.ts';
import type { Dependencies } from './deps.ts';
import { issueUpload, uploadView } from './scan-uploads.ts';

type UploadHandlers = Pick<
  RouteHandlers<'image-scan'>,
  'POST /v1/scan-uploads' | 'GET /v1/scan-uploads/{uploadId}'
>;

/** The handlers of reports that are too large for a request's body. */
export const uploadHandlers = (deps: Dependencies): UploadHandlers => ({
  'POST /v1/scan-uploads': async ({ caller, body }) => {
    const issued = await issueUpload(deps, caller, body);
    return { body: issued, headers: { Location: `scan-uploads/${issued.uploadId}` } };
  },
  'GET /v1/scan-uploads/{uploadId}': async ({ caller, params, query }) => ({
    body: await uploadView(deps, caller.tenantId, params.uploadId, query.wait),
  }),
});
