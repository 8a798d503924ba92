import { Problem } from '../../../core/problem/problem.ts';
import type { Severity } from '../../../core/image/image-schema.ts';
import type { Rating, Vulnerability } from './cyclonedx-vulnerability.ts';
import { cvssScore, severityOf } from './members.ts';
import type { CvssScore, ReportedFinding } from './normal-form.ts';

type Rated = Pick<Vulnerability, 'id' | 'source' | 'ratings'>;

const methods: Readonly<Record<string, CvssScore['version']>> = {
  cvssv2: '2.0',
  cvssv3: '3.0',
  cvssv31: '3.1',
  cvssv4: '4.0',
};

/** CVSS by its method or, as Grype writes v4.0, by its vector. Other ratings have scores on other scales. */
const versionOf = ({ method = '', vector = '' }: Rating): CvssScore['version'] | undefined =>
  methods[method.toLowerCase()] ?? (/^CVSS:[34]\.\d\//.test(vector) ? '3.1' : undefined);

const isOfFirst = ({ method, source }: Rating): boolean =>
  method?.toUpperCase() === 'EPSS' || /^https:\/\/(?:www|api)\.first\.org\/epss/.test(source?.url ?? '');
const isOfCisa = ({ source }: Rating): boolean => source?.name === 'CISA KEV Catalog';

/** The base scores among the ratings, each of one source; REPORT_MALFORMED for one outside 0–10. */
export function cvssOf({ ratings, source }: Rated, scanner: string): CvssScore[] {
  const scores = ratings.flatMap((each): CvssScore[] => {
    const version = versionOf(each);
    const { score, severity, vector } = each;
    if (version === undefined || score === undefined) return [];
    if (!(score >= 0 && score <= 10)) {
      throw new Problem('REPORT_MALFORMED', 'A CVSS score is not between 0 and 10.');
    }
    // Trivy writes 0 for a score that nobody gave, beside the severity that somebody gave.
    if (score === 0 && severity !== undefined && !['none', 'info'].includes(severity)) return [];
    return [
      cvssScore({ source: nameOf(each.source?.name || source?.name || scanner), version, score, vector }),
    ];
  });
  return [...new Map(scores.map((each) => [JSON.stringify(each), each])).values()];
}

/** `nvd:cpe`, `github:language:go`, `debian-distro-debian-12`: how Grype names a record; the others are names. */
function nameOf(source: string): string {
  const name = source.toLowerCase().slice(0, 64);
  const [first = name] = /^[a-z]+(?=[:-](?:cpe|language|distro)\b)/.exec(name) ?? [name];
  return first === 'github' ? 'ghsa' : first;
}

/** EPSS and KEV, as Grype writes them among the ratings. */
export function exploitationOf({ ratings }: Rated): Pick<ReportedFinding, 'epss' | 'knownExploited'> {
  const score = ratings.find(isOfFirst)?.score;
  return {
    ...(score !== undefined && score >= 0 && score <= 1 ? { epss: { score } } : {}),
    ...(ratings.some((each) => isOfCisa(each) && each.score === 1) ? { knownExploited: true } : {}),
  };
}

/** Trivy's own order of who is asked for a severity where the finding's source has none (its database's, v2). */
const orderOfTrivy: readonly string[] = [
  ...[
    'nvd',
    'redhat',
    'redhat-oval',
    'debian',
    'ubuntu',
    'alpine',
    'amazon',
    'oracle-oval',
    'suse-cvrf',
    'photon',
  ],
  ...['arch-linux', 'alma', 'rocky', 'cbl-mariner', 'azure', 'ruby-advisory-db', 'php-security-advisories'],
  ...[
    'nodejs-security-wg',
    'ghsa',
    'glad',
    'aqua',
    'osv',
    'k8s',
    'wolfi',
    'chainguard',
    'bitnami',
    'govulndb',
  ],
];

/**
 * The one severity of a vulnerability, of which CycloneDX may have one for each source: that of the vulnerability's own
 * source, else the one that the tool would take (Trivy), else the highest. Without a word the scores say it.
 */
export function severityIn(vulnerability: Rated, scanner: string): Severity {
  const { id = '', source, ratings } = vulnerability;
  const worded = ratings.filter(({ severity }) => severity !== undefined);
  const of = (name: string | undefined): Rating[] =>
    name === undefined ? [] : worded.filter((each) => each.source?.name === name);
  const asked =
    scanner === 'trivy'
      ? [source?.name, ...(id.startsWith('GHSA-') ? ['ghsa'] : []), ...orderOfTrivy]
      : [source?.name];
  for (const name of asked) {
    const one = of(name).toSorted((a, b) => newness(b) - newness(a))[0];
    if (one) return wordOf(one);
  }
  if (worded.length > 0) return worst(worded.map(wordOf));
  return bySeverityScale(cvssOf(vulnerability, scanner));
}

/** Of one source's ratings that of the newest CVSS says its severity; that of v2 has no "critical". */
const newness = (each: Rating): number => Number(versionOf(each) ?? '5');

/** Trivy writes "info" for all that has less than 4 by CVSS v2, whose own word for it is "low". */
const wordOf = (each: Rating): Severity =>
  each.severity === 'info' && each.method === 'CVSSv2' && (each.score ?? 0) > 0
    ? 'low'
    : severityOf(each.severity);

const order: readonly Severity[] = ['critical', 'high', 'medium', 'low', 'negligible', 'unknown'];
const worst = (all: readonly Severity[]): Severity => order.find((each) => all.includes(each)) ?? 'unknown';

/** CVSS v3.1 §5, v4.0 §6: the newest version's scores decide, the highest of them. */
function bySeverityScale(scores: readonly CvssScore[]): Severity {
  const newest = scores.reduce((latest, { version }) => (version > latest ? version : latest), '');
  const score = Math.max(-1, ...scores.filter(({ version }) => version === newest).map((each) => each.score));
  if (score < 0) return 'unknown';
  if (score >= 9) return newest === '2.0' ? 'high' : 'critical';
  if (score >= 7) return 'high';
  if (score >= 4) return 'medium';
  return score > 0 ? 'low' : 'negligible';
}
