import type { Json, KubeObject } from './kube-json.ts';
import { stringsAt, textAt } from './kube-json.ts';
import type { Resource } from './kube-api-resource.ts';
import { KubeError } from './kube-api-status.ts';

export type Selector = (object: KubeObject) => boolean;

function bad(kind: 'label' | 'field', text: string): KubeError {
  return new KubeError('BadRequest', `unable to parse the ${kind} selector: ${JSON.stringify(text)}`);
}

/** Splits at commas that stand outside of parentheses. */
function clauses(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((clause) => clause.trim())
    .filter((clause) => clause !== '');
}

type Labels = Record<string, string>;

function labelClause(clause: string, whole: string): (labels: Labels) => boolean {
  const key = '[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?';
  const set = new RegExp(`^(${key})\\s+(in|notin)\\s*\\(([^()]*)\\)$`).exec(clause);
  if (set) {
    const [, name = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    return operator === 'in'
      ? (labels) => name in labels && values.has(labels[name] ?? '')
      : (labels) => !(name in labels) || !values.has(labels[name] ?? '');
  }
  const equality = new RegExp(`^(${key})\\s*(==|=|!=)\\s*([A-Za-z0-9._-]*)$`).exec(clause);
  if (equality) {
    const [, name = '', operator, value = ''] = equality;
    return operator === '!=' ? (labels) => labels[name] !== value : (labels) => labels[name] === value;
  }
  const existence = new RegExp(`^(!?)\\s*(${key})$`).exec(clause);
  if (!existence) throw bad('label', whole);
  const [, not, name = ''] = existence;
  return not === '!' ? (labels) => !(name in labels) : (labels) => name in labels;
}

/**
 * A predicate over an object's labels from `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
 * @throws KubeError BadRequest when it is none of these.
 */
export function labelSelector(text: string): Selector {
  const tests = clauses(text).map((clause) => labelClause(clause, text));
  return (object) => {
    const labels = stringsAt(object, 'metadata', 'labels');
    return tests.every((test) => test(labels));
  };
}

/**
 * A predicate from `metadata.name=x,status.phase!=Running`; which fields can be selected depends on the kind.
 * @throws KubeError BadRequest for a field that this kind does not offer.
 */
export function fieldSelector(text: string, resource: Resource): Selector {
  const offered = [
    'metadata.name',
    ...(resource.namespaced ? ['metadata.namespace'] : []),
    ...resource.selectable,
  ];
  const tests = clauses(text).map((clause): Selector => {
    const parts = /^([A-Za-z0-9.]+)(==|=|!=)(.*)$/.exec(clause);
    if (!parts) throw bad('field', text);
    const [, field = '', operator, value] = parts;
    if (!offered.includes(field)) throw new KubeError('BadRequest', `field label not supported: ${field}`);
    const path = field.split('.');
    return (object: Json) => (textAt(object, ...path) === value) === (operator !== '!=');
  });
  return (object) => tests.every((test) => test(object));
}
