/** A cluster, as far as a script with kubectl sees one: kubectl's words and exit codes, no validation. */
import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import * as z from 'zod';
import { ClusterObjects, kindCalled, Refusal, unserved } from './cluster-objects.ts';
import { type Arguments, readArguments } from './kubectl-arguments.ts';
import { jsonPath } from './json-path.ts';
import {
  type KubeObject,
  line,
  mergeJson,
  nameOf,
  printed,
  versionInfo,
  versionText,
} from './kubectl-output.ts';
import { fullName, kindNamed, kindOf, type ResourceKind } from './resource-kinds.ts';

export type Answer = { readonly code: number; readonly stdout: string; readonly stderr: string };
export type KubectlCall = { readonly given: readonly string[]; readonly input: string };

const accessReview = z.object({
  kind: z.literal('SelfSubjectAccessReview'),
  spec: z.object({
    resourceAttributes: z.object({
      verb: z.string(),
      group: z.string(),
      resource: z.string(),
      name: z.string(),
    }),
  }),
});

const ok = (stdout = ''): Answer => ({ code: 0, stdout, stderr: '' });

export class StandInCluster extends ClusterObjects {
  /** Every call of kubectl, in order. */
  readonly calls: KubectlCall[] = [];
  /** Calls that this stand-in cannot answer: a test looks that there are none. */
  readonly unknown: string[] = [];
  contexts: string[] = ['kind-shop'];
  currentContext: string | undefined = 'kind-shop';
  serverVersion = 'v1.33.2';
  clientVersion = 'v1.33.1';
  /** What kubectl says of an API server that does not answer. */
  unreachable: string | undefined;
  /** Rights that are lacking, `verb plural`; `* *` is the right to everything. */
  readonly denied: string[] = [];
  /** Plays controllers: called after each change. */
  react: (cluster: StandInCluster) => void = () => undefined;
  /** Who applied each object last. */
  readonly #managers = new Map<string, string>();

  /** Answers one call of kubectl. */
  kubectl(given: readonly string[], input: string): Answer {
    this.calls.push({ given, input });
    const asked = readArguments(given);
    try {
      return this.#answer(asked, input);
    } catch (error) {
      if (error instanceof Refusal) return { code: 1, stdout: '', stderr: line(error.message) };
      this.unknown.push(`kubectl ${given.join(' ')}: ${String(error)}`);
      return { code: 99, stdout: '', stderr: `stand-in kubectl: ${String(error)}\n` };
    }
  }

  #answer(asked: Arguments, input: string): Answer {
    const [verb = '', ...words] = asked.words;
    if (verb === 'config') return this.#config(asked, words);
    if (verb === 'version') return this.#versions(asked);
    const context = asked.flag('context') ?? this.currentContext;
    if (context === undefined)
      throw new Refusal(
        'The connection to the server localhost:8080 was refused - did you specify the right host or port?',
      );
    if (!this.contexts.includes(context)) throw new Refusal(`error: context "${context}" does not exist`);
    if (asked.has('local'))
      return ok(
        this.#documents(asked, input)
          .map((one) => printed(asked, patched(one, asked, input)))
          .join('---\n'),
      );
    if (this.unreachable !== undefined) throw new Refusal(this.unreachable);
    switch (verb) {
      case 'auth':
        return this.#canI(words);
      case 'get':
        return this.#get(asked, words);
      case 'create':
        return this.#review(asked, input);
      case 'apply':
        return this.#apply(asked, input);
      case 'patch':
        return this.#patch(asked, words, input);
      case 'delete':
        return this.#delete(asked, words);
      case 'wait':
        return this.#wait(asked, words);
      case 'rollout':
        return this.#rollout(asked, words);
      default:
        throw new Error(`unknown verb ${verb}`);
    }
  }

  #config(asked: Arguments, [what]: readonly string[]): Answer {
    if (what === 'current-context') {
      if (this.currentContext === undefined) throw new Refusal('error: current-context is not set');
      return ok(line(this.currentContext));
    }
    if (what === 'get-contexts') {
      const asking = asked.words[2];
      if (asking !== undefined && !this.contexts.includes(asking))
        throw new Refusal(`error: context ${asking} not found`);
      return ok((asking === undefined ? this.contexts : [asking]).map(line).join(''));
    }
    if (what !== 'view') throw new Error(`unknown config ${what ?? ''}`);
    const context = asked.flag('context') ?? this.currentContext;
    if (asked.has('minify') && (context === undefined || !this.contexts.includes(context)))
      throw new Refusal(`error: cannot locate context ${context ?? ''}`);
    const view = {
      'current-context': this.currentContext ?? '',
      contexts: this.contexts.map((name) => ({ name, context: { cluster: name, user: name } })),
      clusters: this.contexts.map((name) => ({
        name,
        cluster: { server: 'https://kubernetes.example:6443' },
      })),
      users: this.contexts.map((name) => ({ name, user: {} })),
    };
    return ok(printed(asked, view));
  }

  #versions(asked: Arguments): Answer {
    const clientVersion = versionInfo(this.clientVersion);
    if (asked.has('client')) return ok(versionText(asked, { clientVersion }));
    if (this.unreachable !== undefined)
      return { code: 1, stdout: versionText(asked, { clientVersion }), stderr: line(this.unreachable) };
    return ok(versionText(asked, { clientVersion, serverVersion: versionInfo(this.serverVersion) }));
  }

  #canI([what, verb = '', resource = '']: readonly string[]): Answer {
    if (what !== 'can-i') throw new Error(`unknown auth ${what ?? ''}`);
    const [type = ''] = resource.split('/');
    const kind = kindNamed(type);
    // kubectl asks for what is not served by a name that nobody was granted.
    const known = kind === undefined || this.serves(kind) || !this.denied.includes('* *');
    const allowed = known && !this.#denies(verb, type);
    return { code: allowed ? 0 : 1, stdout: `${allowed ? 'yes' : 'no'}\n`, stderr: '' };
  }

  /** Asks the API server itself what one may do, also of kinds that are not there yet. */
  #review(asked: Arguments, input: string): Answer {
    if (asked.flag('raw') !== '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews')
      throw new Error('unknown create');
    const { spec } = accessReview.parse(JSON.parse(input));
    const { verb, group, resource } = spec.resourceAttributes;
    const allowed = !this.#denies(verb, `${resource}.${group}`);
    return ok(`${JSON.stringify({ kind: 'SelfSubjectAccessReview', spec, status: { allowed } })}\n`);
  }

  #denies(verb: string, resource: string): boolean {
    const name = kindNamed(resource)?.plural ?? resource;
    return this.denied.includes(`${verb} ${name}`);
  }

  /** As the API server refuses it. */
  #allow(verb: string, kind: ResourceKind): void {
    if (this.#denies(verb, kind.plural))
      throw new Refusal(
        `Error from server (Forbidden): ${fullName(kind)} is forbidden: User "someone" cannot ${verb} resource "${kind.plural}" in API group "${kind.group}"`,
      );
  }

  #get(asked: Arguments, words: readonly string[]): Answer {
    const found: KubeObject[] = [];
    let stderr = '';
    const targets = this.#targets(words);
    const single = targets.length === 1 && targets[0]?.name !== undefined;
    for (const { kind, name } of targets) {
      this.#allow(name === undefined ? 'list' : 'get', kind);
      if (name === undefined) found.push(...this.#listed(kind, asked));
      else {
        const object = this.object(kind, name, namespaceOf(kind, asked));
        if (object) found.push(object);
        else if (!asked.has('ignore-not-found')) stderr += line(notFound(kind, name).message);
      }
    }
    const code = stderr === '' ? 0 : 1;
    if (found.length === 0 && (single || asked.flag('output') === undefined))
      return { code, stdout: '', stderr };
    const list = { apiVersion: 'v1', kind: 'List', items: found };
    const stdout =
      asked.flag('output') === 'name'
        ? found.map((object) => line(nameOf(object))).join('')
        : printed(asked, single ? found[0] : list);
    return { code, stdout, stderr };
  }

  #listed(kind: ResourceKind, asked: Arguments): KubeObject[] {
    const namespace = kind.namespaced && !asked.has('all-namespaces') ? namespaceOf(kind, asked) : undefined;
    const labels = (asked.flag('selector') ?? '').split(',').filter((one) => one !== '');
    return this.all(fullName(kind)).filter(
      ({ metadata }) =>
        (namespace === undefined || metadata.namespace === namespace) &&
        labels.every((label) => {
          const [name = '', value] = label.split(/==?/);
          return value === undefined ? name in (metadata.labels ?? {}) : metadata.labels?.[name] === value;
        }),
    );
  }

  #apply(asked: Arguments, input: string): Answer {
    const manager = asked.flag('field-manager') ?? 'kubectl';
    const objects = this.#documents(asked, input);
    if (objects.length === 0) throw new Refusal('error: no objects passed to apply');
    return this.#each(asked, objects, (object, kind) => {
      this.#allow('patch', kind);
      const key = `${kind.plural} ${object.metadata.namespace ?? ''} ${object.metadata.name}`;
      const known = this.object(kind, object.metadata.name, object.metadata.namespace);
      if (!known) this.#allow('create', kind);
      const owner = this.#managers.get(key);
      const merged = known ? (mergeJson(known, object) as KubeObject) : object;
      const takes = JSON.stringify(known?.data) !== JSON.stringify(merged.data);
      if (known && owner !== undefined && owner !== manager && takes && !asked.has('force-conflicts'))
        throw new Refusal(`error: Apply failed with 1 conflict: conflict with "${owner}": .data`);
      this.#managers.set(key, manager);
      return merged;
    });
  }

  /** Every object on its own, as kubectl does: what one of them is refused for, the others are not. */
  #each(
    asked: Arguments,
    objects: readonly KubeObject[],
    change: (object: KubeObject, kind: ResourceKind) => KubeObject,
  ): Answer {
    let stdout = '';
    let stderr = '';
    for (const bare of objects) {
      try {
        const kind = kindOf(bare.apiVersion, bare.kind);
        if (!kind || !this.serves(kind))
          throw new Refusal(
            `error: resource mapping not found for name: "${bare.metadata.name}" namespace: "" from "STDIN": no matches for kind "${bare.kind}" in version "${bare.apiVersion}"\nensure CRDs are installed first`,
          );
        const namespace = bare.metadata.namespace ?? asked.flag('namespace') ?? 'default';
        const object = kind.namespaced ? { ...bare, metadata: { ...bare.metadata, namespace } } : bare;
        if (kind.namespaced && namespace !== 'default' && !this.find('namespace', namespace))
          throw new Refusal(`Error from server (NotFound): namespaces "${namespace}" not found`);
        this.put(change(object, kind));
        stdout += `${nameOf(object)} serverside-applied\n`;
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        stderr += line(error.message);
      }
    }
    this.react(this);
    return { code: stderr === '' ? 0 : 1, stdout, stderr };
  }

  #patch(asked: Arguments, words: readonly string[], input: string): Answer {
    const [target] = this.#targets(words);
    if (target?.name === undefined) throw new Error('a patch of what?');
    const { kind, name } = target;
    this.#allow('patch', kind);
    const object = this.object(kind, name, namespaceOf(kind, asked));
    if (!object) throw notFound(kind, name);
    const changed = patched(object, asked, input);
    if (changed.metadata.resourceVersion !== object.metadata.resourceVersion)
      throw new Refusal(
        `Error from server (Conflict): Operation cannot be fulfilled on ${fullName(kind)} "${name}": the object has been modified; please apply your changes to the latest version and try again`,
      );
    this.put(changed);
    this.react(this);
    return ok(`${nameOf(object)} patched\n`);
  }

  #wait(asked: Arguments, words: readonly string[]): Answer {
    const [, wanted = ''] = /^condition=(\w+)$/.exec(asked.flag('for') ?? '') ?? [];
    if (wanted === '') throw new Error(`unknown --for ${asked.flag('for') ?? ''}`);
    for (const { kind, name = '' } of this.#targets(words)) {
      const object = this.object(kind, name, namespaceOf(kind, asked));
      if (!object) throw notFound(kind, name);
      if (jsonPath(`{.status.conditions[?(@.type=="${wanted}")].status}`, object) !== 'True')
        throw new Refusal(`error: timed out waiting for the condition on ${kind.plural}/${name}`);
    }
    return ok();
  }

  #rollout(asked: Arguments, [what, ...words]: readonly string[]): Answer {
    const [target] = this.#targets(words);
    if (what !== 'status' || target?.name === undefined) throw new Error(`unknown rollout ${what ?? ''}`);
    if (!this.object(target.kind, target.name, namespaceOf(target.kind, asked)))
      throw notFound(target.kind, target.name);
    return ok(`deployment "${target.name}" successfully rolled out\n`);
  }

  #delete(asked: Arguments, words: readonly string[]): Answer {
    const ignoring = asked.has('ignore-not-found');
    const targets = this.#targets(words).flatMap(({ kind, name }) =>
      name === undefined
        ? this.#listed(kind, asked).map(({ metadata }) => ({ kind, ...metadata }))
        : [{ kind, name }],
    );
    let stdout = '';
    let stderr = '';
    for (const { kind, name, ...where } of targets) {
      this.#allow('delete', kind);
      const namespace = ('namespace' in where ? where.namespace : undefined) ?? namespaceOf(kind, asked);
      if (!this.discard(kind, name, namespace)) {
        if (!ignoring) stderr += line(notFound(kind, name).message);
        continue;
      }
      stdout += `${kind.kind.toLowerCase()}${kind.group === '' ? '' : `.${kind.group}`} "${name}" deleted\n`;
    }
    this.react(this);
    return { code: stderr === '' ? 0 : 1, stdout, stderr };
  }

  /** `TYPE`, `TYPE,TYPE`, `TYPE NAME…`, `TYPE/NAME…`. */
  #targets(words: readonly string[]): { kind: ResourceKind; name?: string }[] {
    const [first = '', ...names] = words;
    if (first.includes('/'))
      return words.map((word) => {
        const [type = '', name = ''] = word.split('/');
        return { kind: this.serves(kindCalled(type)) ? kindCalled(type) : unserved(type), name };
      });
    const types = first.split(',').map((type) => {
      const kind = kindCalled(type);
      return this.serves(kind) ? kind : unserved(type);
    });
    return names.length === 0
      ? types.map((kind) => ({ kind }))
      : types.flatMap((kind) => names.map((name) => ({ kind, name })));
  }

  #documents(asked: Arguments, input: string): KubeObject[] {
    const files = asked.all('filename');
    if (files.length === 0) throw new Error('no -f');
    return files.flatMap((file) =>
      parseAllDocuments(fileText(file, input))
        .map((document) => document.toJS() as KubeObject | (KubeObject & { items: KubeObject[] }) | null)
        .flatMap((object) => (object === null ? [] : 'items' in object ? object.items : [object])),
    );
  }
}

const notFound = (kind: ResourceKind, name: string) =>
  new Refusal(`Error from server (NotFound): ${fullName(kind)} "${name}" not found`);

const namespaceOf = (kind: ResourceKind, asked: Arguments): string | undefined =>
  kind.namespaced ? (asked.flag('namespace') ?? 'default') : undefined;

/** With the patch that the arguments give. */
function patched(object: KubeObject, asked: Arguments, input: string): KubeObject {
  const file = asked.flag('patch-file');
  if (asked.flag('type') !== 'merge') throw new Error('only merge patches');
  return mergeJson(
    object,
    JSON.parse(file === undefined ? (asked.flag('patch') ?? '') : fileText(file, input)),
  ) as KubeObject;
}

/** What kubectl reads of a file, or of its standard input. */
const fileText = (file: string, input: string): string =>
  file === '-' || file === '/dev/stdin' ? input : readFileSync(file, 'utf8');
