/** A further attempt beside one that is slow. The first success counts, the others are stopped and charged. */
export interface HedgeOptions {
  /**
   * Ms after which the next attempt starts beside the first, or `p95`: what 95 % of the successful attempts of the same
   * `type` took so far in this run. Before there are 20 of them nothing is hedged.
   */
  readonly after: number | 'p95';
  /** Most attempts beside the first. Default 1. */
  readonly max?: number;
}
