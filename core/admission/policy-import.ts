import { isScalar, LineCounter, parseAllDocuments, visit } from 'yaml';
import * as z from 'zod';
import { Problem } from '../problem/problem.ts';
import { containerAdmissionSpec, type ContainerAdmissionPolicy } from './container-admission-policy.ts';

/** Characters of an import, and policies in it. */
const [maxImport, maxPolicies] = [262_144, 50];
const maxFaults = 20;

/** Only the group is told apart: a version yet to come that has other members is refused for them. */
const resource = z.object({
  apiVersion: z.string().regex(/^containersecurity\.tigera\.io\/v[0-9][a-z0-9]*$/, {
    error: 'must be containersecurity.tigera.io/v1beta1',
  }),
  kind: z.literal('ContainerAdmissionPolicy'),
  metadata: z.object({ name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/) }),
  spec: containerAdmissionSpec,
});
const listed = z.object({ kind: z.string().regex(/List$/), items: z.array(z.unknown()).max(maxPolicies) });

type Fault = { readonly path: string; readonly message: string };

/**
 * Reads ContainerAdmissionPolicy resources from YAML or JSON: one, several documents, or a list as `kubectl get -o yaml`
 * prints it. All or nothing: INVALID_REQUEST with up to 20 faults, PAYLOAD_TOO_LARGE; never what stands in a faulty place.
 */
export function importPolicies(text: string): ContainerAdmissionPolicy[] {
  if (text.length > maxImport) {
    throw new Problem('PAYLOAD_TOO_LARGE', `Policies may have ${maxImport} characters together.`);
  }
  const resources = documentsIn(text).flatMap((document, index): { at: string; value: unknown }[] => {
    const list = listed.safeParse(document);
    return list.success
      ? list.data.items.map((value, item) => ({ at: `/${index}/items/${item}`, value }))
      : [{ at: `/${index}`, value: document }];
  });
  if (resources.length === 0)
    throw new Problem('INVALID_REQUEST', 'There is no ContainerAdmissionPolicy in it.');
  if (resources.length > maxPolicies) {
    throw new Problem('INVALID_REQUEST', `There are more than ${maxPolicies} policies in it.`);
  }

  const faults: Fault[] = [];
  const policies: ContainerAdmissionPolicy[] = [];
  for (const { at, value } of resources) {
    const read = resource.safeParse(value);
    if (!read.success) {
      faults.push(
        ...read.error.issues.map(({ path, message }) => ({ path: [at, ...path].join('/'), message })),
      );
      continue;
    }
    const { metadata, spec } = read.data;
    if (policies.some(({ name }) => name === metadata.name)) {
      faults.push({ path: `${at}/metadata/name`, message: 'is the name of another of these policies' });
    }
    policies.push({ name: metadata.name, ...spec });
  }
  if (faults.length > 0) {
    throw new Problem('INVALID_REQUEST', 'The policies cannot be read.', {
      errors: faults.slice(0, maxFaults),
    });
  }
  return policies;
}

function documentsIn(text: string): unknown[] {
  const lineCounter = new LineCounter();
  // Pretty errors quote the text.
  const documents = parseAllDocuments(text, {
    lineCounter,
    prettyErrors: false,
    stringKeys: true,
    // The parser compares each key with each other one: seconds for a map of some ten thousand.
    uniqueKeys: false,
  });
  return documents.flatMap((document) => {
    const [error] = document.errors;
    const [code, at] = error ? [error.code, error.pos[0]] : ['DUPLICATE_KEY', repeatedKey(document)];
    if (at !== undefined) {
      const { line, col } = lineCounter.linePos(at);
      throw new Problem('INVALID_REQUEST', `This is not YAML: ${code} in line ${line}, column ${col}.`);
    }
    let value: unknown;
    try {
      // Aliases that multiply are a bomb, and policies have no use for any.
      value = document.toJS({ maxAliasCount: 0 });
    } catch (error) {
      if (!(error instanceof ReferenceError)) throw error;
      throw new Problem('INVALID_REQUEST', 'YAML with aliases is not taken.', { cause: error });
    }
    return value === null || value === undefined ? [] : [value];
  });
}

/** Where a map has a key that it has before; keys are strings. */
function repeatedKey(document: ReturnType<typeof parseAllDocuments>[number]): number | undefined {
  let place: number | undefined;
  visit(document, {
    Map: (_at, { items }) => {
      const seen = new Set<unknown>();
      for (const { key } of items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value)) {
          place = key.range?.[0] ?? 0;
          return visit.BREAK;
        }
        seen.add(key.value);
      }
      return undefined;
    },
  });
  return place;
}
