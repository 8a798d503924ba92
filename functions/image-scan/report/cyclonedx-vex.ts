import { Problem } from '../../../core/problem/problem.ts';
import { bomLinkIn } from './bom-link.ts';
import { readBom, scannerOf, type Bom } from './cyclonedx-bom.ts';
import {
  isVex,
  statusOf,
  withVulnerabilities,
  type Affect,
  type Vulnerability,
} from './cyclonedx-vulnerability.ts';
import { aliasesOf, given, guardFindings, label, readMembers, time, timeIfAny } from './members.ts';
import type { Report, VexStatement } from './normal-form.ts';
import { withRange, withVersion } from '../../../core/image/package-url.ts';
import { applicable, productId, type VexProduct } from './vex-product.ts';

/** CycloneDX with vulnerabilities that somebody has analysed and without components. */
export const isOfCycloneDxVex = isVex;

/**
 * A CycloneDX document as statements: one for each vulnerability with an analysis. REPORT_MALFORMED, PAYLOAD_TOO_LARGE,
 * REPORT_UNSUPPORTED.
 */
export function readCycloneDxVex(json: unknown): Report {
  const bom = readBom(json);
  const { metadata } = bom.header;
  const { vulnerabilities } = readMembers(withVulnerabilities, json);
  const affects = vulnerabilities.flatMap((each) => each.affects);
  guardFindings(affects.reduce((sum, { versions }) => sum + Math.max(1, versions.length), 0));
  const createdAt = time(metadata?.timestamp, 'metadata.timestamp');
  return {
    format: 'cyclonedx-vex',
    scanner: scannerOf(bom.header),
    ...given('createdAt', createdAt),
    author: authorOf(bom),
    statements: applicable(vulnerabilities.flatMap((each) => statementOf(each, bom, createdAt ?? 0))),
  };
}

/** Whoever the document says has made it; `unknown` for one that does not, as the specification's own examples. */
function authorOf({ header: { metadata } }: Bom): string {
  const names = [
    ...(metadata?.authors ?? []),
    metadata?.manufacturer,
    metadata?.manufacture,
    metadata?.supplier,
  ].map((each) => each?.name?.trim());
  return names.find((name) => name !== undefined && name !== '') ?? 'unknown';
}

function statementOf(found: Vulnerability, bom: Bom, issuedAt: number): VexStatement[] {
  const { analysis } = found;
  const status = statusOf(analysis?.state);
  if (analysis === undefined || status === undefined) return [];
  const vulnerability = found.id || found.references.find(({ id }) => id)?.id;
  if (!vulnerability) throw new Problem('REPORT_MALFORMED', 'A vulnerability has no id.');
  const falsePositive = analysis.state === 'false_positive' ? 'false_positive' : undefined;
  return [
    {
      vulnerability,
      aliases: aliasesOf(
        vulnerability,
        found.references.map(({ id }) => id),
      ),
      products: found.affects.flatMap((affect) => productsOf(affect, status, bom)),
      status,
      ...given('justification', label(analysis.justification) ?? falsePositive),
      at: timeIfAny(analysis.lastUpdated) ?? timeIfAny(analysis.firstIssued) ?? issuedAt,
    },
  ];
}

/**
 * What a statement is about, never wider than it says: a package in somebody's bill of materials is about that one
 * alone, and a package beside a subject about the package inside that subject.
 */
function productsOf(affect: Affect, status: VexStatement['status'], bom: Bom): VexProduct[] {
  const linked = bomLinkIn(affect.ref);
  if (linked && linked.bom !== bom.link) {
    if (linked.ref === undefined) return [{ id: linked.bom, subcomponents: [] }];
    const inside = productId(linked.ref);
    if (inside !== undefined) return inProduct(linked.bom, inVersions(inside, affect, status));
    return inVersions(`${linked.bom}#${linked.ref}`, affect, status).map((id) => ({ id, subcomponents: [] }));
  }
  const part = bom.at(affect.ref);
  const names = part ? [part.purl, part.version] : [linked?.ref ?? affect.ref];
  const ids = names.flatMap((name) => productId(name) ?? []).slice(0, 1);
  const versions = ids.flatMap((id) => inVersions(id, affect, status, part?.version));
  if (bom.root === undefined || part === bom.root) {
    return versions.map((id) => ({ id, subcomponents: [] }));
  }
  const subject = [bom.root.purl, bom.root.version].flatMap((name) => productId(name) ?? [])[0];
  return subject === undefined ? [] : inProduct(subject, versions);
}

const inProduct = (id: string, subcomponents: readonly string[]): VexProduct[] =>
  subcomponents.length === 0 ? [] : [{ id, subcomponents }];

/**
 * The package in the versions that the statement is about. A document may list affected and unaffected ones in one
 * place: what settles a finding is about the unaffected, what does not about the others. What is named by no package
 * URL is of one version, and a statement that settles something is about it if that one is listed.
 */
function inVersions(
  id: string,
  { versions }: Affect,
  status: VexStatement['status'],
  ownVersion?: string,
): string[] {
  if (versions.length === 0) return [id];
  const settles = status === 'not_affected' || status === 'fixed';
  const unaffected = versions.filter((each) => each.status === 'unaffected');
  const meant =
    settles && unaffected.length > 0 ? unaffected : versions.filter((each) => each.status !== 'unaffected');
  if (!id.startsWith('pkg:')) {
    const isMeant = settles
      ? meant.some(({ version }) => version && version === ownVersion)
      : meant.length > 0;
    return isMeant ? [id] : [];
  }
  return meant.flatMap(({ version, range }) => {
    if (version) return [withVersion(id, version)];
    return range ? [withRange(id, range)] : [];
  });
}
