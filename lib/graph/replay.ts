/** A task that has ended runs once more, for the tasks it had added as closures and that have not ended. */
export interface Replay {
  /** How it had ended: that holds. */
  readonly end: 'restored' | 'failed' | 'cancelled';
  readonly error: unknown;
  /** Its body is called; else its completion handlers alone. */
  readonly body: boolean;
  readonly handlers: boolean;
  /** Ids of tasks that have not come back yet. */
  readonly wanted: Set<string>;
}
