import type { InstallationQuery } from '../../core/release/installation-schema.ts';

/** A JSON merge patch (RFC 7396) of an Installation of operator.tigera.io/v1: what is not named stays as it is. */
export type InstallationPatch = {
  readonly spec: {
    readonly registry?: string;
    readonly imagePath?: string;
    readonly imagePullSecrets?: readonly { readonly name: string }[];
    readonly proxy?: { readonly httpProxy?: string; readonly httpsProxy?: string; readonly noProxy?: string };
  };
};

/**
 * What belongs to a cluster's Installation object, for
 * `kubectl patch installation default --type=merge --patch-file`. It is never part of the connect manifest: the
 * Installation is the cluster owner's, and applying it whole would take away what else it says.
 */
export function installationPatch({
  registry,
  imagePath,
  imagePullSecret,
  httpProxy,
  httpsProxy,
  noProxy,
}: InstallationQuery): InstallationPatch {
  const proxy = {
    ...(httpProxy === undefined ? {} : { httpProxy }),
    ...(httpsProxy === undefined ? {} : { httpsProxy }),
    ...(noProxy === undefined ? {} : { noProxy }),
  };
  return {
    spec: {
      // The CRD wants the slash: "the given value must end with a slash character".
      ...(registry === undefined ? {} : { registry: `${registry}/` }),
      ...(imagePath === undefined ? {} : { imagePath }),
      ...(imagePullSecret === undefined ? {} : { imagePullSecrets: [{ name: imagePullSecret }] }),
      ...(Object.keys(proxy).length === 0 ? {} : { proxy }),
    },
  };
}
