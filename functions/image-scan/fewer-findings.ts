type Listed = { readonly findings: readonly unknown[] };
type Judged = { readonly reasons: readonly Listed[]; readonly suppressed: Listed };

/** Findings that each reason may show, from as many as there are to none. */
export const fewer = [Infinity, 3, 1, 0];

/** Bytes of an answer (Lambda: 6 MB, and what it escapes). */
const maxAnswerBytes = 4 * 1024 * 1024;

/**
 * An answer about an image, or about several, that fits: with fewer findings of each reason, if need be. Their totals
 * stay. Only reports made to be too large come to that.
 */
export function fitting<Answer extends object>(answer: Answer): Answer {
  for (const findings of fewer) {
    const cut = withFewerFindings(answer, findings);
    if (Buffer.byteLength(JSON.stringify(cut)) <= maxAnswerBytes) return cut;
  }
  return withFewerFindings(answer, 0);
}

/** With at most so many findings of each reason, and suppressed ones, of each image; others stay as they are. */
export function withFewerFindings<Answer extends object>(answer: Answer, findings: number): Answer {
  if (findings === Infinity) return answer;
  const cut = <L extends Listed>(list: L): L => ({ ...list, findings: list.findings.slice(0, findings) });
  const one = <J extends object>(each: J): J =>
    isJudged(each) ? { ...each, reasons: each.reasons.map(cut), suppressed: cut(each.suppressed) } : each;
  return hasItems(answer) ? { ...answer, items: answer.items.map(one) } : one(answer);
}

const isJudged = <J extends object>(each: J): each is J & Judged => 'reasons' in each && 'suppressed' in each;
const hasItems = <A extends object>(answer: A): answer is A & { readonly items: readonly object[] } =>
  'items' in answer;
