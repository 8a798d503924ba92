import { type AdmissionBundle, settingsOf } from '../../core/admission/admission-bundle.ts';
import { type ReadyAdmissionPolicy, readyPolicy } from '../../core/admission/admission-policy.ts';
import { BundledImages } from '../../core/admission/bundled-images.ts';
import type { AdmissionSettings } from '../../core/admission/decide.ts';
import { BundleRefused } from './bundle-part.ts';
import { SharedValues } from './shared-values.ts';

/** What this webhook answers from. Immutable but for its images, which deltas change in one go. */
export type Knowledge = {
  readonly images: BundledImages;
  readonly policy: ReadyAdmissionPolicy;
  readonly settings: AdmissionSettings;
  /** Whether an answer can hang on the labels of a namespace. */
  readonly asksNamespaces: boolean;
  /** The state that was reached: what the next question begins from. */
  readonly asOf: string;
  /** When the control plane signed it, epoch seconds. */
  readonly issuedAt: number;
};

/** Collects the parts of one bundle; what was known before stays as it is until all are there. */
export class Assembly {
  readonly #known: Knowledge | undefined;
  #first: AdmissionBundle | undefined;
  #parts = 0;
  #isWhole = false;
  /** Of a full bundle: beside what is known. */
  readonly #images = new BundledImages();
  /** Of a delta: applied at the end. */
  readonly #changes: Pick<AdmissionBundle, 'images' | 'removed'>[] = [];
  readonly #shared = new SharedValues();

  constructor(known: Knowledge | undefined) {
    this.#known = known;
  }

  /** Takes the next part. Throws BundleRefused for one that does not belong to those before it, or is older than what is known. */
  add(part: AdmissionBundle): void {
    const first = (this.#first ??= part);
    this.#refuseOlder(part);
    if (part.part !== this.#parts || this.#isWhole || !isSameBundle(part, first)) {
      throw new BundleRefused('the parts of the bundle do not belong together');
    }
    if (part.kind === 'delta' && (!this.#known || part.since !== this.#known.asOf)) {
      throw new BundleRefused('the bundle continues another one than is known');
    }
    this.#parts += 1;
    this.#isWhole = part.next === undefined;
    const images = part.images.map((image) => this.#shared.image(image));
    if (part.kind === 'full') apply(this.#images, { images });
    else this.#changes.push({ images, removed: part.removed });
  }

  #refuseOlder({ iat, kind }: AdmissionBundle): void {
    const known = this.#known?.issuedAt ?? -Infinity;
    if (iat < known)
      throw new BundleRefused(`the ${kind} bundle is older than what is known: it would take verdicts back`);
  }

  get isWhole(): boolean {
    return this.#isWhole;
  }

  /** What is known once all parts are there. */
  finish(): Knowledge {
    const first = this.#first;
    if (!first || !this.#isWhole) throw new BundleRefused('the bundle is not whole');
    const { kind, asOf, iat, rules, policy } = first;
    const images = kind === 'delta' && this.#known ? this.#known.images : this.#images;
    const ready = { policy: readyPolicy(policy), settings: settingsOf(rules) };
    // Nothing is answered between two of these: they are all in one turn of the event loop.
    for (const change of this.#changes) apply(images, change);
    return {
      images,
      ...ready,
      asksNamespaces: policy.policies.some(({ namespaceSelector }) => !selectsAll(namespaceSelector)),
      asOf,
      issuedAt: iat,
    };
  }
}

const apply = (
  images: BundledImages,
  { images: changed, removed = [] }: Pick<AdmissionBundle, 'images' | 'removed'>,
): void => images.apply({ images: changed, removed });

const isSameBundle = (part: AdmissionBundle, first: AdmissionBundle): boolean =>
  part.asOf === first.asOf &&
  part.kind === first.kind &&
  part.since === first.since &&
  part.revisions.rules === first.revisions.rules &&
  part.revisions.admission === first.revisions.admission;

const selectsAll = (selector: string): boolean => /^\s*(?:all\(\s*\))?\s*$/.test(selector);
