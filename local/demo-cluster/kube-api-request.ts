import type { Http2ServerRequest } from 'node:http2';
import { parse as parseYaml } from 'yaml';
import type { Json, JsonObject } from './kube-json.ts';
import { decodeProtobuf, protobufType } from './kube-api-protobuf.ts';
import type { Resource } from './kube-api-resource.ts';
import { findResource } from './kube-api-resource.ts';
import { KubeError, noSuchPath } from './kube-api-status.ts';
import type { IncludeObject } from './kube-api-table.ts';

/** A path below `/api/v1/` or `/apis/{group}/{version}/`, taken apart. */
export type ResourcePath = {
  resource: Resource;
  namespace: string | undefined;
  name: string | undefined;
  subresource: string | undefined;
};

/** @throws KubeError NotFound for a path that no resource serves */
export function parseResourcePath(group: string, version: string, segments: string[]): ResourcePath {
  const [first, second, third] = segments;
  const namespaced =
    first === 'namespaces' && third !== undefined && third !== 'status' && third !== 'finalize';
  const [plural = '', name, subresource, ...more] = namespaced ? segments.slice(2) : segments;
  const resource = findResource(group, version, plural);
  if (!resource || more.length > 0 || (namespaced && !resource.namespaced)) throw noSuchPath();
  if (name !== undefined && resource.namespaced && !namespaced) throw noSuchPath();
  if (subresource !== undefined && !resource.subresources.some((offered) => offered === subresource))
    throw noSuchPath();
  return { resource, namespace: namespaced ? second : undefined, name, subresource };
}

/** The form in which a client wants objects. */
export type Form = { as: 'Object' } | { as: 'Table'; version: string } | { as: 'Partial' };

type MediaRange = { type: string; parameters: Map<string, string> };

/** The media ranges of an Accept header in their order (the API server, too, takes the first it can serve). */
export function mediaRanges(accept: string | undefined): MediaRange[] {
  return (accept ?? '*/*').split(',').map((range) => {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    return {
      type: type.toLowerCase(),
      parameters: new Map(
        parameters.map((parameter) => {
          const [key = '', value = ''] = parameter.split('=');
          return [key.toLowerCase(), value];
        }),
      ),
    };
  });
}

const jsonTypes = ['application/json', 'application/*', '*/*', ''];

/** @throws KubeError NotAcceptable when no range can be served as JSON */
export function formOf(accept: string | undefined): Form {
  for (const { type, parameters } of mediaRanges(accept)) {
    if (!jsonTypes.includes(type)) continue;
    const as = parameters.get('as');
    const version = parameters.get('v') ?? '';
    const known = parameters.get('g') === 'meta.k8s.io' && (version === 'v1' || version === 'v1beta1');
    if (as === undefined) return { as: 'Object' };
    if (as === 'Table' && known) return { as: 'Table', version };
    if (as.startsWith('PartialObjectMetadata') && known) return { as: 'Partial' };
  }
  throw new KubeError('NotAcceptable', 'only the following media types are accepted: application/json');
}

/** The aggregated discovery version the client prefers, or undefined where it wants the legacy documents. */
export function aggregatedVersion(accept: string | undefined): 'v2' | 'v2beta1' | undefined {
  for (const { type, parameters } of mediaRanges(accept)) {
    if (!jsonTypes.includes(type)) continue;
    if (parameters.get('as') === undefined) return undefined;
    const version = parameters.get('v');
    const known =
      parameters.get('g') === 'apidiscovery.k8s.io' && parameters.get('as') === 'APIGroupDiscoveryList';
    if (known && (version === 'v2' || version === 'v2beta1')) return version;
  }
  return undefined;
}

/** @throws KubeError BadRequest */
export function includeObjectOf(query: URLSearchParams): IncludeObject {
  const given = query.get('includeObject') ?? '';
  if (given === '' || given === 'Metadata') return 'Metadata';
  if (given === 'None' || given === 'Object') return given;
  throw new KubeError('BadRequest', 'includeObject must be None, Metadata or Object');
}

/** True when the request is a rehearsal (`dryRun=All`). @throws KubeError BadRequest for another value */
export function isDryRun(query: URLSearchParams, options?: JsonObject): boolean {
  const given = [...query.getAll('dryRun'), ...(Array.isArray(options?.dryRun) ? options.dryRun : [])];
  if (given.some((value) => value !== 'All'))
    throw new KubeError('BadRequest', 'dryRun: the only supported value is "All"');
  return given.length > 0;
}

const bodyLimit = 3 * 1024 * 1024;

/** The media type of the body without its parameters. */
export function contentTypeOf(request: Http2ServerRequest): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** The body. @throws KubeError RequestEntityTooLarge beyond 3 MiB, the API server's own bound */
async function readBytes(request: Http2ServerRequest): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > bodyLimit) {
      throw new KubeError('RequestEntityTooLarge', 'Request entity too large: limit is 3145728');
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

/** The body as text. @throws KubeError RequestEntityTooLarge */
export async function readText(request: Http2ServerRequest): Promise<string> {
  return (await readBytes(request)).toString('utf8');
}

/** A JSON or YAML text. @throws KubeError BadRequest */
export function parseBody(text: string, format: 'json' | 'yaml'): Json {
  try {
    return (format === 'yaml' ? parseYaml(text) : JSON.parse(text)) as Json;
  } catch (error) {
    throw new KubeError(
      'BadRequest',
      `couldn't parse the ${format} body: ${error instanceof Error ? error.message : ''}`,
    );
  }
}

/**
 * The body of a create, an update or a delete; the last may be empty.
 * @throws KubeError UnsupportedMediaType for anything but JSON, YAML and the protobuf that is known
 */
export async function readObject(request: Http2ServerRequest, empty?: 'may be empty'): Promise<Json> {
  const type = contentTypeOf(request);
  const bytes = await readBytes(request);
  if (empty && bytes.length === 0) return {};
  if (type === protobufType) return decodeProtobuf(bytes);
  if (type === 'application/yaml') return parseBody(bytes.toString('utf8'), 'yaml');
  if (type === 'application/json' || type === '') return parseBody(bytes.toString('utf8'), 'json');
  const accepted = `application/json, application/yaml, ${protobufType}`;
  throw new KubeError(
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted}`,
  );
}
