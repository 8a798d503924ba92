import type { Severity } from '../../../core/image/image-schema.ts';

/** What a report is about, in every name that it gives; arrays without repetitions, in the report's order. */
export type ReportedImage = {
  /** `<registry>/<repository>:<tag>` and the like, as the report has them. */
  readonly references: readonly string[];
  /** `sha256:…` of its manifest or index: what registries know it by. */
  readonly digests: readonly string[];
  /** Which of several digests it is kept under unless the request says otherwise; absent: the request has to say. */
  readonly digest?: string;
  /** A container engine may have made the only digest up, before any registry has given one: the request may name another. */
  readonly isUnpublished?: true;
  /** `sha256:…` of its configuration: an alias, never what it is kept under. */
  readonly imageId?: string;
  /** `linux/amd64` and the like. */
  readonly platform?: string;
  /** `urn:cdx:<serial>/<version>`: the bill of materials that the report is; statements may name the image by it. */
  readonly bom?: string;
};

export const cvssVersions = ['2.0', '3.0', '3.1', '4.0'] as const;

/** One base score, as one source gives it (CVSS v2.0, v3.x, v4.0). */
export type CvssScore = {
  readonly version: (typeof cvssVersions)[number];
  /** 0–10 with one decimal. */
  readonly score: number;
  readonly vector?: string;
  /** `nvd`, `ghsa`, `redhat`, …: lower case. */
  readonly source: string;
};

/** What the distributor says of a fix. `wont-fix` and `deferred` have none at present. */
export type FixState = 'fixed' | 'not-fixed' | 'wont-fix' | 'deferred' | 'end-of-life' | 'unknown';

/** Why a finding does not count: somebody has decided that before us. It is kept, and shown as suppressed. */
export type Suppression = {
  /** `not_affected` and `fixed` are VEX' words; `ignored` is a rule of the scanner's. */
  readonly status: 'not_affected' | 'fixed' | 'ignored';
  readonly justification?: string;
  /** The document or rule that says so. */
  readonly source?: string;
};

/** A vulnerability in one package in one place. Its key is vulnerability + purl (else package and version) + location. */
export type ReportedFinding = {
  readonly vulnerability: string;
  /** Other names of the same, CVE and GHSA among them. */
  readonly aliases: readonly string[];
  readonly package: string;
  readonly version: string;
  readonly purl?: string;
  /** File of the package, else the part of the image that holds it; never the image's tag. */
  readonly location: string;
  readonly severity: Severity;
  readonly cvss: readonly CvssScore[];
  /** Probability of exploitation in the next 30 days (FIRST's EPSS), 0–1. */
  readonly epss?: { readonly score: number; readonly percentile?: number };
  /** In CISA's catalogue of known exploited vulnerabilities. Absent: the report does not say. */
  readonly knownExploited?: boolean;
  readonly fix: { readonly state: FixState; readonly versions: readonly string[] };
  /** When it became known, epoch milliseconds. */
  readonly publishedAt?: number;
  readonly suppressed?: Suppression;
};

/** One image's part of a report. */
export type ReportedScan = {
  readonly image: ReportedImage;
  readonly findings: readonly ReportedFinding[];
  /** When this image was scanned, epoch milliseconds, where a report of several images says it for each. */
  readonly createdAt?: number;
};

/** A VEX statement: it changes what stored results count, and is no result itself. */
export type VexStatement = {
  readonly vulnerability: string;
  readonly aliases: readonly string[];
  /**
   * Each by one name: a purl or digest of an image or package, or `urn:cdx:<serial>/<version>`, the bill of materials of
   * an image. With sub-components the statement holds for any of those inside the product alone. A purl with the
   * qualifier `vers` is about a range of versions: who cannot tell whether a version is in it must not apply it.
   */
  readonly products: readonly { readonly id: string; readonly subcomponents: readonly string[] }[];
  readonly status: 'not_affected' | 'affected' | 'fixed' | 'under_investigation';
  readonly justification?: string;
  /**
   * Epoch milliseconds: of two statements of one author about the same, the later counts, and of one time the one that
   * stands later. 0: the document does not say when (CycloneDX need not).
   */
  readonly at: number;
};

export const reportFormats = [
  'trivy',
  'trivy-array',
  'trivy-k8s',
  'trivy-operator',
  'harbor',
  'grype',
  'cyclonedx',
  'sarif',
  'openvex',
  'cyclonedx-vex',
] as const;
export type ReportFormat = (typeof reportFormats)[number];

/** A report in our own terms. */
export type Report = {
  readonly format: ReportFormat;
  readonly scanner: {
    /** `trivy`, `grype`: lower case. */
    readonly name: string;
    readonly version?: string;
    /** When its database was built, epoch milliseconds. */
    readonly databaseAt?: number;
  };
  /** When the scan was made, epoch milliseconds; absent: the report does not say. */
  readonly createdAt?: number;
} & (
  | { readonly scans: readonly ReportedScan[] }
  | { readonly author: string; readonly statements: readonly VexStatement[] }
);
