import { Problem } from '../../../core/problem/problem.ts';
import { bomLinkIn } from './bom-link.ts';
import {
  isCycloneDx,
  nameOf,
  packageName,
  propertiesOf,
  readBom,
  scannerOf,
  type Bom,
  type Component,
} from './cyclonedx-bom.ts';
import { imageOf } from './cyclonedx-image.ts';
import { cvssOf, exploitationOf, severityIn } from './cyclonedx-rating.ts';
import {
  isVex,
  statusOf,
  withVulnerabilities,
  type Affect,
  type Vulnerability,
} from './cyclonedx-vulnerability.ts';
import { aliasesOf, distinct, given, guardFindings, label, readMembers, time, timeIfAny } from './members.ts';
import type { Report, ReportedFinding, Suppression } from './normal-form.ts';
import { partsOf, withoutQualifier } from '../../../core/image/package-url.ts';

/** A CycloneDX document that is no VEX; the reader says whether it is the result of a scan. */
export const isOfCycloneDx = (json: unknown): boolean => isCycloneDx(json) && !isVex(json);

/**
 * A CycloneDX document of 1.4 to 1.7 with vulnerabilities, each of which is one finding for each component that it
 * affects, as its tools count. What an analysis has settled is kept as suppressed. REPORT_MALFORMED,
 * PAYLOAD_TOO_LARGE, and REPORT_UNSUPPORTED for what does not tell that somebody has looked for vulnerabilities.
 */
export function readCycloneDx(json: unknown): Report {
  const bom = readBom(json);
  const scanner = scannerOf(bom.header);
  assertScanned(json, scanner.name);
  const { vulnerabilities } = readMembers(withVulnerabilities, json);
  guardFindings(vulnerabilities.reduce((sum, { affects }) => sum + Math.max(1, affects.length), 0));
  const locations: Locations = new Map();
  const findings = vulnerabilities.flatMap((each) => findingsOf(each, bom, scanner.name, locations));
  return {
    format: 'cyclonedx',
    scanner,
    ...given('createdAt', time(bom.header.metadata?.timestamp, 'metadata.timestamp')),
    scans: [{ image: imageOf(bom), findings }],
  };
}

/** A mere list of components would pass for an image without vulnerabilities. */
function assertScanned(json: unknown, scanner: string): void {
  const { vulnerabilities } = json as { vulnerabilities?: unknown };
  if (vulnerabilities === undefined || vulnerabilities === null) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      'Found a CycloneDX bill of materials without vulnerabilities, which is no result of a scan. Taken are those with vulnerabilities.',
    );
  }
  if (scanner === 'trivy' && Array.isArray(vulnerabilities) && vulnerabilities.length === 0) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      "Found a CycloneDX bill of materials of Trivy's with an empty list of vulnerabilities, which it writes without a scan too ('--scanners vuln' makes it scan). Its JSON ('--format json') tells the one from the other.",
    );
  }
}

/** By reference: a component may be affected by thousands of vulnerabilities, and have as many properties. */
type Locations = Map<string, string | undefined>;

function findingsOf(
  found: Vulnerability,
  bom: Bom,
  scanner: string,
  locations: Locations,
): ReportedFinding[] {
  const vulnerability = found.id || found.references.find(({ id }) => id)?.id || 'unnamed';
  const shared = {
    vulnerability,
    aliases: aliasesOf(
      vulnerability,
      found.references.map(({ id }) => id),
    ),
    severity: severityIn(found, scanner),
    cvss: cvssOf(found, scanner),
    ...exploitationOf(found),
    ...given('publishedAt', timeIfAny(found.published)),
  };
  const fixes = fixesIn(found.recommendation);
  const affects = found.affects.length > 0 ? found.affects : [undefined];
  return affects.map((affect) => {
    const place = placeOf(affect, bom, locations);
    return {
      ...shared,
      ...place,
      fix: fixOf(fixes.get(place.package), found),
      ...given('suppressed', suppressionOf(found, affect, place.version, bom)),
    };
  });
}

/**
 * What a vulnerability affects. A reference that the document does not resolve stands for itself: the finding counts.
 * Nothing named: it is about the document's subject.
 */
function placeOf(
  affect: Affect | undefined,
  bom: Bom,
  locations: Locations,
): Pick<ReportedFinding, 'package' | 'version' | 'purl' | 'location'> {
  const component = affect ? bom.at(affect.ref) : bom.root;
  const ref = affect && (bomLinkIn(affect.ref)?.ref ?? affect.ref);
  const purl = component ? component.purl : purlIn(ref);
  const parts = purl === undefined ? undefined : partsOf(purl);
  const versions = affect?.versions.filter(({ status = 'affected' }) => status === 'affected') ?? [];
  const key = ref ?? '';
  if (!locations.has(key)) locations.set(key, locationOf(component, ref, bom));
  const only = versions.length === 1 ? versions[0]?.version : undefined;
  return {
    package:
      (component && nameOf(component)) ||
      (parts ? packageName(parts.type, parts.namespace, parts.name) : (ref ?? '').slice(0, 512)),
    version: component?.version || parts?.version || only || '',
    ...given('purl', purl),
    location: locations.get(key) ?? parts?.type ?? component?.type ?? '',
  };
}

/** Some tools use the package URL as reference; Syft's and Grype's have an id of their own in it. */
const purlIn = (ref: string | undefined): string | undefined =>
  ref?.startsWith('pkg:') && ref.length <= 2_048 ? withoutQualifier(ref, 'package-id') : undefined;

/** The package's file, else what Trivy's own JSON has in its place: the system's kind or the lock file; else its kind. */
function locationOf(component: Component | undefined, ref: string | undefined, bom: Bom): string | undefined {
  const of = (name: string): string | undefined => propertiesOf(component, name)[0];
  const file =
    of('aquasecurity:trivy:FilePath') ??
    of('syft:location:0:path') ??
    component?.evidence?.occurrences.find(({ location }) => location)?.location;
  const found = file ?? (ref === undefined ? undefined : heldBy(bom.holderOf(ref)));
  return (found ?? of('aquasecurity:trivy:PkgType') ?? of('syft:package:type'))?.slice(0, 4_096);
}

function heldBy(holder: Component | undefined): string | undefined {
  const [holds] = propertiesOf(holder, 'aquasecurity:trivy:Class');
  if (holds === undefined) return undefined;
  return holds === 'os-pkgs' ? propertiesOf(holder, 'aquasecurity:trivy:Type')[0] : holder?.name;
}

/** `Upgrade libidn2-0 to version 2.0.5-1+deb10u1; …`: Trivy's, and the specification's own example; else free text. */
function fixesIn(recommendation: string | undefined): ReadonlyMap<string, readonly string[]> {
  const fixes = new Map<string, readonly string[]>();
  for (const each of (recommendation ?? '').slice(0, 65_536).split('; ')) {
    const [, name, words] = /^Upgrade (\S+) to version (.+)$/.exec(each) ?? [];
    if (name === undefined || words === undefined) continue;
    const versions = words
      .replace(/ or (?:higher|later)\.?$/, '')
      .split(',')
      .map((version) => version.trim())
      .filter((version) => /^(?:[<>=~^]{1,2} ?)?[\w.+~:^!-]{1,128}$/.test(version));
    fixes.set(name, distinct([...(fixes.get(name) ?? []), ...versions]).slice(0, 100));
  }
  return fixes;
}

function fixOf(versions: readonly string[] = [], { analysis }: Vulnerability): ReportedFinding['fix'] {
  if (versions.length > 0) return { state: 'fixed', versions };
  if (analysis?.response.includes('will_not_fix')) return { state: 'wont-fix', versions };
  return { state: analysis?.response.includes('can_not_fix') ? 'not-fixed' : 'unknown', versions };
}

/**
 * An analysis that has settled it, or the very version listed as unaffected. Ranges of versions settle nothing: whether
 * a version is in one depends on its ecosystem, and the tool that listed the component has found it affected.
 */
function suppressionOf(
  { analysis }: Vulnerability,
  affect: Affect | undefined,
  version: string,
  bom: Bom,
): Suppression | undefined {
  const unaffected =
    version !== '' &&
    affect?.versions.some((each) => each.status === 'unaffected' && each.version === version);
  const status = unaffected ? 'not_affected' : statusOf(analysis?.state);
  if (status !== 'not_affected' && status !== 'fixed') return undefined;
  const falsePositive = analysis?.state === 'false_positive' ? 'false_positive' : undefined;
  return {
    status,
    ...given('justification', label(analysis?.justification) ?? falsePositive),
    ...given('source', bom.link),
  };
}
