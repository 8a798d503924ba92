/** A report of Grype's: what is looked at here. */
type GrypeReport = {
  readonly matches: readonly { readonly vulnerability: { readonly id: string } }[];
  readonly source: { readonly target: { readonly manifestDigest: string } };
};

/** A report to measure with. */
export type Sample = {
  readonly text: string;
  readonly findings: number;
  /** Of its image. */
  readonly digest: string;
};

const parsed = (text: string) => JSON.parse(text) as GrypeReport;

export function sampleOf(text: string): Sample {
  const { matches, source } = parsed(text);
  return { text, findings: matches.length, digest: source.target.manifestDigest };
}

/**
 * The same report with more of its own matches, under vulnerabilities of other names, until it has `bytes` or slightly
 * more; indented by one blank as Grype writes it.
 */
export function grown({ text }: Sample, bytes: number): Sample {
  const report = parsed(text);
  const more = [...report.matches];
  let missing = bytes - Buffer.byteLength(write(report));
  for (let turn = 1; missing > 0; turn += 1) {
    for (const match of report.matches) {
      const copy = {
        ...match,
        vulnerability: { ...match.vulnerability, id: `${match.vulnerability.id}-${turn}` },
      };
      more.push(copy);
      // Inside the report it is indented a level more, and so takes a little more.
      missing -= Buffer.byteLength(write([copy]));
      if (missing <= 0) break;
    }
  }
  return sampleOf(write({ ...report, matches: more }));
}

const write = (value: unknown) => JSON.stringify(value, null, 1);
