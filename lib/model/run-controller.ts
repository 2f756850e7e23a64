/** A controller, as workflows and runs are given it. Made by `controller()`. */
export interface RunController<G extends string = string, X extends string = string> {
  readonly name: string;
  /** Names of its groups. */
  readonly groups: readonly G[];
  /** Names of its resources. */
  readonly resources: readonly X[];
}
