/** The last durations of one kind of work, in order of size: exact quantiles over a sliding window. */
export class DurationWindow {
  readonly #most: number;
  readonly #byAge: number[] = [];
  readonly #bySize: number[] = [];
  #oldest = 0;

  /** Keeps `most` durations. An entry costs two binary searches and a shift of at most `most` numbers. */
  constructor(most = 512) {
    this.#most = most;
  }

  get size(): number {
    return this.#bySize.length;
  }

  add(ms: number): void {
    if (this.#byAge.length < this.#most) this.#byAge.push(ms);
    else {
      const gone = this.#byAge[this.#oldest] as number;
      this.#byAge[this.#oldest] = ms;
      this.#oldest = (this.#oldest + 1) % this.#most;
      this.#bySize.splice(this.#placeOf(gone), 1);
    }
    this.#bySize.splice(this.#placeOf(ms), 0, ms);
  }

  /** The smallest duration that a share `q` of all does not exceed; undefined where there is none. */
  quantile(q: number): number | undefined {
    return this.#bySize[Math.max(0, Math.ceil(q * this.size) - 1)];
  }

  /** First place of a number that is not smaller. */
  #placeOf(ms: number): number {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#bySize[middle] as number) < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
