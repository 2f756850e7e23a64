/** Between what a concurrency moves by itself; see {@link adaptive}. */
export interface AdaptiveOptions {
  /** Never more at once. Whole number from `min`, finite: without refusals no controller finds the knee. */
  readonly max: number;
  /** Never fewer at once. Whole number from 1. Default 1. */
  readonly min?: number;
  /** Where it begins, between `min` and `max`. Default 4. */
  readonly initial?: number;
  /** Does this error say "too much"? Default: HTTP status 429, 503, 529 and what means the same. */
  readonly overloaded?: (error: unknown) => boolean;
}

/** A concurrency that follows what attempts tell; made by {@link adaptive}. */
export class Adaptive {
  readonly options: AdaptiveOptions;

  constructor(options: AdaptiveOptions) {
    this.options = options;
  }
}

/**
 * A concurrency that finds what a provider can take: `groups: { llm: { concurrency: adaptive({ max: 64 }) } }`, or for
 * the whole workflow. It doubles per round trip until the first refusal, then grows by one per round trip; a refusal
 * takes a fifth away, repeated ones three tenths. It does not grow while less than 80 % of it is in use, nor while
 * round trips take twice as long as they did with less. Faults are reported by `flow.run()`.
 */
export function adaptive(options: AdaptiveOptions): Adaptive {
  return new Adaptive(options);
}

/** The most that a concurrency allows, also of one whose faults are still to be told. */
export function mostOf(concurrency: number | Adaptive | undefined, otherwise: number): number {
  if (!(concurrency instanceof Adaptive)) return concurrency ?? otherwise;
  const { max } = (concurrency.options ?? {}) as Partial<AdaptiveOptions>;
  return max ?? otherwise;
}
