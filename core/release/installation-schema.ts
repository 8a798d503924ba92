import * as z from 'zod';

/** RFC 1123: labels of letters, digits and hyphens. Upper case is left out, as image references leave it out. */
const label = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const hostAndPort = new RegExp(String.raw`^${label}(?:\.${label})*(?::\d{1,5})?$`);
/** Components of an image's name (OCI distribution specification, "Pulling manifests"). */
export const imageComponent = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const imagePath = new RegExp(String.raw`^${imageComponent}(?:/${imageComponent})*$`);
/** Of Secrets and ConfigMaps. */
export const objectName = new RegExp(String.raw`^${label}(?:\.${label})*$`);
/** Hosts, `.domain`, `*.domain`, addresses and networks, IPv6 too, with or without a port; or `*`. */
const exceptions = /^[A-Za-z0-9.:/*_[\]-]+(?:,[A-Za-z0-9.:/*_[\]-]+)*$/;

/** Why a proxy's address cannot be taken, in words that do not repeat it: it may hold a password. */
function proxyProblem(text: string): string | undefined {
  // The parser drops spaces and line ends by itself, which would then stand in environments.
  const url = /^[\x21-\x7e]+$/.test(text) && URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.hostname === '') {
    return 'must be the URL of an http or https proxy, such as http://proxy.example:3128';
  }
  if (url.username !== '' || url.password !== '' || text.includes('@')) {
    return 'must not hold a user or password: all who may read the Installation or the pods would see them. Let the proxy take this cluster by its address, or put one without a password before it';
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    return 'must end after host and port';
  }
  return undefined;
}
const proxy = z
  .string()
  .max(512)
  .superRefine((text, context) => {
    const message = proxyProblem(text);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });

const quoted = (pattern: RegExp, message: string) => z.string().max(512).regex(pattern, message);

/** What of a cluster's own may stand in its Installation object: where images come from, and its way out. */
export const installationFields = {
  registry: quoted(hostAndPort, 'must be HOST or HOST:PORT, in lower case')
    .optional()
    .meta({ description: 'where all images are pulled from', example: 'registry.example:5000' }),
  imagePath: quoted(imagePath, 'must be like team/calico, without slashes around it').optional().meta({
    description: "replaces the path of each image, in upstream's case calico",
    example: 'mirror/calico',
  }),
  imagePullSecret: z
    .string()
    .max(253)
    .regex(objectName, 'must be the name of a Secret in namespace tigera-operator')
    .optional()
    .meta({ description: 'a Secret in namespace tigera-operator; replaces the list of such secrets' }),
  httpProxy: proxy.optional().meta({ description: 'without user and password' }),
  httpsProxy: proxy
    .optional()
    .meta({ description: 'what the tunnel goes through; without user and password' }),
  noProxy: z
    .string()
    .max(4_096)
    .regex(exceptions, 'must be hosts, .domains, addresses or networks, separated by commas only')
    .optional()
    .meta({ example: '.svc,.cluster.local,10.96.0.0/12,192.168.0.0/16' }),
};

/** Without exceptions Calico would go through the proxy to its own API server. */
export function wantExceptions(
  { httpProxy, httpsProxy, noProxy }: Readonly<Partial<Record<string, unknown>>>,
  context: z.RefinementCtx,
): void {
  if ((httpProxy ?? httpsProxy) === undefined || noProxy !== undefined) return;
  context.addIssue({
    code: 'custom',
    path: ['noProxy'],
    message:
      "must come with a proxy, and exempt the cluster's own API server, services and pods from it: .svc,.cluster.local,<service network>,<pod network>",
  });
}

export const installationQuery = z.strictObject(installationFields).superRefine(wantExceptions);
export type InstallationQuery = z.infer<typeof installationQuery>;
