import * as z from 'zod';
import { Problem } from '../../../core/problem/problem.ts';
import { guardFindings, list, optional, readMembers, text } from './members.ts';
import type { Report, ReportedScan } from './normal-form.ts';
import { oneEach } from './one-each.ts';
import { findingsOf, imageNameIn, imageOf, isAboutPackages, trivyMetadata, trivyResult } from './trivy.ts';

const resource = z.object({
  Kind: optional(text(256)),
  Name: optional(text(512)),
  /** An array since 0.50, one object before, absent before 0.40. */
  Metadata: z.preprocess(
    (given) => (given === undefined || given === null || Array.isArray(given) ? given : [given]),
    list(trivyMetadata, 1_000),
  ),
  Results: list(trivyResult),
  Error: optional(z.string()),
});
type Resource = z.infer<typeof resource>;

const clusterReport = z.object({
  /** `--report all`. */
  Resources: list(resource),
  /** `--report summary`. */
  Findings: list(resource),
  /** Before 0.36. */
  Vulnerabilities: list(resource),
});

/** A report of `trivy k8s --format json`. REPORT_MALFORMED, REPORT_UNSUPPORTED, PAYLOAD_TOO_LARGE. */
export function readTrivyK8s(json: unknown): Report {
  const { Resources, Findings, Vulnerabilities } = readMembers(clusterReport, json);
  const scans = [...Resources, ...Findings, ...Vulnerabilities].filter(isOfAnImage).map(scanOf);
  if (scans.length === 0) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      "Found a report of 'trivy k8s' in which no image was scanned for vulnerabilities (trivy k8s --scanners vuln).",
    );
  }
  guardFindings(scans.reduce((sum, { findings }) => sum + findings.length, 0));
  return { format: 'trivy-k8s', scanner: { name: 'trivy' }, scans: oneEach(scans) };
}

/** Parts of the cluster that are judged by their version, not as images. */
const components: ReadonlySet<string> = new Set([
  'Cluster',
  'ControlPlaneComponents',
  'Node',
  'NodeComponents',
  'NodeInfo',
]);

/**
 * Misconfigurations and roles have resources of their own, without an image and without packages; a resource whose scan
 * failed is none either: its image stays as it was.
 */
const isOfAnImage = ({ Kind = '', Metadata, Results, Error: failed }: Resource): boolean =>
  !components.has(Kind) &&
  isAboutPackages(Results, Metadata) &&
  (Results.length > 0 || (imagesIn(Metadata).length > 0 && !failed));

const imagesIn = (metadata: Resource['Metadata']): ReportedScan['image'][] =>
  metadata
    .map((each) => imageOf(each, undefined))
    .filter(
      ({ references, digests, imageId }) =>
        references.length > 0 || digests.length > 0 || imageId !== undefined,
    );

function scanOf({ Metadata, Results, Kind = '', Name = '' }: Resource): ReportedScan {
  const [image = imageOf(undefined, imageNameIn(Results)), ...others] = imagesIn(Metadata);
  if (others.length > 0) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      `The report holds the findings of several images of ${`${Kind} ${Name}`.replace(/[^\w .-]/g, '?').slice(0, 80)} together: use trivy k8s --report all.`,
    );
  }
  return { image, findings: findingsOf(Results) };
}
