import QuickLRU from 'quick-lru';
import { type KnownImage, knownImage } from '../../core/admission/known-image.ts';
import type { ImageRules } from '../../core/image/image-rules.ts';
import { judgeImage } from '../../core/image/judge.ts';
import type { JudgedImage } from '../../core/image/scanned-image.ts';

/** Images whose judgement is kept; some KB each. */
const maxImages = 500;
/** A verdict holds until time makes it worse; what is told of its reasons may change before, and is at most so old. */
const longestMs = 60_000;
/** Findings that a message tells of each reason, and as many as the tester of policies shows. */
const shown = 3;

type Recent = {
  /** Weakly: rules that hold no more may have thousands of exceptions. */
  readonly rules: WeakRef<ImageRules>;
  readonly from: number;
  readonly until: number;
  readonly known: KnownImage;
};

/**
 * Judges images, and remembers what it has judged: the pods of a rollout all ask about the same few. A judgement holds
 * for one revision of an image, under the very rules that it was made by, and until time makes it worse.
 */
export class RecentJudgements {
  readonly #recent = new QuickLRU<string, Recent>({ maxSize: maxImages });

  /** The image as it is judged at a moment (epoch milliseconds). */
  of(
    tenantId: string,
    image: JudgedImage & { readonly revision: number },
    { rules, at }: { readonly rules: ImageRules; readonly at: number },
  ): KnownImage {
    const key = `${tenantId} ${image.digest} ${image.revision}`;
    const recent = this.#recent.get(key);
    if (recent?.rules.deref() === rules && recent.from <= at && at < recent.until) return recent.known;
    const judgement = judgeImage(image, rules, at, { shown });
    const known = knownImage(image, judgement);
    const until = Math.min(judgement.worsens[0]?.at ?? Infinity, at + longestMs);
    this.#recent.set(key, { rules: new WeakRef(rules), from: at, until, known });
    return known;
  }
}
