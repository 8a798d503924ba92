import { readFileSync } from 'node:fs';

/** A real report of Trivy's, as bytes. */
export const trivyFixture = (name: 'ubuntu-1804' | 'alpine-310'): Buffer =>
  readFileSync(new URL(`../../fixtures/scan-reports/trivy-${name}.json`, import.meta.url));

type Vulnerability = Readonly<Record<string, unknown>>;

/** A small report of schema 2; `overrides` replace its members. */
export const trivyReport = (
  vulnerabilities: readonly Vulnerability[],
  overrides: Readonly<Record<string, unknown>> = {},
): string =>
  JSON.stringify({
    SchemaVersion: 2,
    Trivy: { Version: '0.72.0' },
    CreatedAt: '2026-10-01T08:00:00Z',
    ArtifactName: 'registry.example/shop/web:1',
    ArtifactType: 'container_image',
    Metadata: { RepoDigests: [] },
    Results: [
      {
        Target: 'registry.example/shop/web:1 (debian 12.1)',
        Class: 'os-pkgs',
        Type: 'debian',
        Vulnerabilities: vulnerabilities,
      },
    ],
    ...overrides,
  });

/** A finding with one CVSS v3 score. */
export const scored = (id: string, score: number, severity = 'HIGH'): Vulnerability => ({
  VulnerabilityID: id,
  PkgName: 'libc6',
  PkgIdentifier: { PURL: 'pkg:deb/debian/libc6@2.36' },
  InstalledVersion: '2.36',
  Severity: severity,
  CVSS: { nvd: { V3Score: score } },
});

export const digestOf = (character: string): string => `sha256:${character.repeat(64)}`;
