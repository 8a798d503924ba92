import * as z from 'zod';
import { ImageGlob, imageGlobText } from '../image/image-glob.ts';
import {
  type AdmissionRule,
  type ContainerAdmissionPolicy,
  containerAdmissionPolicy,
} from './container-admission-policy.ts';
import { ImagePattern, PatternFault } from './image-pattern.ts';
import { type LabelSelector, readSelector } from './label-selector.ts';

/** Of all patterns together, in visited steps a character of a path; `maxPathCharacters` bounds those of a review. */
export const maxPatternCost = 1_500;

const namespaceGlob = z
  .string()
  .regex(/^[a-z0-9*][a-z0-9*-]{0,62}$/, { error: 'must be the name of a namespace; * stands for any rest' });

/**
 * What decides over admission in the clusters of a tenant. What an unscanned image is taken for, and whether a refusal
 * holds or only warns (`mode`), is said per repository by the image policy.
 */
export const admissionPolicy = z
  .strictObject({
    exemptNamespaces: z
      .array(namespaceGlob)
      .max(100)
      .default([])
      .meta({ description: 'not judged', example: ['kube-system', 'calico-*'] }),
    exemptImages: z
      .array(imageGlobText)
      .max(100)
      .default([])
      .meta({ description: 'not judged', example: ['registry.k8s.io/**'] }),
    policies: z.array(containerAdmissionPolicy).max(50).default([]),
    unmatched: z.enum(['Verdict', 'Allow', 'Reject']).default('Verdict').meta({
      description: 'what decides where no rule matches; Verdict: fail is rejected, warn is a warning',
    }),
  })
  .superRefine(({ policies }, context) => {
    const names = policies.map(({ name }) => name);
    if (new Set(names).size < names.length) {
      context.addIssue({ code: 'custom', path: ['policies'], message: 'have the same name twice' });
    }
    if (costOf(policies) > maxPatternCost) {
      context.addIssue({ code: 'custom', message: 'has too many patterns, or too large ones' });
    }
  })
  .meta({ id: 'AdmissionPolicy' });
export type AdmissionPolicy = z.infer<typeof admissionPolicy>;

export type ReadyRule = { readonly rule: AdmissionRule; readonly paths: readonly ImagePattern[] };
export type ReadyPolicy = {
  readonly name: string;
  readonly selector: LabelSelector;
  readonly namespaceSelector: LabelSelector;
  readonly rules: readonly ReadyRule[];
};

/** An admission policy with its patterns and selectors read: made once, asked for each image. */
export type ReadyAdmissionPolicy = Pick<AdmissionPolicy, 'unmatched'> & {
  readonly isExemptNamespace: (name: string) => boolean;
  readonly isExemptPath: (path: string) => boolean;
  /** In the order in which they are asked. */
  readonly policies: readonly ReadyPolicy[];
};

/** Lowest `order` first, those without one last, equal ones by name, as Calico orders its policies. */
export function readyPolicy(policy: AdmissionPolicy): ReadyAdmissionPolicy {
  // The same stars as in names of images; a namespace's name has no slash.
  const namespaces = policy.exemptNamespaces.map((glob) => new ImageGlob(glob));
  const images = policy.exemptImages.map((glob) => new ImageGlob(glob));
  return {
    unmatched: policy.unmatched,
    isExemptNamespace: (name) => name !== '' && namespaces.some((pattern) => pattern.matches(name)),
    isExemptPath: (path) => images.some((pattern) => pattern.matches(path)),
    policies: [...policy.policies].sort(precedence).map(({ name, selector, namespaceSelector, rules }) => ({
      name,
      selector: readSelector(selector),
      namespaceSelector: readSelector(namespaceSelector),
      rules: rules.map((rule) => ({ rule, paths: patternsOf(rule) })),
    })),
  };
}

function precedence(a: ContainerAdmissionPolicy, b: ContainerAdmissionPolicy): number {
  const [first, second] = [a.order ?? Infinity, b.order ?? Infinity];
  if (first !== second) return first < second ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

function costOf(policies: readonly ContainerAdmissionPolicy[]): number {
  try {
    let cost = 0;
    for (const rule of policies.flatMap(({ rules }) => rules)) {
      for (const source of rule.imagePath?.values ?? []) {
        cost += new ImagePattern(source).cost;
        // What comes then makes it no better.
        if (cost > maxPatternCost) return cost;
      }
    }
    return cost;
  } catch (error) {
    // zod asks this although a pattern has been refused, with its place, before.
    if (error instanceof PatternFault) return 0;
    throw error;
  }
}

const patternsOf = ({ imagePath }: AdmissionRule): ImagePattern[] =>
  (imagePath?.values ?? []).map((source) => new ImagePattern(source));
