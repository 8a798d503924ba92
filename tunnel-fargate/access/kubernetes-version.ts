/**
 * `version.Info` (k8s.io/apimachinery, pkg/version), which `kubectl version` and its skew warning read. Guardian does
 * not let `/version` through, so it is made from what the cluster said of itself when it registered, or when its
 * installer last succeeded; what it did not say stays empty.
 */
export function versionInfo(kubernetesVersion: string): Readonly<Record<string, string>> {
  const [, major = '', minor = ''] = /^v?(\d+)\.(\d+)/.exec(kubernetesVersion) ?? [];
  return {
    major,
    minor,
    gitVersion: kubernetesVersion,
    gitCommit: '',
    gitTreeState: '',
    buildDate: '',
    goVersion: '',
    compiler: '',
    platform: '',
  };
}
