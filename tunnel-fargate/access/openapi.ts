import { createHash } from 'node:crypto';
import type { GroupDiscovery, VersionDiscovery } from './discovery-document.ts';

/** `api/v1` or `apis/{group}/{version}`: how OpenAPI v3 names the document of a group-version. */
const documentName = (group: string, version: string) =>
  group === '' ? `api/${version}` : `apis/${group}/${version}`;

type Served = { readonly name: string; readonly group: string; readonly version: VersionDiscovery };

const servedOf = (groups: readonly GroupDiscovery[]): Served[] =>
  groups.flatMap(({ metadata, versions }) =>
    versions.map((version) => ({
      name: documentName(metadata?.name ?? '', version.version),
      group: metadata?.name ?? '',
      version,
    })),
  );

/**
 * The index of `/openapi/v3`. The addresses begin at `/openapi/v3`, which client-go takes as relative to the base
 * path of its kubeconfig (kubernetes#117463).
 */
export function openApiIndex(groups: readonly GroupDiscovery[]): string {
  const paths = servedOf(groups).map((served) => {
    const hash = createHash('sha256').update(documentText(served)).digest('hex').slice(0, 32);
    return [served.name, { serverRelativeURL: `/openapi/v3/${served.name}?hash=${hash}` }] as const;
  });
  return JSON.stringify({ paths: Object.fromEntries(paths) });
}

/** The document of one group-version by its name (`apis/apps/v1`); undefined when the cluster does not serve it. */
export function openApiDocument(groups: readonly GroupDiscovery[], name: string): string | undefined {
  const served = servedOf(groups).find((candidate) => candidate.name === name);
  return served && documentText(served);
}

/**
 * Just what kubectl looks for before it leaves the check of fields to the API server: for each kind a
 * PATCH with the query parameter `fieldValidation`. No schemas: discovery tells none, and Guardian lets the real
 * document not through. kubectl then merges by its own built-in knowledge of types.
 */
function documentText({ name, group, version }: Served): string {
  const paths = (version.resources ?? []).map(({ resource, scope, responseKind }) => {
    const place = scope === 'Namespaced' ? 'namespaces/{namespace}/' : '';
    const patch = {
      'x-kubernetes-action': 'patch',
      'x-kubernetes-group-version-kind': {
        group: responseKind?.group ?? group,
        version: responseKind?.version || version.version,
        kind: responseKind?.kind ?? '',
      },
      parameters: [{ name: 'fieldValidation', in: 'query', schema: { type: 'string', uniqueItems: true } }],
      responses: { '200': { description: 'OK' } },
    };
    return [`/${name}/${place}${resource}/{name}`, { patch }] as const;
  });
  return JSON.stringify({
    openapi: '3.0.0',
    info: { title: 'Kubernetes, as seen through Cattery', version: 'v1' },
    paths: Object.fromEntries(paths),
    components: { schemas: {} },
  });
}
