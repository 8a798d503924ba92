import * as z from 'zod';
import type { AdmissionRequest } from './admission-review.ts';
import { aliasOf, type ImageReference, pathOf, readReference, written } from './image-reference.ts';

/** An image that a workload names, and who names it. */
export type NamedImage = {
  /** As the object has it. */
  readonly text: string;
  /** Names of the containers that run it, in the order of the object. */
  readonly containers: readonly string[];
  /** On an update: the object has it already. */
  readonly isUnchanged: boolean;
} & ({ readonly reference: ImageReference } | { readonly fault: string });

/** What a review is about, if it is about something that makes pods. */
export type Workload = {
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: ReadonlyMap<string, string>;
  /** Each once: by path and digest, else path and tag. */
  readonly images: readonly NamedImage[];
};

/** Where each kind has its pod's `spec`, by `<group>/<kind>`; the version does not matter. */
const podSpecPaths: ReadonlyMap<string, readonly string[]> = new Map([
  ['/Pod', ['spec']],
  ['/PodTemplate', ['template', 'spec']],
  ['/ReplicationController', ['spec', 'template', 'spec']],
  ...['apps', 'extensions'].flatMap((group) =>
    ['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet'].map((kind): [string, string[]] => [
      `${group}/${kind}`,
      ['spec', 'template', 'spec'],
    ]),
  ),
  ['batch/Job', ['spec', 'template', 'spec']],
  ['batch/CronJob', ['spec', 'jobTemplate', 'spec', 'template', 'spec']],
]);

/** Of these an update can bring other images; `status`, `binding`, `scale` and the like cannot. */
const subresources: ReadonlySet<string> = new Set(['', 'ephemeralcontainers', 'resize']);

/** More than any pod has: the images of an object cost a read each. */
export const maxImages = 200;
/** And each character of their paths costs a step of each of the policy's patterns. */
export const maxPathCharacters = 10_000;

const container = z.object({ name: z.string().nullish(), image: z.string().nullish() });
const containers = z.array(container).nullish();
const podSpec = z.object({
  initContainers: containers,
  containers,
  ephemeralContainers: containers,
});
const metadata = z.object({
  name: z.string().nullish(),
  generateName: z.string().nullish(),
  labels: z.record(z.string(), z.string()).nullish(),
});

/** The object says that it is of a kind with a pod template and cannot be read as one. */
export type WorkloadFault = { readonly fault: string };

/**
 * The images that the object of a review would run; undefined for what runs none: other kinds, deletions, connections.
 * Image volumes are not counted: kubelets mount them so that nothing in them can be run.
 */
export function workloadOf(request: AdmissionRequest): Workload | WorkloadFault | undefined {
  const { kind, operation, subResource, object, oldObject } = request;
  const path = podSpecPaths.get(`${kind.group}/${kind.kind}`);
  if (!path || !subresources.has(subResource)) return undefined;
  if (operation !== 'CREATE' && operation !== 'UPDATE') return undefined;

  const about = metadata.safeParse(object?.metadata ?? {});
  const named = object && containersAt(object, path);
  if (!named || !about.success) return { fault: `The ${kind.kind} of the review cannot be read.` };
  // What cannot be read of the old object was not there: everything is judged.
  const before = operation === 'UPDATE' && oldObject ? (containersAt(oldObject, path) ?? []) : [];
  const { name, generateName, labels } = about.data;
  const images = distinct(named, new Set(before.map(({ image }) => keyOf(image ?? ''))));
  // Refused rather than an error, which a webhook may be set to let pass.
  if (images.length > maxImages) {
    return { fault: `The ${kind.kind} of the review names more than ${maxImages} different images.` };
  }
  if (images.reduce((sum, image) => sum + (imagePath(image)?.length ?? 0), 0) > maxPathCharacters) {
    return {
      fault: `The images of the ${kind.kind} of the review have more than ${maxPathCharacters} characters together.`,
    };
  }
  return {
    kind: kind.kind,
    name: name || generateName || request.name,
    namespace: request.namespace,
    labels: new Map(Object.entries(labels ?? {})),
    images,
  };
}

type Container = z.infer<typeof container>;

/** All containers of the pod's spec; none where the way to it is not there; undefined for what is no such object. */
function containersAt(
  object: Readonly<Record<string, unknown>>,
  path: readonly string[],
): Container[] | undefined {
  let at: unknown = object;
  for (const member of path) {
    if (at === null || at === undefined) break;
    if (typeof at !== 'object') return undefined;
    at = Object.hasOwn(at, member) ? Reflect.get(at, member) : undefined;
  }
  const spec = podSpec.safeParse(at ?? {});
  if (!spec.success) return undefined;
  const { initContainers, containers: main, ephemeralContainers } = spec.data;
  return [...(initContainers ?? []), ...(main ?? []), ...(ephemeralContainers ?? [])];
}

const keyOf = (text: string): string => {
  const reference = readReference(text);
  return 'fault' in reference ? `unread ${text}` : written(reference);
};

function distinct(named: readonly Container[], before: ReadonlySet<string>): NamedImage[] {
  const images = new Map<string, NamedImage & { containers: string[] }>();
  for (const each of named) {
    const text = each.image ?? '';
    const key = keyOf(text);
    const known = images.get(key);
    if (known) {
      known.containers.push(each.name ?? '');
      continue;
    }
    const reference = readReference(text);
    const shared = { text, containers: [each.name ?? ''], isUnchanged: before.has(key) };
    images.set(key, 'fault' in reference ? { ...shared, fault: reference.fault } : { ...shared, reference });
  }
  return [...images.values()];
}

/** The names under which verdicts of these images are looked up, each once: one batch reads them all. */
export const aliasesOf = ({ images }: Workload): string[] => [
  ...new Set(images.flatMap((image) => ('reference' in image ? [aliasOf(image.reference)] : []))),
];

/** How an image is shown: written out if it can be read. */
export const shownImage = (image: NamedImage): string =>
  'reference' in image ? written(image.reference) : image.text === '' ? '(none)' : image.text;

/** Against what paths are matched; undefined for what cannot be read. */
export const imagePath = (image: NamedImage): string | undefined =>
  'reference' in image ? pathOf(image.reference) : undefined;
