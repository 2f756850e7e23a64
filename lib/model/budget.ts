/** Caps on what a run or a group may use. At least one. */
export interface Caps {
  /** Attempts, retries and hedges included. Whole number from 1. */
  readonly calls?: number;
  /** Input and output together. Above 0. */
  readonly tokens?: number;
  /** In the currency of `prices`. Above 0. */
  readonly cost?: number;
}

/**
 * A budget of a run or of a group. When a cap is reached nothing new starts: ready tasks end `skipped` (or `failed`,
 * where an attempt had been made), what runs may finish, and the run ends `partial`. It counts what earlier processes
 * of the run have spent.
 */
export interface BudgetOptions extends Caps {
  /**
   * Aborts what runs, with reason `budget`: true as soon as one of the caps is passed, caps of its own when those are.
   * On a run it ends the run, on a group its tasks. Default false.
   */
  readonly hard?: boolean | Caps;
}

/** Which cap of a budget. */
export type BudgetLimit = keyof Caps;

/** All of them. */
export const budgetLimits: readonly BudgetLimit[] = ['calls', 'tokens', 'cost'];

/** How much of one cap is spent. */
export interface BudgetState {
  /** Undefined: of the whole run. */
  readonly group?: string;
  readonly limit: BudgetLimit;
  readonly spent: number;
  /** Where nothing new starts. Undefined: there is a hard cap only. */
  readonly cap?: number;
  /** Where what runs is aborted. */
  readonly hardCap?: number;
  /** `exhausted`: nothing new started any more; `aborted`: what ran was stopped. */
  readonly status: 'within' | 'exhausted' | 'aborted';
}

/** A budget in the report of a run: how much is spent, and the tasks that spent most. */
export interface BudgetReport extends BudgetState {
  /** At most five, most first. */
  readonly spenders: readonly { readonly taskId: string; readonly spent: number }[];
}
