import { Problem } from '../../../core/problem/problem.ts';
import { isOfCycloneDx, readCycloneDx } from './cyclonedx.ts';
import { isOfCycloneDxVex, readCycloneDxVex } from './cyclonedx-vex.ts';
import { readGrype } from './grype.ts';
import { isOfHarbor, readHarbor } from './harbor.ts';
import { isObject, type Members, word } from './members.ts';
import type { Report, ReportFormat } from './normal-form.ts';
import { isOfOpenVex, readOpenVex } from './openvex.ts';
import { parseReportJson } from './report-json.ts';
import { inlineLimits, type ReportLimits } from './report-limits.ts';
import { readSarif } from './sarif.ts';
import { readTrivy, readTrivyArray } from './trivy.ts';
import { readTrivyK8s } from './trivy-k8s.ts';
import { isOfTrivyOperator, readTrivyOperator } from './trivy-operator.ts';

/** What is taken, in the words of a refusal. */
export const takenFormats =
  'Taken are reports about container images: Trivy JSON (trivy image, trivy k8s, trivy-operator, Harbor), Grype JSON, CycloneDX 1.4–1.7 JSON with vulnerabilities, and SARIF 2.1.0 of Trivy or Grype; and VEX documents: OpenVEX 0.2, CycloneDX.';

const has = (json: unknown, ...names: readonly string[]): boolean =>
  isObject(json) && names.every((name) => Object.hasOwn(json, name));

type Format = {
  /** In a sentence: "Found …". */
  readonly name: string;
  /** Marks that its own tool always writes, and that no other format has. */
  readonly isIt: (json: unknown) => boolean;
  readonly read: (json: unknown) => Report;
};

const formats: Readonly<Record<ReportFormat, Format>> = {
  trivy: {
    name: 'a Trivy report',
    isIt: (json) => has(json, 'SchemaVersion') && !isOfACluster(json),
    read: (json) => {
      assertOfAnImage(json);
      return readTrivy(json);
    },
  },
  'trivy-array': {
    name: 'a report of a Trivy before schema 2',
    isIt: (json) => Array.isArray(json) && json.length > 0 && json.every(isTrivyResult),
    read: readTrivyArray,
  },
  'trivy-k8s': { name: "a report of 'trivy k8s'", isIt: isOfACluster, read: readTrivyK8s },
  'trivy-operator': { name: 'reports of trivy-operator', isIt: isOfTrivyOperator, read: readTrivyOperator },
  harbor: { name: "a report of Harbor's", isIt: isOfHarbor, read: readHarbor },
  grype: {
    name: 'a Grype report',
    isIt: isOfGrype,
    read: readGrype,
  },
  cyclonedx: { name: 'CycloneDX', isIt: isOfCycloneDx, read: readCycloneDx },
  sarif: { name: 'SARIF', isIt: (json) => has(json, 'runs', 'version'), read: readSarif },
  openvex: { name: 'an OpenVEX document', isIt: isOfOpenVex, read: readOpenVex },
  'cyclonedx-vex': { name: 'a CycloneDX VEX document', isIt: isOfCycloneDxVex, read: readCycloneDxVex },
};

/**
 * Reads a report of any format that we know, which is told by its content alone. REPORT_MALFORMED, PAYLOAD_TOO_LARGE,
 * and REPORT_UNSUPPORTED with what was found where that is of no format, or of more than one.
 */
export function readReport(bytes: Uint8Array, limits: ReportLimits = inlineLimits): Report {
  const json = parseReportJson(bytes, limits);
  const found = Object.values(formats).filter(({ isIt }) => isIt(json));
  const [format, ...others] = found;
  if (!format) throw unsupported(unknownFormat(json));
  if (others.length > 0) {
    throw unsupported(`what could be ${found.map(({ name }) => name).join(', or ')}`);
  }
  const report = format.read(json);
  if (findingsIn(report) > limits.findings) {
    throw new Problem('PAYLOAD_TOO_LARGE', `A report may have ${limits.findings} findings.`);
  }
  return report;
}

/** Of a VEX document, the products and parts of products that its statements are about. */
const findingsIn = (report: Report): number =>
  'scans' in report
    ? report.scans.reduce((sum, { findings }) => sum + findings.length, 0)
    : report.statements.reduce(
        (sum, { products }) =>
          products.reduce((count, { subcomponents }) => count + Math.max(1, subcomponents.length), sum),
        0,
      );

const unsupported = (found: string) => new Problem('REPORT_UNSUPPORTED', `Found ${found}. ${takenFormats}`);

function isOfACluster(json: unknown): boolean {
  const lists = ['Resources', 'Findings', 'Vulnerabilities', 'Misconfigurations'];
  return has(json, 'ClusterName') && lists.some((name) => has(json, name));
}

const isTrivyResult = (each: unknown): boolean =>
  isObject(each) && typeof each.Target === 'string' && (has(each, 'Type') || has(each, 'Vulnerabilities'));

/** Scripts that cut a report down keep its matches. */
function isOfGrype(json: unknown): boolean {
  if (!isObject(json) || !Array.isArray(json.matches)) return false;
  const ofItsMatches = (each: unknown) => has(each, 'vulnerability', 'artifact');
  return has(json, 'descriptor') || has(json, 'source') || json.matches.some(ofItsMatches);
}

/**
 * Trivy writes the same form for whatever it looks at. Images have a place here, and bills of materials, which may be
 * those of an image: the request says of which.
 */
function assertOfAnImage(json: unknown): void {
  const { SchemaVersion, ArtifactType } = json as Members;
  if (SchemaVersion !== 2) throw unsupported(`Trivy schema ${word(SchemaVersion)}`);
  if (!['container_image', 'cyclonedx', 'spdx'].includes(String(ArtifactType))) {
    throw unsupported(
      `a Trivy report about a ${ArtifactType === undefined ? 'thing that it does not name' : word(ArtifactType)}`,
    );
  }
}

/** What a report of no known format is, as far as one can tell. */
function unknownFormat(json: unknown): string {
  if (json === null) {
    return 'the word null, which old versions of Trivy wrote when they found nothing, and many a failed script too';
  }
  if (Array.isArray(json)) return json.length === 0 ? 'an empty array' : 'an array of no known form';
  if (!isObject(json)) return `a JSON ${typeof json}`;
  if (has(json, 'spdxVersion')) return 'an SPDX document, which holds no vulnerabilities';
  if (has(json, 'bomFormat')) return `a bill of materials of the kind ${word(json.bomFormat)}`;
  return 'a JSON object without the marks of any of them (for Trivy: SchemaVersion)';
}
