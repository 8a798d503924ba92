import { Problem } from '../../../core/problem/problem.ts';
import type { ReportedFinding, ReportedScan } from './normal-form.ts';

/** What makes a finding the same one: vulnerability, package URL (else package and version), location. */
export const findingKey = ({
  vulnerability,
  purl,
  package: name,
  version,
  location,
}: ReportedFinding): string =>
  [vulnerability, ...(purl === undefined ? [name, version] : [purl]), location].join('\n');

/** More images than a cluster's report of 4 MB has; each is stored by itself, within one request or event. */
export const maxImages = 500;

/**
 * One scan for each image of a report that tells of the same image once for each workload that runs it. Of scans made
 * at different times the newest stands; of those made together nothing is lost: findings that one lacks are added. PAYLOAD_TOO_LARGE for more than 500 images.
 */
export function oneEach(scans: readonly ReportedScan[]): ReportedScan[] {
  const byImage = new Map<string, ReportedScan[]>();
  const nameless: ReportedScan[] = [];
  for (const scan of scans) {
    const name = scan.image.digests[0] ?? scan.image.references[0];
    if (name === undefined) nameless.push(scan);
    else {
      const others = byImage.get(name);
      if (others) others.push(scan);
      else byImage.set(name, [scan]);
    }
  }
  if (byImage.size > maxImages) {
    throw new Problem('PAYLOAD_TOO_LARGE', `A report may be about ${maxImages} images.`);
  }
  return [...[...byImage.values()].map(together), ...nameless];
}

function together(scans: readonly ReportedScan[]): ReportedScan {
  const newest = scans.reduce((latest, { createdAt = 0 }) => Math.max(latest, createdAt), 0);
  const [first, ...others] = scans.filter(({ createdAt = 0 }) => createdAt === newest) as [
    ReportedScan,
    ...ReportedScan[],
  ];
  if (others.length === 0) return first;
  const seen = new Set(first.findings.map(findingKey));
  const findings = [...first.findings];
  for (const found of others.flatMap((each) => each.findings)) {
    const key = findingKey(found);
    if (!seen.has(key)) findings.push(found);
    seen.add(key);
  }
  const images = [first, ...others].map(({ image }) => image);
  return {
    ...first,
    image: {
      ...first.image,
      references: [...new Set(images.flatMap(({ references }) => references))],
      digests: [...new Set(images.flatMap(({ digests }) => digests))],
    },
    findings,
  };
}
