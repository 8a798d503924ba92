/** CloudWatch takes up to 100 values of one metric in a line (embedded metric format). */
export const maxSample = 100;

/** A fair choice of at most 100 out of however many observations (Vitter's algorithm R); memory does not grow with them. */
export class Sample {
  readonly #values: number[] = [];
  readonly #random: () => number;
  #seen = 0;

  /** 0 ≤ random() < 1. */
  constructor(random: () => number) {
    this.#random = random;
  }

  get values(): readonly number[] {
    return this.#values;
  }

  add(value: number): void {
    this.#seen += 1;
    if (this.#values.length < maxSample) {
      this.#values.push(value);
      return;
    }
    const at = Math.floor(this.#random() * this.#seen);
    if (at < maxSample) this.#values[at] = value;
  }
}
