import { Problem } from '../../core/problem/problem.ts';

/**
 * Refuses what is not a Trivy JSON report (schema 2) of a container image, and says what was found instead.
 * Trivy publishes no schema: the marks are those of its own writer and of the other formats' specifications.
 */
export function assertTrivyImageReport(report: unknown): asserts report is Record<string, unknown> {
  const found = otherFormat(report);
  if (found) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      `Found ${found}. Taken are Trivy JSON reports of schema 2 (trivy image --format json).`,
    );
  }
}

function otherFormat(report: unknown): string | undefined {
  if (report === null) return 'the word null, which old versions of Trivy wrote when they found nothing';
  if (Array.isArray(report)) return 'a bare array, as Trivy wrote before schema 2';
  if (typeof report !== 'object') return `a JSON ${typeof report}`;
  const has = (name: string) => Object.hasOwn(report, name);
  const of = (name: string): unknown => (has(name) ? (report as Record<string, unknown>)[name] : undefined);
  if (of('bomFormat') === 'CycloneDX') return `CycloneDX ${word(of('specVersion'))}`;
  if (has('spdxVersion')) return `an SPDX document`;
  if (has('runs') && has('version')) return `SARIF ${word(of('version'))}`;
  if (has('matches') && has('descriptor')) return 'a Grype report';
  if (has('@context') && has('statements')) return 'an OpenVEX document';
  if (has('ClusterName') || has('Resources')) return "a report of 'trivy k8s'";
  if (!has('SchemaVersion')) return 'a JSON object without SchemaVersion';
  if (of('SchemaVersion') !== 2) return `Trivy schema ${word(of('SchemaVersion'))}`;
  if (of('ArtifactType') !== 'container_image') return `a Trivy report about a ${word(of('ArtifactType'))}`;
  return undefined;
}

/** A short value of the report as it may be shown in an error. */
function word(value: unknown): string {
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : 'of an unknown kind';
  return text.replace(/[^\w .:/+-]/g, '?').slice(0, 40);
}
