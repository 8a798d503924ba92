import type { RouteHandlers } from '../../core/api/api-function.ts';
import { openApiDocument } from '../../core/api/openapi.ts';
import { signInScopes } from '../../core/credential/sign-in-schema.ts';
import { type Asset, assetAnswer, newAsset } from './asset.ts';
import { ownCluster, trustOf } from './cluster-trust.ts';
import { connectManifest } from './connect-manifest.ts';
import type { Dependencies } from './deps.ts';
import { kubeconfig } from './kubeconfig.ts';
import { releases } from './releases.ts';

/**
 * The handlers of this function's rows. Units: `healthz` half a read; manifest and kubeconfig 1 read for the cluster
 * and half a read per 4 KB of trust; the others none. test/functions/install-assets pins them.
 */
export function handlers(deps: Dependencies): RouteHandlers<'install-assets'> {
  // Made once, at their first request: the import stays quick.
  let [document, offer]: [Asset | undefined, Asset | undefined] = [undefined, undefined];
  return {
    'GET /healthz': async () => {
      await trustOf(deps);
      return { body: { status: 'ok' } };
    },
    'GET /openapi.json': ({ header }) => {
      document ??= newAsset(openApiDocument(deps.addresses.API_URL));
      return Promise.resolve(assetAnswer(document, header('if-none-match')));
    },
    'GET /v1/sign-in': () =>
      Promise.resolve({
        body: {
          issuer: deps.identity.OIDC_ISSUER,
          // An ID token's audience is the client that asked for it (OIDC Core §2).
          clientId: deps.identity.OIDC_AUDIENCE,
          scopes: signInScopes,
          accessUrl: deps.addresses.ACCESS_URL.replace(/\/+$/, ''),
        },
      }),
    'GET /v1/releases': ({ header }) => {
      offer ??= newAsset({ items: releases });
      return Promise.resolve(assetAnswer(offer, header('if-none-match')));
    },
    'GET /v1/clusters/{clusterId}/manifest': async ({ caller, params, query: { access } }) => {
      const cluster = await ownCluster(deps, caller, params.clusterId);
      const trust = await trustOf(deps);
      const { TUNNEL_ADDRESS: tunnelAddress } = deps.addresses;
      return { body: connectManifest({ cluster, trust, tunnelAddress, access }) };
    },
    'GET /v1/clusters/{clusterId}/kubeconfig': async ({ caller, params, query, header }) => {
      const { ACCESS_URL, ACCESS_TRUST } = deps.addresses;
      const cluster = await ownCluster(deps, caller, params.clusterId);
      const roots = ACCESS_TRUST === 'deployment' ? (await trustOf(deps)).roots : undefined;
      const token = query.embed === 'token' ? bearer(header('authorization')) : undefined;
      return { body: kubeconfig({ cluster, accessUrl: ACCESS_URL, roots, token }) };
    },
  };
}

/** The token that the authorizer has verified on this request. */
const bearer = (authorization = ''): string => authorization.replace(/^\s*bearer\s+/i, '').trim();
