import { createHash } from 'node:crypto';
import type { JsonObject } from './kube-json.ts';
import type { Resource } from './kube-api-resource.ts';
import { groupVersionOf, resources } from './kube-api-resource.ts';

const pathOf = (resource: Resource) =>
  resource.group === '' ? `api/${resource.version}` : `apis/${groupVersionOf(resource)}`;

/** The documents of `/openapi/v3/…`: just enough for kubectl to see that the server validates fields itself. */
function documentOf(path: string): JsonObject | undefined {
  const served = resources.filter((resource) => pathOf(resource) === path);
  if (served.length === 0) return undefined;
  const paths: JsonObject = {};
  for (const resource of served) {
    const place = resource.namespaced ? 'namespaces/{namespace}/' : '';
    const { group, version, kind } = resource;
    paths[`/${path}/${place}${resource.plural}/{name}`] = {
      patch: {
        'x-kubernetes-group-version-kind': { group, version, kind },
        parameters: [{ name: 'fieldValidation', in: 'query', schema: { type: 'string', uniqueItems: true } }],
        responses: { '200': { description: 'OK' } },
      },
    };
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes (demo stand-in)', version: 'v1' },
    paths,
    components: { schemas: {} },
  };
}

/** The answer below `/openapi/v3`: '' is the index, else a group-version's path; undefined where there is none. */
export function openApi(path: string): JsonObject | undefined {
  if (path !== '') return documentOf(path);
  const paths: JsonObject = {};
  for (const served of new Set(resources.map(pathOf))) {
    const hash = createHash('sha256')
      .update(JSON.stringify(documentOf(served)))
      .digest('hex')
      .slice(0, 32);
    paths[served] = { serverRelativeURL: `/openapi/v3/${served}?hash=${hash}` };
  }
  return { paths };
}
