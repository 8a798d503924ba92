import { connectingSubresources, readingVerbs, type Verb } from '../../core/access/kubernetes-verbs.ts';
import { Problem } from '../../core/problem/problem.ts';

export type { Verb };

/**
 * What a request asks of a Kubernetes API, derived from method, path and query by the rules of the API server's own
 * RequestInfo (k8s.io/apiserver, pkg/endpoints/request), so that we authorise what the cluster will do.
 */
export type RequestAttributes = {
  readonly verb: Verb;
  /** The same as the API server itself names it: `connect` is ours, and there `create` (POST), `get` (GET), … */
  readonly apiVerb: Exclude<Verb, 'connect'>;
  /** False: discovery and other documents; then only `verb` and `path` mean something. */
  readonly isResource: boolean;
  readonly path: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  /** Empty for collections, unless a field selector names one object. */
  readonly name: string;
};

/** Methods that a Kubernetes API knows; others are refused before they get here. */
export const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
export type Method = (typeof methods)[number];

const verbOfMethod = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
} as const satisfies Readonly<Record<Method, Verb>>;

/** Segments that follow a namespace's name and belong to the namespace itself. */
const namespaceSubresources: ReadonlySet<string> = new Set(['status', 'finalize']);

/**
 * What Go's reader of queries drops a parameter for (net/url.ParseQuery): read here and not there, it would make a
 * watch of a list, or one object of all.
 */
const unlikeGo = /;|%(?![0-9A-Fa-f]{2})/;

/**
 * `segments`: the path below `/clusters/{id}`, decoded. `query`: with or without its question mark.
 * @throws Problem INVALID_REQUEST when the query decides what is asked, and readers differ in how they read it
 */
export function requestAttributes(
  method: Method,
  segments: readonly string[],
  query: string,
): RequestAttributes {
  const path = `/${segments.join('/')}`;
  const none = { path, group: '', version: '', resource: '', subresource: '', namespace: '', name: '' };
  const verb = verbOfMethod[method];
  const grouped = segments[0] === 'apis';
  const head = grouped ? 3 : 2;
  if ((segments[0] !== 'api' && !grouped) || segments.length <= head) {
    return { ...none, isResource: false, verb, apiVerb: verb };
  }
  const [group, version] = grouped ? [segments[1] ?? '', segments[2] ?? ''] : ['', segments[1] ?? ''];
  const { prefix, namespace, parts } = placeOf(segments.slice(head));
  const [resource = '', name = '', third = ''] = parts;
  // What old clusters do with the prefix is what the subresource does: a rule for `pods` must not reach it.
  const subresource = prefix === 'proxy' ? 'proxy' : third;
  const attributes = { ...none, isResource: true, group, version, resource, subresource, namespace, name };

  if (connectingSubresources.has(subresource)) return { ...attributes, verb: 'connect', apiVerb: verb };
  const as = (done: Exclude<Verb, 'connect'>) => ({ ...attributes, verb: done, apiVerb: done });
  // The prefix means a watch to the API server whatever the method; a write it could not be made to look like one here.
  if (prefix === 'watch' && verb === 'get') return as('watch');
  if (name !== '') return as(verb);
  if (verb === 'delete') return as('deletecollection');
  if (verb !== 'get') return as(verb);
  if (unlikeGo.test(query)) throw new Problem('INVALID_REQUEST', 'The query is not well encoded.');
  const parameters = new URLSearchParams(query);
  return {
    ...as(isTrue(parameters.get('watch')) ? 'watch' : 'list'),
    name: selectedName(parameters.getAll('fieldSelector')),
  };
}

/**
 * The same for a request that wants a WebSocket: beside watches and logs, what is read over one acts inside the cluster
 * (the subresources of aggregated APIs, which nobody here knows).
 */
export const upgradeAttributes = (attributes: RequestAttributes): RequestAttributes =>
  attributes.verb === 'get' && attributes.subresource !== '' && attributes.subresource !== 'log'
    ? { ...attributes, verb: 'connect' }
    : attributes;

/** Takes the deprecated verb prefix and the namespace off the path. */
function placeOf(rest: readonly string[]): { prefix: string; namespace: string; parts: readonly string[] } {
  const prefixed = (rest[0] === 'watch' || rest[0] === 'proxy') && rest.length > 1;
  const prefix = prefixed ? (rest[0] ?? '') : '';
  const parts = prefixed ? rest.slice(1) : rest;
  if (parts[0] !== 'namespaces' || parts.length < 2) return { prefix, namespace: '', parts };
  const namespace = parts[1] ?? '';
  const inside = parts.length > 2 && !namespaceSubresources.has(parts[2] ?? '');
  return { prefix, namespace, parts: inside ? parts.slice(2) : parts };
}

/** As the API server reads a boolean of a query: absent, `false` and `0` are false, all else (even empty) is true. */
const isTrue = (value: string | null): boolean =>
  value !== null && !['false', '0'].includes(value.toLowerCase());

/** The name in a selector for exactly one object, `metadata.name=x`; none when there are two, of which readers differ. */
const selectedName = ([selector = '', ...more]: readonly string[]): string =>
  (more.length === 0 && /^metadata\.name==?([^=,!]+)$/.exec(selector)?.[1]) || '';

/** Whether a request acts on the cluster, or may. */
export const changes = ({ verb }: Pick<RequestAttributes, 'verb'>): boolean => !readingVerbs.includes(verb);

/** Requests that may rightly be silent for any length of time (the API server's own list): no answer timeout for them. */
export const isLongRunning = ({ verb, subresource }: RequestAttributes): boolean =>
  verb === 'watch' || verb === 'connect' || subresource === 'log';

/**
 * Answers that go on until one side ends them, and that may end anywhere: watches and followed logs. Those that read
 * them are used to such ends; API servers and kubelets end them now and then, too.
 */
export const isEndless = ({ verb, subresource }: RequestAttributes, query: string): boolean =>
  verb === 'watch' ||
  (verb === 'get' && subresource === 'log' && isTrue(new URLSearchParams(query).get('follow')));

/** For logs and messages: `list pods`, `connect pods/exec in default`, `get /apis`. */
export function describeRequest({ verb, isResource, path, ...of }: RequestAttributes): string {
  if (!isResource) return `${verb} ${path}`;
  const resource = of.group === '' ? of.resource : `${of.resource}.${of.group}`;
  const subresource = of.subresource === '' ? '' : `/${of.subresource}`;
  return `${verb} ${resource}${subresource}${of.namespace === '' ? '' : ` in ${of.namespace}`}`;
}
