/** How a workflow keeps its memory in bounds. */
export interface MemoryOptions {
  /**
   * A result that takes more than this as JSON, in bytes (characters), is kept in the run's store and not in memory;
   * it is read again when a dependent starts or somebody asks. Whole number from 0. Default: 1 MiB. Has no effect
   * without a store, with one that answers later (PostgreSQL), and for tasks somebody reads with `latest`.
   */
  readonly spillAbove?: number;
}

/** Bytes of a result, as JSON, above which it is spilled where `memory` says nothing else. */
export const defaultSpillAbove = 1024 * 1024;
