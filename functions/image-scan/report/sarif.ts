import { type Severity, severities } from '../../../core/image/image-schema.ts';
import { Problem } from '../../../core/problem/problem.ts';
import {
  cvssScore,
  digestIn,
  distinct,
  given,
  guardFindings,
  readMembers,
  severityOf,
  word,
} from './members.ts';
import type {
  CvssScore,
  Report,
  ReportedFinding,
  ReportedImage,
  ReportedScan,
  Suppression,
} from './normal-form.ts';
import { grypeHelp, grypeMessage, type SarifMessage, trivyMessage } from './sarif-message.ts';
import { type Result, type Rule, type Run, sarif } from './sarif-schema.ts';

/** What the two tools do differently. */
type Tool = {
  readonly messageOf: (result: Result, rule: Rule | undefined) => SarifMessage | undefined;
  /** What stands for a score in `security-severity` where there is none. */
  readonly standIn: Readonly<Record<Severity, number>>;
};

const tools: Readonly<Record<string, Tool>> = {
  trivy: {
    messageOf: (each, of) => trivyMessage(each.message?.text ?? '') ?? trivyMessage(of?.help?.text ?? ''),
    standIn: { critical: 9.5, high: 8, medium: 5.5, low: 2, negligible: 0, unknown: 0 },
  },
  grype: {
    messageOf: grypeMessageOf,
    standIn: { critical: 9, high: 7, medium: 4, low: 1, negligible: 0, unknown: 0 },
  },
};

/**
 * SARIF 2.1.0 of Trivy or Grype. It says less than either's JSON: no distributor's word on fixes, of Grype neither the
 * image's digest nor the severities `negligible` and `unknown`, which it calls low. Runs about the same image are one
 * scan. REPORT_MALFORMED, REPORT_UNSUPPORTED (other tools, other versions), PAYLOAD_TOO_LARGE.
 */
export function readSarif(json: unknown): Report {
  const { version, runs } = readMembers(sarif, json);
  if (version !== '2.1.0') throw unsupported(`SARIF ${word(version)}`);
  const names = distinct(runs.map(({ tool }) => tool.driver.name.toLowerCase()));
  const [name = '', other] = names;
  const tool = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (!tool || other !== undefined) {
    throw unsupported(
      runs.length === 0 ? 'SARIF without a run' : `SARIF of ${names.map(word).join(' and ')}`,
    );
  }
  const results = runs.reduce((sum, each) => sum + each.results.length, 0);
  guardFindings(results);
  const scans = runs.map((each) => scanOf(each, name, tool));
  if (results > 0 && scans.every(({ findings }) => findings.length === 0)) {
    throw new Problem(
      'REPORT_UNSUPPORTED',
      "Found SARIF of secrets, licences or misconfigurations alone, which does not tell whether anybody looked for vulnerabilities. Trivy's JSON does (trivy image --format json).",
    );
  }
  return {
    format: 'sarif',
    scanner: { name, ...given('version', runs[0]?.tool.driver.version || undefined) },
    scans: byImage(scans),
  };
}

const unsupported = (found: string): Problem =>
  new Problem('REPORT_UNSUPPORTED', `Found ${found}. Of SARIF, 2.1.0 of one tool is taken: Trivy or Grype.`);

/** Two runs about one image must not replace each other's findings. */
function byImage(scans: readonly ReportedScan[]): ReportedScan[] {
  const merged = new Map<string, ReportedScan>();
  for (const { image, findings } of scans) {
    const key = JSON.stringify(image);
    merged.set(key, { image, findings: [...(merged.get(key)?.findings ?? []), ...findings] });
  }
  const all = [...merged.values()];
  // Grype names the image with its findings only: a run without any has no part in what others found.
  const telling = all.filter(
    ({ image, findings }) => findings.length > 0 || image.references.length + image.digests.length > 0,
  );
  return telling.length > 0 ? telling : all;
}

function scanOf({ tool: { driver }, results, properties }: Run, name: string, tool: Tool): ReportedScan {
  const byId = new Map(driver.rules.map((each) => [each.id, each]));
  const ruleOf = ({ ruleId, ruleIndex }: Result): Rule | undefined => {
    const indexed = ruleIndex === undefined ? undefined : driver.rules[ruleIndex];
    return indexed && (ruleId === undefined || indexed.id === ruleId) ? indexed : byId.get(ruleId ?? '');
  };
  // Trivy says since 2025 which scores are real. Before, what could be one counts as one.
  const marksScores = name === 'grype' || driver.rules.some((each) => vectored(each, name).length > 0);
  let image: string | undefined;
  const findings = results.flatMap((each, index): ReportedFinding[] => {
    const of = ruleOf(each);
    if (isOtherThanVulnerability(each, of)) return [];
    const said = tool.messageOf(each, of);
    image ??= said?.image;
    const vulnerability = vulnerabilityOf(each, of, said);
    if (vulnerability === '' || vulnerability.length > 128) {
      throw new Problem('REPORT_MALFORMED', `Result ${index} of a run names no vulnerability.`);
    }
    const severity = severityIn(each, of, said);
    const fixedIn = said?.fixedIn ?? [];
    return [
      {
        vulnerability,
        aliases: [],
        package: said?.package ?? '',
        version: said?.version ?? '',
        ...given('purl', said && purlOf(of, said)),
        location: placeOf(each, of, said),
        severity,
        cvss: scoresOf(of, { name, standIn: marksScores ? tool.standIn : undefined, severity }),
        fix: { state: fixedIn.length > 0 ? 'fixed' : 'unknown', versions: fixedIn },
        ...given('suppressed', suppressionOf(each)),
      },
    ];
  });
  return { image: imageOf(properties, image), findings };
}

/** Trivy's runs name the image; of Grype's only the messages do. */
function imageOf(properties: Run['properties'], said: string | undefined): ReportedImage {
  const { imageName = said, imageID, repoTags = [], repoDigests = [] } = properties ?? {};
  return {
    references: distinct([imageName, ...repoTags]),
    digests: distinct([digestIn(imageName), ...repoDigests.map(digestIn)]),
    ...given('imageId', digestIn(imageID)),
  };
}

/** Trivy's misconfigurations, secrets and licences: of those, nothing is kept. What says nothing of itself counts. */
function isOtherThanVulnerability({ message: said }: Result, of: Rule | undefined): boolean {
  const kinds = new Set(of?.properties?.tags);
  if (kinds.has('vulnerability')) return false;
  return (
    ['misconfiguration', 'secret', 'license'].some((kind) => kinds.has(kind)) ||
    said?.text?.startsWith('Artifact: ') === true
  );
}

/**
 * Trivy names rules as vulnerabilities, and has named them `[HIGH] CVE-…` and `<target>: <package> CVE-…`; Grype
 * appends the package's name.
 */
function vulnerabilityOf({ ruleId }: Result, of: Rule | undefined, said: SarifMessage | undefined): string {
  if (said?.vulnerability !== undefined) return said.vulnerability;
  const id = (ruleId ?? of?.id ?? '').trim().split(' ').at(-1) ?? '';
  const suffix = `-${said?.package ?? ''}`;
  return suffix.length > 1 && id.endsWith(suffix) ? id.slice(0, -suffix.length) : id;
}

const levels: Readonly<Record<string, Severity>> = { error: 'high', warning: 'medium', note: 'low' };

/** The word in the message is of this finding; the rule's is that of the last finding with the same vulnerability. */
function severityIn({ level }: Result, of: Rule | undefined, said: SarifMessage | undefined): Severity {
  if (said?.severity !== undefined) return severityOf(said.severity);
  return severityOfRule(of) ?? levels[level ?? ''] ?? 'unknown';
}

const words: readonly string[] = severities;

function taggedSeverity(of: Rule | undefined): Severity | undefined {
  const tag = of?.properties?.tags.find((each) => words.includes(each.toLowerCase()));
  return tag === undefined ? undefined : severityOf(tag);
}

function severityOfRule(of: Rule | undefined): Severity | undefined {
  const tagged = taggedSeverity(of);
  if (tagged !== undefined) return tagged;
  const value = publishedScore(of);
  if (value === undefined) return undefined;
  // CVSS v3.1 §5.
  if (value >= 9) return 'critical';
  if (value >= 7) return 'high';
  if (value >= 4) return 'medium';
  return value > 0 ? 'low' : 'unknown';
}

function publishedScore(of: Rule | undefined): number | undefined {
  const published = of?.properties?.['security-severity'];
  const value = published === undefined || published === '' ? NaN : Number(published);
  return value >= 0 && value <= 10 ? value : undefined;
}

/** Scores of Trivy's with their version. */
function vectored(of: Rule | undefined, source: string): CvssScore[] {
  const properties = of?.properties;
  if (!properties) return [];
  const given = [
    ['4.0', properties.cvssv40_baseScore, properties.cvssv40_vector],
    ['3.1', properties.cvssv3_baseScore, properties.cvssv3_vector],
    ['2.0', properties.cvssv2_score, properties.cvssv2_vector],
  ] as const;
  return given.flatMap(([version, value, vectorOf]) =>
    value === undefined ? [] : [cvssScore({ source, version, score: value, vector: vectorOf })],
  );
}

/**
 * Else `security-severity`, which has no version (Trivy takes v3, Grype the highest of all), unless it is what the tool
 * puts in the place of a score. Whose score it is, SARIF does not say: the source is the tool.
 */
function scoresOf(
  of: Rule | undefined,
  by: {
    readonly name: string;
    readonly standIn: Tool['standIn'] | undefined;
    readonly severity: Severity;
  },
): CvssScore[] {
  const known = vectored(of, by.name);
  const published = publishedScore(of);
  if (known.length > 0 || !published) return known;
  // Trivy takes it by the rule's severity, which may not be this finding's.
  const standIn = by.standIn?.[taggedSeverity(of) ?? by.severity];
  return published === standIn ? [] : [cvssScore({ source: by.name, version: '3.1', score: published })];
}

/** The file of the package. Trivy puts the image's name in the place of an operating system's package database. */
function placeOf({ locations }: Result, of: Rule | undefined, said: SarifMessage | undefined): string {
  if (of?.name === 'OsPackageVulnerability') return 'os-pkgs';
  const [first] = locations;
  return (
    first?.logicalLocations[0]?.name ||
    said?.location ||
    decoded(first?.physicalLocation?.artifactLocation?.uri ?? '')
  );
}

function decoded(uri: string): string {
  try {
    return decodeURIComponent(uri);
  } catch {
    return uri;
  }
}

/** Grype's rules have the package URL of their first match: it is of those of the same version and kind. */
function purlOf(of: Rule | undefined, said: SarifMessage): string | undefined {
  const first = grypeHelp(of?.help?.text ?? '');
  const same = first?.version === said.version && first.type === said.type;
  return same ? of?.properties?.purls.find((each) => each !== undefined) : undefined;
}

/** The message says what was found, the rule's help what it is fixed in, if it is about the same version. */
function grypeMessageOf(each: Result, of: Rule | undefined): SarifMessage | undefined {
  const said = grypeMessage(each.message?.text ?? '');
  const first = grypeHelp(of?.help?.text ?? '');
  if (!said || first?.package !== said.package) return said;
  const same = first.version === said.version && first.type === said.type;
  return {
    ...said,
    ...given('vulnerability', first.vulnerability),
    ...given('severity', said.severity ?? first.severity),
    ...given('fixedIn', same ? first.fixedIn : undefined),
  };
}

/** SARIF 2.1.0 §3.27.23: suppressed unless a suppression is under review or rejected; justifications are free text. */
function suppressionOf({ suppressions }: Result): Suppression | undefined {
  const accepted = suppressions.every(({ status = 'accepted' }) => status === 'accepted');
  return suppressions.length > 0 && accepted ? { status: 'ignored', source: 'sarif' } : undefined;
}
