/** What a request does to a Kubernetes object, as the API server names it, and `connect`. */
export const verbs = [
  'get',
  'list',
  'watch',
  'create',
  'update',
  'patch',
  'delete',
  'deletecollection',
  /** Ours for exec, attach, port-forward and proxy, whatever their method: they act inside the cluster. */
  'connect',
] as const;
export type Verb = (typeof verbs)[number];

/** Those that change nothing. */
export const readingVerbs: readonly Verb[] = ['get', 'list', 'watch'];

/** Subresources whose requests are `connect`. */
export const connectingSubresources: ReadonlySet<string> = new Set([
  'exec',
  'attach',
  'portforward',
  'proxy',
  // KubeVirt's, of the same nature.
  'console',
  'vnc',
  'usbredir',
  'vsock',
]);
