import type { Answer, RouteHandlers } from '../../core/api/api-function.ts';
import { certificateInUse, expiryNotice } from '../../core/cluster/certificate-in-use.ts';
import type { ClusterRecord } from '../../core/cluster/cluster-repository.ts';
import { onlyItsOwn } from '../../core/cluster/own-cluster.ts';
import { Problem } from '../../core/problem/problem.ts';
import { accessRuleView, addAccessRule, removeAccessRule } from './access-rules.ts';
import { deleteApiKey, issueApiKey, listApiKeys } from './api-keys.ts';
import { changeClusterSettings } from './cluster-settings.ts';
import { certificateNotice } from './certificate-notice.ts';
import { clusterView } from './cluster-view.ts';
import type { Dependencies } from './deps.ts';
import { disconnectCluster } from './disconnect-cluster.ts';
import { registerCluster } from './register-cluster.ts';
import {
  issueRegistrationToken,
  registrationTokenView,
  revokeRegistrationToken,
} from './registration-tokens.ts';
import { renewCertificate } from './renew-certificate.ts';
import { maxReportBytes, reportProgress } from './report-progress.ts';
import { retireCertificate } from './retire-certificate.ts';
import { showProgress } from './show-progress.ts';

/**
 * One handler for each row of the route table that this function answers. `Location` is relative to the request's
 * URL: the base URL may contain a stage's path, which nothing here knows.
 */
export function handlers(deps: Dependencies): RouteHandlers<'registration'> {
  const oneCluster = async (record: ClusterRecord): Promise<Answer> => {
    const now = deps.now();
    const tunnel = (await deps.tunnels.locateAll([record.clusterId], now)).get(record.clusterId);
    return {
      body: clusterView(record, tunnel, now),
      headers: expiryNotice(certificateInUse(record, tunnel), now),
    };
  };
  return {
    'GET /v1/me': ({ caller: { tenantId, principal, scopes } }) =>
      Promise.resolve({ body: { tenantId, principal, scopes: [...scopes] } }),

    'POST /v1/registration-tokens': async ({ caller, body }) => {
      const issued = await issueRegistrationToken(deps, caller, body);
      return { body: issued, headers: { Location: `registration-tokens/${issued.tokenId}` } };
    },

    /** Units: 1 read per 4 KB: some 10 tokens. */
    'GET /v1/registration-tokens': async ({ caller, query }) => {
      const { items, ...next } = await deps.tokens.list(caller.tenantId, query);
      const now = deps.now();
      return { body: { items: items.map((token) => registrationTokenView(token, now)), ...next } };
    },

    'DELETE /v1/registration-tokens/{tokenId}': async ({ caller, params }) => {
      await revokeRegistrationToken(deps, caller.tenantId, params.tokenId);
      return {};
    },

    'POST /v1/api-keys': async ({ caller, body }) => {
      const issued = await issueApiKey(deps, caller, body);
      return { body: issued, headers: { Location: `api-keys/${issued.keyId}` } };
    },

    'GET /v1/api-keys': async ({ caller, query }) => ({
      body: await listApiKeys(deps, caller.tenantId, query),
    }),

    'DELETE /v1/api-keys/{keyId}': async ({ caller, params }) => {
      await deleteApiKey(deps, caller.tenantId, params.keyId);
      return {};
    },

    'POST /v1/registrations': async ({ caller, body }) => {
      const registered = await registerCluster(deps, caller, body);
      return { body: registered, headers: { Location: `clusters/${registered.clusterId}` } };
    },

    /** Units: 1 read per 4 KB of clusters (about 2 of them), 0.5 for each one's tunnel and for each task. */
    'GET /v1/clusters': async ({ caller, query }) => {
      const { items, ...next } = await deps.registered.list(caller.tenantId, query);
      const now = deps.now();
      const tunnels = await deps.tunnels.locateAll(
        items.map(({ clusterId }) => clusterId),
        now,
      );
      const view = (record: ClusterRecord) => clusterView(record, tunnels.get(record.clusterId), now);
      return { body: { items: items.map(view), ...next } };
    },

    /** Units: 1 read, 0.5 for the tunnel, 0.5 for its task. */
    'GET /v1/clusters/{clusterId}': async ({ caller, params: { clusterId } }) => {
      onlyItsOwn(caller, clusterId);
      const record = await deps.clusters.find(caller.tenantId, clusterId);
      if (!record) throw new Problem('NOT_FOUND');
      return oneCluster(record);
    },

    /** Units: 2 to 3 writes, 0.5 reads for the tunnel, 0.5 for its task. */
    'PATCH /v1/clusters/{clusterId}': async ({ caller, params: { clusterId }, body }) => {
      const record = await changeClusterSettings(deps, caller, clusterId, body);
      return oneCluster(record);
    },

    'DELETE /v1/clusters/{clusterId}': async ({ caller, params }) => {
      await disconnectCluster(deps, caller, params.clusterId);
      return {};
    },

    'POST /v1/clusters/{clusterId}/progress': async ({ caller, params, body, rawBody }) => {
      if (rawBody().byteLength > maxReportBytes) throw new Problem('PAYLOAD_TOO_LARGE');
      const { taken, cluster } = await reportProgress(deps, caller, params.clusterId, body);
      return { body: taken, headers: await certificateNotice(deps, cluster) };
    },

    'GET /v1/clusters/{clusterId}/progress': async ({ caller, params, query }) => {
      const { progress, cluster } = await showProgress(deps, caller, params.clusterId, query.follow);
      return { body: progress, headers: await certificateNotice(deps, cluster) };
    },

    'POST /v1/clusters/{clusterId}/certificates': async ({ caller, params, body }) => {
      const renewed = await renewCertificate(deps, caller, params.clusterId, body);
      return { body: renewed, headers: { Location: `certificates/${renewed.fingerprint}` } };
    },

    'DELETE /v1/clusters/{clusterId}/certificates/{fingerprint}': async ({ caller, params }) => {
      await retireCertificate(deps, caller, params.clusterId, params.fingerprint);
      return {};
    },

    'POST /v1/access-rules': async ({ caller, body }) => {
      const rule = await addAccessRule(deps, caller, body);
      return { body: rule, headers: { Location: `access-rules/${rule.ruleId}` } };
    },

    /** Units: 1 read per 4 KB: some 10 rules. */
    'GET /v1/access-rules': async ({ caller, query }) => {
      const { items, ...next } = await deps.accessRules.list(caller.tenantId, query);
      return { body: { items: items.map(accessRuleView), ...next } };
    },

    /** Units: 1 read. */
    'GET /v1/access-rules/{ruleId}': async ({ caller, params }) => {
      const rule = await deps.accessRules.find(caller.tenantId, params.ruleId);
      if (!rule) throw new Problem('NOT_FOUND');
      return { body: accessRuleView(rule) };
    },

    'DELETE /v1/access-rules/{ruleId}': async ({ caller, params }) => {
      await removeAccessRule(deps, caller, params.ruleId);
      return {};
    },
  };
}
