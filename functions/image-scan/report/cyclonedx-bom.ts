import * as z from 'zod';
import { Problem } from '../../../core/problem/problem.ts';
import { bomLinkIn, bomLinkOf } from './bom-link.ts';
import { given, isObject, list, type Members, optional, purl, readMembers, text, word } from './members.ts';
import { partsOf } from '../../../core/image/package-url.ts';

const named = optional(z.object({ name: optional(text(512)) }));

const tool = z.object({ name: optional(text(512)), version: optional(text(512)) });

/** Until 1.4 an array, then an object of components and services; both are written to this day. */
const tools = z.preprocess(
  (either) => (Array.isArray(either) ? { components: either } : either),
  optional(z.object({ components: list(tool, 1_000), services: list(tool, 1_000) })),
);

const header = z.object({
  specVersion: optional(text(16)),
  serialNumber: optional(text(128)),
  version: optional(z.int().positive()),
  metadata: optional(
    z.object({
      timestamp: optional(text(64)),
      tools,
      component: z.unknown().optional(),
      authors: list(z.object({ name: optional(text(512)) }), 1_000),
      manufacturer: named,
      manufacture: named,
      supplier: named,
    }),
  ),
  components: z.unknown().optional(),
  services: z.unknown().optional(),
  dependencies: z.unknown().optional(),
});
type Header = z.infer<typeof header>;

const component = z.object({
  'bom-ref': optional(text(4_096)),
  type: optional(text(64)),
  group: optional(text(512)),
  name: optional(text(1_024)),
  version: optional(text(512)),
  purl,
  properties: list(z.object({ name: optional(text(1_024)), value: optional(z.string()) }), 10_000),
  evidence: optional(z.object({ occurrences: list(z.object({ location: optional(text(4_096)) })) })),
});
/** A component or service of a bill of materials. */
export type Component = z.infer<typeof component>;

/** More components than any real image has. */
const maxComponents = 200_000;

/** What a CycloneDX document lists, found by reference; components are read when somebody asks for them. */
export type Bom = {
  readonly header: Header;
  /** The one that the document is about. */
  readonly root?: Component;
  /** BOM-Link of the document itself. */
  readonly link?: string;
  /** What a `bom-ref`, or a link to an element of this document, stands for. */
  readonly at: (ref: string) => Component | undefined;
  /** The containers among the components. */
  readonly containers: readonly Component[];
  /** The operating system or lock file that has brought the component, as Trivy draws them. */
  readonly holderOf: (ref: string) => Component | undefined;
};

/** CycloneDX, or what says that it is. */
export const isCycloneDx = (json: unknown): json is Readonly<Record<string, unknown>> =>
  isObject(json) && json.bomFormat === 'CycloneDX';

const versionsWithVulnerabilities: readonly string[] = ['1.4', '1.5', '1.6', '1.7'];

/** Reads a document's frame; REPORT_MALFORMED, PAYLOAD_TOO_LARGE, REPORT_UNSUPPORTED for other versions than 1.4–1.7. */
export function readBom(json: unknown): Bom {
  const read = readMembers(header, json);
  if (!versionsWithVulnerabilities.includes(read.specVersion ?? '')) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      `Found CycloneDX ${word(read.specVersion ?? 'without a version')}. Taken are the versions 1.4 to 1.7.`,
    );
  }
  const parts = [...partsIn(read.components, 'components'), ...partsIn(read.services, 'services')];
  // A bom-ref is unique in its document (CycloneDX, bom-ref): of two, the first stands.
  const byRef = new Map<string, unknown>();
  for (const part of parts) {
    const ref = part['bom-ref'];
    if (typeof ref === 'string' && ref !== '' && !byRef.has(ref)) byRef.set(ref, part);
  }
  const root = isObject(read.metadata?.component)
    ? readMembers(component, read.metadata.component)
    : undefined;
  const link = bomLinkOf(read.serialNumber, read.version);
  const readParts = new Map<string, Component | undefined>();
  const part = (ref: string): Component | undefined => {
    if (root?.['bom-ref'] === ref) return root;
    if (!readParts.has(ref)) {
      const found = byRef.get(ref);
      readParts.set(ref, found === undefined ? undefined : readMembers(component, found));
    }
    return readParts.get(ref);
  };
  const at = (ref: string): Component | undefined => {
    const linked = bomLinkIn(ref);
    if (!linked || linked.bom !== link) return part(ref);
    return linked.ref === undefined ? root : part(linked.ref);
  };
  let holders: ReadonlyMap<string, string> | undefined;
  return {
    header: read,
    ...given('root', root),
    ...given('link', link),
    at,
    containers: parts.filter(({ type }) => type === 'container').map((each) => readMembers(component, each)),
    holderOf: (ref) => {
      holders ??= holdersIn(parts, read.dependencies);
      const holder = holders.get(bomLinkIn(ref)?.ref ?? ref);
      return holder === undefined ? undefined : part(holder);
    },
  };
}

/** All components, nested ones too; REPORT_MALFORMED for what is no array of objects. */
function partsIn(outermost: unknown, name: 'components' | 'services'): Members[] {
  const found: Members[] = [];
  const lists = [outermost];
  while (lists.length > 0) {
    const parts = lists.pop();
    if (parts === undefined || parts === null) continue;
    if (!Array.isArray(parts) || !parts.every(isObject)) {
      throw new Problem('REPORT_MALFORMED', `The document's ${name} are no array of objects.`);
    }
    if (found.length + parts.length > maxComponents) {
      throw new Problem('PAYLOAD_TOO_LARGE', `A report may have ${maxComponents} components.`);
    }
    for (const part of parts) {
      found.push(part);
      if (part[name] !== undefined) lists.push(part[name]);
    }
  }
  return found;
}

/**
 * `bom-ref` of a component → that of the operating system or application from which one comes to it. Trivy has a
 * component of its own for each of them, whose property Class says what it holds.
 */
function holdersIn(parts: readonly Members[], dependencies: unknown): Map<string, string> {
  const edges = new Map<string, readonly unknown[]>();
  for (const each of Array.isArray(dependencies) ? (dependencies as unknown[]) : []) {
    if (isObject(each) && typeof each.ref === 'string' && Array.isArray(each.dependsOn)) {
      edges.set(each.ref, each.dependsOn as unknown[]);
    }
  }
  const roots = new Set<unknown>();
  for (const { type, 'bom-ref': ref } of parts) {
    if (type === 'operating-system' || type === 'application') roots.add(ref);
  }
  const holders = new Map<string, string>();
  for (const root of roots) {
    if (typeof root !== 'string') continue;
    const reached = [root];
    for (let from = reached.pop(); from !== undefined; from = reached.pop()) {
      for (const to of edges.get(from) ?? []) {
        if (typeof to !== 'string' || holders.has(to) || roots.has(to)) continue;
        holders.set(to, root);
        reached.push(to);
      }
    }
  }
  return holders;
}

/** The values of a property, in their order. */
export const propertiesOf = (of: Component | undefined, name: string): string[] =>
  of?.properties.flatMap((each) => (each.name === name && each.value ? [each.value] : [])) ?? [];

/** Package types whose group is no part of the name that scanners use: it is the distribution. */
const distributed: readonly string[] = ['apk', 'deb', 'rpm', 'alpm'];

/** A package's name as scanners write it: Maven's with a colon, those of npm, Go and the like with a slash. */
export function packageName(type: string | undefined, group: string | undefined, name: string): string {
  if (!group || name === '' || distributed.includes(type ?? '')) return name;
  return type === 'maven' ? `${group}:${name}` : `${group}/${name}`;
}

export const nameOf = ({ group, name = '', purl: url }: Component): string =>
  packageName(url === undefined ? undefined : partsOf(url)?.type, group, name);

/** Scanners whose word counts where a document lists several tools: others made the list that they looked through. */
const scanners: readonly string[] = ['trivy', 'grype', 'snyk', 'dependency-track', 'osv-scanner', 'depscan'];

/** Who made the document, in lower case and in characters that a key may have; `cyclonedx` where it does not say. */
export function scannerOf({ metadata }: Header): { name: string; version?: string } {
  const all = [...(metadata?.tools?.components ?? []), ...(metadata?.tools?.services ?? [])].map((each) => ({
    name: (each.name ?? '')
      .toLowerCase()
      .replace(/[^a-z0-9._]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 64),
    version: each.version,
  }));
  const one = all.find(({ name }) => scanners.includes(name)) ?? all.find(({ name }) => name !== '');
  const version = one?.version;
  return {
    name: one?.name ?? 'cyclonedx',
    // A build without a version says so in brackets.
    ...given(
      'version',
      version !== undefined && /^[\w.+-]+$/.test(version) ? version.slice(0, 128) : undefined,
    ),
  };
}
