import { pathOf } from '../../core/admission/image-reference.ts';
import { referenceIn } from '../../core/image/image-name.ts';
import type { Suppression, Verdict } from '../../core/image/image-schema.ts';
import type { FoundFinding } from '../../core/image/image-search-schema.ts';

/** A finding of an image, and whether a statement says that it is affected. */
export type StatedFinding = { readonly finding: FoundFinding; readonly isAffected: boolean };

/** The image that a document is about. */
export type VexSubject = {
  readonly digest: string;
  readonly verdict: Verdict;
  /** Reference under which it was scanned. */
  readonly image?: string | undefined;
};

export type VexDocument = Readonly<Record<string, unknown>>;

/**
 * CycloneDX 1.6's words for what is known, the worst first: nothing is said that no report, statement or exception says. What
 * nobody has looked at, and what is only accepted for a while, is in triage.
 */
const states = ['exploitable', 'in_triage', 'resolved', 'not_affected', 'false_positive'] as const;
type State = (typeof states)[number];

/** CycloneDX has words of its own; of OpenVEX' the ones that mean the same (openvex spec 0.2, status justifications). */
const justifications: Readonly<Record<string, string>> = {
  component_not_present: 'code_not_present',
  vulnerable_code_not_present: 'code_not_present',
  vulnerable_code_not_in_execute_path: 'code_not_reachable',
  inline_mitigations_already_exist: 'protected_by_mitigating_control',
  ...Object.fromEntries(
    [
      'code_not_present',
      'code_not_reachable',
      'requires_configuration',
      'requires_dependency',
      'requires_environment',
      'protected_by_compiler',
      'protected_at_runtime',
      'protected_at_perimeter',
      'protected_by_mitigating_control',
    ].map((word) => [word, word]),
  ),
};

/** One vulnerability in one package, in whatever files and by whatever scanners it was found. */
export type VexEntry = {
  readonly ref: string;
  readonly findings: readonly [StatedFinding, ...StatedFinding[]];
};

/** The findings of an image by vulnerability and package, in the order of their names. */
export function vexEntries(findings: Iterable<StatedFinding>): VexEntry[] {
  const entries = new Map<string, [StatedFinding, ...StatedFinding[]]>();
  for (const each of findings) {
    const key = JSON.stringify([each.finding.vulnerability, refOf(each.finding)]);
    const others = entries.get(key);
    if (others) others.push(each);
    else entries.set(key, [each]);
  }
  return [...entries]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, found]) => ({ ref: refOf(found[0].finding), findings: found }));
}

/** The package, as documents about the image can name it. */
const refOf = ({ purl, package: name, version }: FoundFinding): string => purl ?? `${name}@${version}`;

/** The document (CycloneDX 1.6, VEX) about one image; without one it says nothing. `at`: epoch milliseconds. */
export const vexDocument = (
  subject: VexSubject | undefined,
  entries: readonly VexEntry[],
  { serialNumber, at }: { readonly serialNumber: string; readonly at: number },
): VexDocument => ({
  bomFormat: 'CycloneDX',
  specVersion: '1.6',
  serialNumber,
  version: 1,
  metadata: {
    timestamp: new Date(at).toISOString(),
    tools: { components: [{ type: 'application', name: 'cattery' }] },
    ...(subject ? { component: subjectComponent(subject, entries) } : {}),
  },
  vulnerabilities: entries.map(vulnerabilityOf),
});

function subjectComponent({ digest, image, verdict }: VexSubject, entries: readonly VexEntry[]) {
  const packages = new Map(entries.map((entry) => [entry.ref, entry.findings[0].finding]));
  const purl = imagePurl(image, digest);
  return {
    type: 'container',
    'bom-ref': digest,
    name: image ?? digest,
    version: digest,
    ...(purl === undefined ? {} : { purl }),
    properties: [{ name: 'cattery:verdict', value: verdict }],
    ...(packages.size === 0
      ? {}
      : { components: [...packages].map(([ref, finding]) => packageComponent(ref, finding)) }),
  };
}

const packageComponent = (ref: string, { package: name, version, purl }: FoundFinding) => ({
  type: 'library',
  'bom-ref': ref,
  name,
  ...(version === '' ? {} : { version }),
  ...(purl === undefined ? {} : { purl }),
});

/** `pkg:oci/…`, where the image has a repository (package URL's type definitions, oci). */
function imagePurl(image: string | undefined, digest: string): string | undefined {
  const reference = image === undefined ? undefined : referenceIn(image);
  if (reference === undefined) return undefined;
  const path = pathOf(reference);
  const name = path.slice(path.lastIndexOf('/') + 1);
  return `pkg:oci/${name}@${encodeURIComponent(digest)}?repository_url=${encodeURIComponent(path)}`;
}

function vulnerabilityOf({ ref, findings }: VexEntry) {
  const [{ finding: first }] = findings;
  const { vulnerability, aliases, severity, score, publishedAt } = first;
  const versions = [...new Set(findings.flatMap(({ finding }) => finding.fix.versions))];
  return {
    'bom-ref': `${vulnerability} ${ref}`,
    id: vulnerability,
    source: sourceOf(vulnerability),
    ...(aliases.length === 0
      ? {}
      : { references: [...new Set(aliases)].map((id) => ({ id, source: sourceOf(id) })) }),
    ratings: [
      { ...(score === undefined ? {} : { score }), severity: severity === 'negligible' ? 'info' : severity },
    ],
    ...(versions.length === 0 ? {} : { recommendation: `Fixed in ${versions.join(', ')}` }),
    ...(publishedAt === undefined ? {} : { published: publishedAt }),
    analysis: analysisOf(findings),
    affects: [{ ref }],
    properties: [...new Set(findings.map(({ finding }) => finding.scanner))].map((value) => ({
      name: 'cattery:scanner',
      value,
    })),
  };
}

/** Who gives such names, as far as the name tells. */
const sourceOf = (vulnerability: string) => ({ name: vulnerability.split(/[-:]/)[0] ?? vulnerability });

/** What scanners disagree about is what the one says that says the worst of it. */
function analysisOf(findings: VexEntry['findings']) {
  const analyses = findings.map(analysis);
  return analyses.reduce((worst, each) =>
    states.indexOf(each.state) < states.indexOf(worst.state) ? each : worst,
  );
}

type Analysis = { readonly state: State; readonly justification?: string; readonly detail?: string };

function analysis({ finding: { suppressed }, isAffected }: StatedFinding): Analysis {
  if (!suppressed) return { state: isAffected ? 'exploitable' : 'in_triage' };
  const { status, justification, source } = suppressed;
  if (status === 'excepted' || status === 'ignored')
    return { state: 'in_triage', detail: acceptedBy(suppressed) };
  if (status === 'fixed') return { state: 'resolved', ...detailed([source]) };
  if (justification === 'false_positive') return { state: 'false_positive', ...detailed([source]) };
  const word = justifications[justification ?? ''];
  return {
    state: 'not_affected',
    ...(word === undefined ? {} : { justification: word }),
    ...detailed([word === undefined ? justification : undefined, source]),
  };
}

const detailed = (parts: readonly (string | undefined)[]) => {
  const detail = parts.filter((part) => part !== undefined).join(', ');
  return detail === '' ? {} : { detail };
};

const acceptedBy = ({ status, exceptionId, until, source }: Suppression): string =>
  status === 'excepted'
    ? `Does not count until ${until ?? ''}: exception ${exceptionId ?? ''}`
    : `Left out by the scanner${source === undefined ? '' : `: ${source}`}`;
