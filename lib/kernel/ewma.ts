/**
 * Mean and variance of what was seen, the newer the heavier. The first values weigh the same, until one weighs
 * `weight`. Source: T. Finch, "Incremental calculation of weighted mean and variance", 2009, section 9.
 */
export class Ewma {
  count: number;
  mean: number;
  variance: number;
  readonly #weight: number;

  /** `weight`: share of the newest value, above 0 and at most 1. */
  constructor(weight = 0.2, count = 0, mean = 0, variance = 0) {
    this.#weight = weight;
    this.count = count;
    this.mean = mean;
    this.variance = variance;
  }

  add(value: number): void {
    this.count += 1;
    const weight = Math.max(this.#weight, 1 / this.count);
    const difference = value - this.mean;
    this.mean += weight * difference;
    this.variance = (1 - weight) * (this.variance + weight * difference * difference);
  }
}
