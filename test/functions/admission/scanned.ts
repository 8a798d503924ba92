import { type Evidence, evidenceOf } from '../../../core/image/evidence.ts';
import type { JudgedFinding } from '../../../core/image/image-schema.ts';
import type { JudgedImage } from '../../../core/image/scanned-image.ts';

export const now = Date.parse('2026-11-23T12:00:00Z');
export const day = 86_400_000;
export const digestOf = (hex: string) => `sha256:${hex.repeat(64).slice(0, 64)}`;

export type Looked = JudgedImage & { readonly revision: number };

/** A finding of this score, fixed unless it is said otherwise. */
export function scored(
  vulnerability: string,
  score: number,
  more: Partial<JudgedFinding> = {},
): JudgedFinding {
  return {
    vulnerability,
    aliases: [],
    package: 'musl',
    version: '1.1.22-r2',
    location: 'lib/apk/db/installed',
    severity: 'high',
    score,
    fix: { state: 'fixed', versions: ['1.1.22-r3'] },
    ...more,
  };
}

type Given = {
  readonly digest: string;
  readonly findings?: readonly JudgedFinding[];
  readonly references?: readonly string[];
  readonly scannedAt?: number;
  readonly revision?: number;
  /** Called each time that the evidence is asked for. */
  readonly onJudged?: () => void;
};

/** An image as a lookup finds it. */
export function scanned({
  digest,
  findings = [],
  references = [],
  scannedAt = now - day,
  revision = 1,
  onJudged = () => undefined,
}: Given): Looked {
  const evidence: Evidence = evidenceOf(findings);
  return {
    digest,
    revision,
    results: [
      {
        scannerName: 'trivy',
        scannedAt,
        aliases: { references: [...references], digests: [] },
        evidence: () => {
          onJudged();
          return evidence;
        },
      },
    ],
  };
}
