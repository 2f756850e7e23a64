/**
 * How busy the machine is at one moment. Whatever is left out says nothing. Made by `systemLoad()` of `rxhive/load`, by a
 * marble, or by whoever knows better.
 */
export interface LoadSample {
  /** Share of time the event loop was busy, 0 to 1. */
  readonly eventLoop?: number;
  /** Ms by which timers were late. */
  readonly delayMs?: number;
  /** Share of the memory limit that is taken, 0 to 1. */
  readonly memory?: number;
  /** Share of the CPU time allowed that was used, 0 to 1. */
  readonly cpu?: number;
}
