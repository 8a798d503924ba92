import type { BundledImage } from '../../core/admission/admission-bundle.ts';

type Reasons = BundledImage['reasons'];
type Finding = Reasons[number]['findings'][number];

/**
 * Keeps what many images say alike once: images of one base have the same findings, and a parser makes each of them, and
 * each of their texts, anew. With 50,000 images that is most of the memory.
 */
export class SharedValues {
  readonly #texts = new Map<string, string>();
  readonly #findings = new Map<string, Finding>();

  image({ digest, names, scannedAt, verdict, reasons, worsens, expiresAt }: BundledImage): BundledImage {
    return {
      digest,
      names: names.map((name) => ({ ...name, platform: this.#text(name.platform) })),
      scannedAt,
      verdict,
      reasons: this.#reasons(reasons),
      worsens: worsens.map((each) => ({ ...each, reasons: this.#reasons(each.reasons) })),
      expiresAt,
    };
  }

  #reasons(reasons: Reasons): Reasons {
    return reasons.map(({ rule, total, findings }) => ({
      rule: this.#text(rule),
      total,
      findings: findings.map((finding) => this.#finding(finding)),
    }));
  }

  #finding(finding: Finding): Finding {
    const key = JSON.stringify(finding);
    const known = this.#findings.get(key);
    if (known) return known;
    const { vulnerability, package: name, version, fix } = finding;
    const shared = {
      vulnerability: this.#text(vulnerability),
      package: this.#text(name),
      version: this.#text(version),
      fix: { versions: fix.versions.map((each) => this.#text(each)) },
    };
    this.#findings.set(key, shared);
    return shared;
  }

  #text(text: string): string {
    const known = this.#texts.get(text);
    if (known !== undefined) return known;
    this.#texts.set(text, text);
    return text;
  }
}
