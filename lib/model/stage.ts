/** How much a `flow.each` takes from the one before it. */
export interface Stage {
  /** Group of its items. */
  readonly group: string | undefined;
  /** Items that may be on their way to it; undefined: as many as may run at once there and here. */
  readonly buffer: number | undefined;
  /** Items that are worked on together. */
  readonly size: number;
}
