import type { RouteHandlers } from '../../core/api/api-function.ts';
import { expiryNotice, findCertificateInUse } from '../../core/cluster/certificate-in-use.ts';
import { openApiDocument } from '../../core/api/openapi.ts';
import { signInScopes } from '../../core/credential/sign-in-schema.ts';
import { reached } from '../../core/problem/reached.ts';
import { admissionWebhookManifest } from './admission-webhook-manifest.ts';
import { type Asset, assetAnswer, newAsset, textAsset } from './asset.ts';
import { ownCluster, trustOf } from './cluster-trust.ts';
import { connectManifest } from './connect-manifest.ts';
import type { Dependencies } from './deps.ts';
import { gitopsManifest } from './gitops.ts';
import { installationPatch } from './installation-patch.ts';
import { installerOf } from './installer.ts';
import { kubeconfig } from './kubeconfig.ts';
import type { PublishedScript } from './published-script.ts';
import { imageList, manifestAnswer, releaseDetails, releaseList, releaseOf } from './releases.ts';
import { scanReporterOf } from './scan-reporter.ts';

/**
 * The handlers of this function's rows. Units: `healthz` half a read; manifest and kubeconfig 1 read for the cluster
 * and half a read per 4 KB of trust, during a renewal half a read for the tunnel and its task each; the others none.
 * KMS: the public key of the bundles once, for the admission webhook's manifest.
 * S3 requests: one LIST for a release until all of it is mirrored, one GET for a release's manifest.
 * test/functions/install-assets pins them.
 */
export function handlers(deps: Dependencies): RouteHandlers<'install-assets'> {
  // Made once, at their first request: the import stays quick.
  let [document, offer]: [Asset | undefined, Asset | undefined] = [undefined, undefined];
  let [installer, reporter]: [PublishedScript | undefined, PublishedScript | undefined] = [
    undefined,
    undefined,
  ];
  const ownInstaller = async () => (installer ??= installerOf(await deps.script(), deps.addresses));
  const ownReporter = async () => (reporter ??= scanReporterOf(await deps.scanReporter(), deps.addresses));
  const details = releaseDetails(deps, deps.addresses.API_URL);
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
    'GET /install.sh': async ({ header }) =>
      assetAnswer((await ownInstaller()).script, header('if-none-match')),
    'GET /install.sh.sha256': async ({ header }) =>
      assetAnswer((await ownInstaller()).checksum, header('if-none-match')),
    'GET /scan-report.sh': async ({ header }) =>
      assetAnswer((await ownReporter()).script, header('if-none-match')),
    'GET /scan-report.sh.sha256': async ({ header }) =>
      assetAnswer((await ownReporter()).checksum, header('if-none-match')),
    'GET /v1/releases': ({ header }) => {
      offer ??= releaseList(deps.catalogue());
      return Promise.resolve(assetAnswer(offer, header('if-none-match')));
    },
    'GET /v1/releases/{version}': async ({ params, header }) =>
      assetAnswer(await details(releaseOf(deps.catalogue(), params.version)), header('if-none-match')),
    'GET /v1/releases/{version}/manifests/{name}': ({ params, header }) =>
      manifestAnswer(deps, releaseOf(deps.catalogue(), params.version), params.name, header('if-none-match')),
    'GET /v1/releases/{version}/images': ({ params, query, header }) => {
      const images = imageList(releaseOf(deps.catalogue(), params.version), query.with);
      return Promise.resolve(assetAnswer(images, header('if-none-match')));
    },
    'GET /v1/install/installation-patch': ({ query, header }) =>
      Promise.resolve(assetAnswer(newAsset(installationPatch(query)), header('if-none-match'))),
    'GET /v1/install/gitops.yaml': async ({ query, header }) => {
      const { text: script } = (await ownInstaller()).script;
      const manifest = gitopsManifest({ query, script, apiUrl: deps.addresses.API_URL });
      return assetAnswer(textAsset(manifest), header('if-none-match'));
    },
    'GET /v1/install/admission-webhook.yaml': async ({ query, header }) => {
      const keys = [await reached('the key of the bundles', deps.bundleSigner.key())];
      const manifest = admissionWebhookManifest({ query, keys, apiUrl: deps.addresses.API_URL });
      return assetAnswer(textAsset(manifest), header('if-none-match'));
    },
    'GET /v1/clusters/{clusterId}/manifest': async ({ caller, params, query: { access } }) => {
      const cluster = await ownCluster(deps, caller, params.clusterId);
      const trust = await trustOf(deps);
      const inUse = await findCertificateInUse(deps.tunnels, cluster, deps.now());
      const { TUNNEL_ADDRESS: tunnelAddress } = deps.addresses;
      const { clusterId, clusterName } = cluster;
      const connecting = { clusterId, clusterName, certificate: inUse.certificate };
      return {
        body: connectManifest({ cluster: connecting, trust, tunnelAddress, access }),
        headers: expiryNotice(inUse, deps.now()),
      };
    },
    'GET /v1/clusters/{clusterId}/kubeconfig': async ({ caller, params, query, header }) => {
      const { ACCESS_URL, ACCESS_TRUST } = deps.addresses;
      const cluster = await ownCluster(deps, caller, params.clusterId);
      const roots = ACCESS_TRUST === 'deployment' ? (await trustOf(deps)).roots : undefined;
      const token = query.embed === 'token' ? bearer(header('authorization')) : undefined;
      const inUse = await findCertificateInUse(deps.tunnels, cluster, deps.now());
      return {
        body: kubeconfig({ cluster, accessUrl: ACCESS_URL, roots, token }),
        headers: expiryNotice(inUse, deps.now()),
      };
    },
  };
}

/** The token that the authorizer has verified on this request. */
const bearer = (authorization = ''): string => authorization.replace(/^\s*bearer\s+/i, '').trim();
