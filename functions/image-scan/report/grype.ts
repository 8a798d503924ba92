import {
  grypeReport,
  type IgnoreRule,
  type Match,
  type Metadata,
  type Target,
  type Vulnerability,
} from './grype-schema.ts';
import {
  aliasesOf,
  cvssScore,
  digestIn,
  distinct,
  given,
  guardFindings,
  label,
  readMembers,
  severityOf,
  time,
  timeIfAny,
} from './members.ts';
import type {
  CvssScore,
  FixState,
  Report,
  ReportedFinding,
  ReportedImage,
  Suppression,
} from './normal-form.ts';

/**
 * A report of `grype --output json`. Every match counts, as in Grype's own summary; ignored ones are kept as suppressed.
 * REPORT_MALFORMED, PAYLOAD_TOO_LARGE.
 */
export function readGrype(json: unknown): Report {
  const { matches, ignoredMatches, source, descriptor } = readMembers(grypeReport, json);
  guardFindings(matches.length + ignoredMatches.length);
  const { db } = descriptor ?? {};
  const knowsExploited = db?.providers?.kev !== undefined;
  return {
    format: 'grype',
    scanner: {
      name: 'grype',
      ...given('version', versionOf(descriptor?.version)),
      ...given('databaseAt', timeIfAny(db?.status?.built ?? db?.built)),
    },
    ...given('createdAt', time(descriptor?.timestamp, 'descriptor.timestamp')),
    scans: [
      {
        image: imageOf(source?.target),
        findings: [
          ...matches.map((each) => finding(each, knowsExploited)),
          ...ignoredMatches.map((each) => ({
            ...finding(each, knowsExploited),
            suppressed: suppressionOf(each.appliedIgnoreRules),
          })),
        ],
      },
    ],
  };
}

/** A build without a version says so in brackets. */
const versionOf = (version: string | undefined): string | undefined =>
  version === undefined || !/^[\w.+-]+$/.test(version) ? undefined : version;

/**
 * The digests by which it was asked for come first, then those of registries, then that of the manifest that Grype read:
 * of several platforms' image it is the platform's own, of one that came from a container engine it is the engine's,
 * which no registry knows.
 */
function imageOf(image: Target): ReportedImage {
  const { userInput, imageID, manifestDigest, mediaType, tags = [], repoDigests } = image ?? {};
  const { os, architecture, architectureVariant } = image ?? {};
  const published = distinct([digestIn(userInput), ...(repoDigests ?? []).map(digestIn)]);
  const read = digestIn(manifestDigest);
  const digests = distinct([...published, read]);
  // An OCI layout has its own manifest; what comes from an engine has one of Docker's kind, made up for the scan.
  const madeUp = repoDigests?.length === 0 && !mediaType?.startsWith('application/vnd.oci.');
  return {
    references: distinct([withoutScheme(userInput), ...tags]),
    digests,
    ...given('digest', digests.length > 1 ? digests[0] : undefined),
    ...(published.length === 0 && read !== undefined && madeUp ? { isUnpublished: true } : {}),
    ...given('imageId', digestIn(imageID)),
    ...given(
      'platform',
      os && architecture ? distinct([os, architecture, architectureVariant]).join('/') : undefined,
    ),
  };
}

/** `registry:alpine:3.20` says where to get alpine:3.20 from. */
const withoutScheme = (userInput: string | undefined): string | undefined =>
  userInput?.replace(/^(?:docker|podman|containerd|registry):(?!\d+\/)/, '');

/** A finding is vulnerability + package URL + location. */
function finding(
  { vulnerability: found, relatedVulnerabilities: related, artifact }: Match,
  knowsExploited: boolean,
): ReportedFinding {
  const all = [found, ...related];
  const exploited = all.some(({ knownExploited }) => knownExploited.length > 0);
  return {
    vulnerability: found.id,
    aliases: aliasesOf(
      found.id,
      related.map(({ id }) => id),
    ),
    package: artifact.name,
    version: artifact.version ?? '',
    ...given('purl', artifact.purl),
    location: placeOf(artifact),
    severity: severityOf(found.severity),
    cvss: scoresOf(found, related),
    ...given('epss', epssOf(found) ?? highest(related.map(epssOf))),
    // A report from a database with the catalogue says of every vulnerability whether it is in it.
    ...given('knownExploited', exploited || knowsExploited ? exploited : undefined),
    fix: fixOf(found),
  };
}

/** The file that shows the package, which newer versions mark among those that merely belong to it; else its kind. */
function placeOf({ locations, type = '' }: Match['artifact']): string {
  const primary = locations.find(({ annotations }) => annotations?.evidence === 'primary');
  return (primary ?? locations[0])?.path || type;
}

/** Of the vulnerability itself first, then of those that it is known as: distributors' records often have none. */
function scoresOf(found: Vulnerability, related: readonly Metadata[]): CvssScore[] {
  const scores = [
    ...oldScore(found.cvssV3, '3.0'),
    ...oldScore(found.cvssV2, '2.0'),
    ...[found, ...related].flatMap(scoresIn),
  ];
  const different = new Map(
    scores.map((each) => [`${each.source} ${each.version} ${each.vector ?? each.score}`, each]),
  );
  return [...different.values()];
}

const oldScore = (given: Vulnerability['cvssV2'], version: CvssScore['version']): CvssScore[] =>
  // Without a vector, 0 means that nobody scored it.
  given === undefined || (given.baseScore === 0 && !given.vector)
    ? []
    : [cvssScore({ source: 'nvd', version, score: given.baseScore, vector: given.vector })];

const versions: Readonly<Record<string, CvssScore['version']>> = {
  '2': '2.0',
  '2.0': '2.0',
  '3': '3.0',
  '3.0': '3.0',
  '3.1': '3.1',
  '4': '4.0',
  '4.0': '4.0',
};

function scoresIn({ cvss: entries, namespace = '' }: Metadata): CvssScore[] {
  return entries.flatMap(({ source, version = '', vector: vectorOf, metrics }) => {
    if (metrics.baseScore === 0 && !vectorOf) return [];
    return [
      cvssScore({
        source: sourceOf(source, namespace),
        version: versions[version] ?? (vectorOf?.startsWith('AV:') ? '2.0' : '3.1'),
        score: metrics.baseScore,
        vector: vectorOf,
      }),
    ];
  });
}

/** NVD's API names sources by the addresses of who scored. */
const sourceNames: Readonly<Record<string, string>> = {
  'nvd@nist.gov': 'nvd',
  'secalert@redhat.com': 'redhat',
  'security-advisories@github.com': 'ghsa',
  github: 'ghsa',
};

/** `github:language:go`, `nvd:cpe`, `debian:distro:debian:12`: whose record it is, where the score has no source. */
function sourceOf(source: string | undefined, namespace: string): string {
  const name = (source || namespace.split(':')[0] || 'grype').toLowerCase();
  return sourceNames[name] ?? name;
}

type Epss = NonNullable<ReportedFinding['epss']>;

const epssOf = ({ epss }: Metadata): Epss | undefined =>
  highest(epss.map((each) => ({ score: each.epss, ...given('percentile', each.percentile) })));

const highest = (given: readonly (Epss | undefined)[]): Epss | undefined =>
  given.reduce((most, each) => (each && each.score > (most?.score ?? -1) ? each : most), undefined);

const fixStates: Readonly<Record<string, FixState>> = {
  fixed: 'fixed',
  'not-fixed': 'not-fixed',
  'wont-fix': 'wont-fix',
};

function fixOf({ fix, fixedInVersion }: Vulnerability): ReportedFinding['fix'] {
  const fixed = distinct([...(fix?.versions ?? []), fixedInVersion]).slice(0, 100);
  return { state: fixStates[fix?.state ?? ''] ?? (fixed.length > 0 ? 'fixed' : 'unknown'), versions: fixed };
}

/** A VEX statement says more than a rule of the user's or of Grype's own. A rule's reason is free text. */
function suppressionOf(rules: readonly IgnoreRule[]): Suppression {
  const stated = rules.find((rule) => isFinal(rule['vex-status']));
  if (stated && isFinal(stated['vex-status'])) {
    return {
      status: stated['vex-status'],
      ...given('justification', label(stated['vex-justification'])),
      source: 'vex',
    };
  }
  const rule = rules[0];
  return {
    status: 'ignored',
    ...given('justification', label(rule?.reason)),
    ...given('source', rule && conditionsOf(rule)),
  };
}

const isFinal = (status: string | undefined): status is 'not_affected' | 'fixed' =>
  status === 'not_affected' || status === 'fixed';

/** What a rule asks for, e.g. `vulnerability=CVE-2020-1 fix-state=wont-fix`. */
function conditionsOf({ vulnerability: id, package: of, ...rule }: IgnoreRule): string | undefined {
  const conditions = Object.entries({
    vulnerability: id,
    package: of?.name,
    version: of?.version,
    type: of?.type,
    location: of?.location,
    namespace: rule.namespace,
    'fix-state': rule['fix-state'],
    'match-type': rule['match-type'],
  }).flatMap(([name, value]) => (value ? [`${name}=${value}`] : []));
  return conditions.length > 0 ? conditions.join(' ').slice(0, 256) : undefined;
}
