/** How a task's results are used again by other runs. */
export interface CacheOptions<D = never, I = never> {
  /**
   * What makes two calls the same, plain data, of the inputs and of the run's input; with the code, and the task's `type`
   * or id: tasks of one type that give the same key share results, also those of other workflows. Default: the
   * workflow's name, the task's id, its inputs and the run's input.
   */
  readonly key?: (inputs: D, input: I) => unknown;
  /** Ms a result may be used. Default: as long as the run that made it is in the store. */
  readonly ttl?: number;
}
