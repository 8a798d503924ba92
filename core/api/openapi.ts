import * as z from 'zod';
import { problemCodes, problemMediaType } from '../problem/problem.ts';
import { type Route, routeTable } from './route-table.ts';

const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.enum(Object.keys(problemCodes)),
    detail: z.string().optional(),
    requestId: z.string(),
    errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem' });

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document of the route table: made from the very schemas that check the requests. */
export function openApiDocument(serverUrl: string): Json {
  const components: Json = {};
  const paths: Record<string, Json> = {};
  for (const [key, route] of Object.entries<Route>(routeTable)) {
    const [method = '', path = ''] = key.split(' ');
    (paths[path] ??= {})[method.toLowerCase()] = operation(key, route, components);
  }
  reference(problemSchema, 'output', components);
  return {
    openapi: '3.1.1',
    info: {
      title: 'Cattery',
      version: 'v1',
      description: 'The control plane of Calico clusters. Errors are RFC 9457 problems with a stable code.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: serverUrl }],
    paths,
    components: {
      schemas: components,
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'An OIDC ID token, API key (cak_), registration token (crt_) or cluster token (ccr_)',
        },
      },
    },
  };
}

function operation(key: string, route: Route, components: Json): Json {
  const needed = Array.isArray(route.scopes) ? ` Needs ${route.scopes.join(' or ')}.` : '';
  const codes = [
    'INTERNAL',
    ...(route.scopes === 'public' ? [] : ['UNAUTHENTICATED', 'NOT_A_MEMBER', 'ACCESS_DENIED']),
    ...(route.params || route.query || route.body ? ['INVALID_REQUEST'] : []),
    ...(route.body && route.body !== 'report' ? ['INVALID_JSON', 'UNSUPPORTED_MEDIA_TYPE'] : []),
    ...(route.problems ?? []),
  ];
  return {
    operationId: operationId(key),
    tags: [route.role],
    summary: route.summary,
    description: `${route.summary}.${needed}`,
    security: route.scopes === 'public' ? [] : [{ bearer: [] }],
    parameters: [...parameters(route.params, 'path'), ...parameters(route.query, 'query')],
    ...(route.body ? { requestBody: requestBody(route, route.body, components) } : {}),
    responses: {
      [String(route.answer.status)]: {
        description: route.answer.description,
        ...(route.answer.schema || route.answer.type
          ? {
              content: {
                [route.answer.type ?? 'application/json']: {
                  schema: route.answer.schema
                    ? reference(route.answer.schema, 'output', components)
                    : { type: 'string' },
                },
                ...Object.fromEntries(
                  Object.entries(route.answer.others ?? {}).map(([type, other]) => [
                    type,
                    { schema: reference(other, 'output', components) },
                  ]),
                ),
              },
            }
          : {}),
      },
      ...(route.answer.redirect ? { 302: redirection(route.answer.redirect) } : {}),
      default: {
        description: `A problem: ${[...new Set(codes)].join(', ')}`,
        content: { [problemMediaType]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  };
}

const redirection = (description: string): Json => ({
  description,
  headers: { Location: { required: true, schema: { type: 'string', format: 'uri' } } },
});

/** `DELETE /v1/clusters/{clusterId}` → `deleteClustersByClusterId`. */
function operationId(key: string): string {
  const [method = '', path = ''] = key.split(' ');
  const words = path
    .replace(/^\/v1/, '')
    .split(/[/.-]/)
    .filter((word) => word !== '')
    .map((word) => word.replace(/^\{(.*)\}$/, 'by-$1'))
    .flatMap((word) => word.split('-'))
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return method.toLowerCase() + words.join('');
}

function parameters(schema: z.ZodObject | undefined, place: 'path' | 'query'): Json[] {
  return Object.entries(schema?.shape ?? {}).map(([name, value]) => ({
    name,
    in: place,
    required: place === 'path' || !(value as z.ZodType).safeParse(undefined).success,
    schema: jsonSchema(value as z.ZodType, 'input').schema,
  }));
}

function requestBody(
  { bodyType = 'application/json', bodySchema }: Route,
  body: z.ZodType | 'report',
  components: Json,
): Json {
  const shown = body === 'report' ? bodySchema : body;
  if (!shown) throw new Error('A body that its function reads itself has no schema to show.');
  return { required: true, content: { [bodyType]: { schema: reference(shown, 'input', components) } } };
}

/** The schema, with what has an `id` moved to the components and pointed at. */
function reference(schema: z.ZodType, io: 'input' | 'output', components: Json): Json {
  const { schema: made, definitions } = jsonSchema(schema, io);
  for (const [name, definition] of Object.entries(definitions)) components[name] = definition;
  const id = schema.meta()?.id;
  if (!id) return made;
  // A schema with an `id` may come as a mere reference to its own definition, which is among the components by now.
  if (!('$ref' in made)) components[id] = made;
  return { $ref: `#/components/schemas/${id}` };
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): { schema: Json; definitions: Json } {
  const text = JSON.stringify(z.toJSONSchema(schema, { io })).replaceAll('#/$defs/', '#/components/schemas/');
  const {
    $schema: _dialect,
    $defs,
    id: _id,
    ...made
  } = JSON.parse(text) as Json & { $defs?: Record<string, Json> };
  const definitions = Object.fromEntries(
    Object.entries($defs ?? {}).map(([name, { id: _, ...definition }]) => [name, definition]),
  );
  return { schema: made, definitions };
}
