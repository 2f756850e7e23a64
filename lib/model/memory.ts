/** How a workflow keeps its memory in bounds. */
export interface MemoryOptions {
  /**
   * Share of the memory limit, above 0, at most 1: from here on no task begins while another runs; those that run, and
   * those that come back from a pause, go on. Released 5 % below. Needs `load$`, which tells how much is taken.
   * Default: `hard`, or none.
   */
  readonly soft?: number;
  /**
   * Share of the memory limit, from `soft`, at most 1: from here on also those that come back from a pause wait until
   * they are alone, and results above 1 KB go to the store where there is one. Nothing is aborted. Released 5 %
   * below. Needs `load$`. Default: none.
   */
  readonly hard?: number;
  /**
   * A result that takes more than this as JSON, in bytes (characters), is kept in the run's store and not in memory;
   * it is read again when a dependent starts or somebody asks. Whole number from 0. Default: 1 MiB. Has no effect
   * without a store, with one that answers later (PostgreSQL), and for tasks somebody reads with `latest`.
   */
  readonly spillAbove?: number;
}

/** Bytes of a result, as JSON, above which it is spilled where `memory` says nothing else. */
export const defaultSpillAbove = 1024 * 1024;

/** The same while memory is short: smaller ones take as much where they are as the key to find them. */
export const shortSpillAbove = 1_000;
